"""The content of a structured report as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset


def items(item: Dataset, *names: str) -> list[Dataset]:
    """The items under an item that are reached by the meanings of their names, level by level."""
    found = [item]
    for name in names:
        found = [one for each in found for one in each.get("ContentSequence", ()) if meaning(one) == name]
    return found


def meaning(item: Dataset) -> str:
    """What an item is called."""
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def value(item: Dataset) -> Any:
    """A code's meaning, a number, or a text."""
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if item.ValueType == "NUM":
        (measured,) = item.MeasuredValueSequence
        return float(measured.get("FloatingPointValue", measured.NumericValue))
    return str(item.get("TextValue", item.get("UID", item.get("PersonName", ""))))


def group(report: Dataset, tracked: str) -> Dataset:
    """The measurement group of a tracking identifier."""
    for one in items(report, "Imaging Measurements", "Measurement Group"):
        if value(items(one, "Tracking Identifier")[0]) == tracked:
            return one
    raise AssertionError(f"no group '{tracked}'")


def said(report: Dataset) -> Iterator[str]:
    """Every value in the report, with the meanings of all codes."""
    for one in report.get("ContentSequence", ()):
        yield meaning(one)
        yield str(value(one))
        yield from said(one)
