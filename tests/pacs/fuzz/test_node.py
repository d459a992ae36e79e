"""The node among senders that send anything: it refuses, goes on, keeps to its memory, and loses nothing it took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.pacs.fuzz.cases import case
from tests.pacs.fuzz.node import ABORTED, DATA, REJECTED, Honest, Node, running

pytestmark = pytest.mark.pacs
MORE = 256 << 20  # bytes that the node may need for all of it, beyond what the first cases took
WARM = 60


@pytest.mark.parametrize(
    ("seed", "count"), [(1, 500), pytest.param(2, 10_000, marks=pytest.mark.slow)], ids=["500", "10000"]
)
def test_nothing_that_is_sent_stops_the_node(seed: int, count: int, tmp_path: Path) -> None:
    with running(tmp_path) as node:
        sent_to(node, seed, count)
        log = node.log()
        held = node.records()
    assert node.stored <= held.keys(), "an object was acknowledged and is not there"
    assert [entry for entry in log if entry.get("level") in ("error", "critical")] == []
    said = json.dumps(log)
    assert not any(word in said for word in ("Traceback", "Canary", "FUZZ-4711", "1.2.999", "\\u001b"))


def sent_to(node: Node, seed: int, count: int) -> None:
    """Send cases, and an honest object between every 20 of them."""
    honest = Honest(node)
    floor = node.peak
    refused = 0
    for number in range(count):
        one = case(seed, number)
        answer = node.send(one)
        assert answer or not one.answered, f"case {seed}/{number} ({one.name}) got no answer"
        refused += any(kind in (REJECTED, ABORTED, DATA) for kind, _ in answer)
        if number % 20 == 0:
            honest.store()
        if number == WARM:
            floor = node.peak
        if number % 200 == 199:
            honest.leave()
            honest = Honest(node)
            assert node.peak - floor < MORE, f"{node.peak - floor} bytes more by case {seed}/{number}"
    honest.store()
    honest.leave()
    assert refused > count / 2
