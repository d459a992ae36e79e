"""Seeded mutations of good messages: each is refused with a type, or taken; nothing is a fault of the service."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import message, study, with_rules, workitem

pytestmark = pytest.mark.serve
EXAMPLES = 300
JSON = {"Content-Type": "application/dicom+json"}
WORDS: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    "",
    "\0",
    "x" * 20_000,
    [],
    {},
    [[]],
    {"vr": "SQ"},
    {"vr": "UI", "Value": ["a"]},
)


def mutated(g: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    found = bytearray(data)
    for _ in range(g.randint(1, 6)):
        at = g.randrange(len(found) or 1)
        match g.randrange(4):
            case 0:
                found[at : at + 1] = bytes([g.randrange(256)])
            case 1:
                del found[at : at + g.randint(1, 200)]
            case 2:
                found[at:at] = found[at : at + g.randint(1, 50)]
            case _:
                found[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(found)


def changed(g: random.Random, item: Any) -> Any:
    """A JSON value with something else somewhere in it."""
    if isinstance(item, dict) and item and g.random() < 0.8:
        key = g.choice(sorted(item))
        if g.random() < 0.2:
            return {**item, g.choice(["", "0008", "FFFFFFFF", "00000000", "x" * 500]): g.choice(WORDS)}
        return {**item, key: changed(g, item[key])}
    if isinstance(item, list) and item and g.random() < 0.8:
        return [*item[1:], changed(g, item[0])]
    return g.choice(WORDS)


def accepted(counts: Counter[int]) -> None:
    assert not {status for status in counts if status >= 500}, counts
    assert counts[400] + counts[409] > EXAMPLES / 10, "mutations that nobody notices test nothing"


def test_objects_and_messages(tmp_path: Path) -> None:
    g, counts = random.Random(20261126), Counter[int]()
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made:
        for number in range(EXAMPLES):
            good = study(seed=number)
            sent = message([mutated(g, good)]) if number % 2 else message([good])
            if not number % 2:
                sent["content"] = mutated(g, sent["content"])
            counts[made.client("reader").post("/dicom-web/studies", **sent).status_code] += 1
        assert made.client("reader").post("/dicom-web/studies", **message([study()])).status_code == 200
    accepted(counts)


def test_work_items(made: Made) -> None:
    g, counts = random.Random(20261126), Counter[int]()
    client = made.client("reviewer")
    for number in range(EXAMPLES):
        sent = json.dumps([changed(g, workitem())]).encode()
        if number % 3 == 0:
            sent = mutated(g, json.dumps([workitem()]).encode())
        answer = client.post(f"/dicom-web/workitems?workitem={generate_uid()}", content=sent, headers=JSON)
        counts[answer.status_code] += 1
    accepted(counts)
    assert client.get("/dicom-web/workitems").status_code in (200, 204, 206)


def test_searches(made: Made) -> None:
    g, client = random.Random(20261126), made.client("reader")
    names = [
        "PatientID",
        "00100010",
        "StudyDate",
        "0020000D",
        "limit",
        "offset",
        "includefield",
        "accept",
        "..",
        "a.b",
        "*",
    ]
    texts = [
        "",
        "*",
        "-",
        "a*" * 60,
        "[",
        "\\",
        "1.2,1.3",
        "-1",
        "9" * 40,
        "all",
        "%",
        "\u2028",
        "20260101-",
        "x" * 4000,
    ]
    for _ in range(EXAMPLES):
        params = [(g.choice(names), g.choice(texts)) for _ in range(g.randint(1, 4))]
        path = g.choice(["studies", "series", "instances", "workitems", "studies/1.2/series", "studies/1.2/metadata"])
        answer = client.get(f"/dicom-web/{path}", params=dict(params))
        assert answer.status_code < 500, (path, params)
