from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from tests.evaluate.made_tables import binary, binary_facts, facts, table

from insula.evaluate.outcome import LIMITS
from insula.evaluate.run import evaluate_table


def figures(node: Any) -> Iterator[dict[str, Any]]:
    """Every figure that stands anywhere in a report."""
    if isinstance(node, dict):
        if {"value", "interval", "reason"} <= set(node):
            yield node
        for value in node.values():
            yield from figures(value)
    elif isinstance(node, list):
        for value in node:
            yield from figures(value)


def test_a_report_is_strict_json_and_every_gap_in_it_has_a_reason() -> None:
    one_class = evaluate_table(binary([0, 0, 0], [0.1, 0.4, 0.6]), binary_facts(), 30)
    again = json.loads(json.dumps(one_class.to_dict(), allow_nan=False))
    assert again["limits"] == LIMITS
    assert "table" not in again
    found = list(figures(again))
    gaps = [f for f in found if f["value"] is None or f["interval"] is None]
    assert 0 < len(gaps) < len(found)
    assert all(f["reason"] for f in gaps)
    assert not any(f["reason"] for f in found if f not in gaps)
    assert "not defined (the patients do not hold both positives and negatives)" in again["headline"]
    assert again["prevalence"] == []


def test_values_survive_the_way_through_json() -> None:
    report = evaluate_table(table("multilabel"), facts("multilabel"), 30)
    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    for name, found in report.patient.classes.items():
        for key, figure in found.figures.items():
            written = again["patient"]["classes"][name]["figures"][key]
            assert written["value"] == figure.value or math.isnan(figure.value)
            assert written["interval"] == (list(figure.interval) if figure.interval else None)
    assert again["facts"]["thresholds"] == dict(report.facts.thresholds)
    assert again["coverage"] is None
    assert again["domain"] is None
    assert again["localisation"] is None
