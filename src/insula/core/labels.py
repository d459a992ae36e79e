"""Labels and clinical columns of a case as the numbers that a network learns from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from insula.core.errors import CohortError
from insula.core.recipe_inputs import ClinicalColumn
from insula.core.recipe_target import Target
from insula.core.types import Case

_YES = frozenset({"1", "1.0", "true", "yes", "y", "dead", "event"})
_NO = frozenset({"0", "0.0", "false", "no", "n", "alive", "censored"})
_AGE = re.compile(r"(\d{1,3})([DWMY])")  # DICOM PS3.5 6.2, value representation AS
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def columns(case: Case, name: str, target: Target) -> tuple[float, ...] | None:
    """A case's label as `target.label_columns` numbers, or None where it has none.

    One 0 or 1 a class; time and event (1 or 0) for survival; the number itself for a regression. Raises CohortError
    for a label that is no class, no number or no event.
    """
    if target.kind == "survival":
        time, event = (case.attributes.get(c, "").strip() for c in (target.time, target.event))
        if not time or not event:
            return None
        return _positive(target.time, time), _event(target.event, event)
    if target.kind == "regression":
        text = case.attributes.get(target.column or name, "").strip()
        return (_number(target.column or name, text),) if text else None
    present = classes(case, name, target)
    return None if present is None else tuple(float(c in present) for c in target.classes)


def classes(case: Case, name: str, target: Target) -> tuple[str, ...] | None:
    """The classes that are present in a case, or None where it was not labelled for a target with classes."""
    present = case.labels.get(name)
    if present is None:
        text = case.attributes.get(target.column or name, "").strip()
        if not text:
            return None
        present = tuple(part.strip() for part in text.split(";")) if target.kind == "multilabel" else (text,)
        present = tuple(p for p in present if p and p.lower() != "none") if target.kind == "multilabel" else present
    unknown = [c for c in present if c not in target.classes]
    if unknown:
        raise CohortError(
            f"A case is labelled '{unknown[0]}' for '{name}', which is none of {list(target.classes)}; correct the "
            "table, or the recipe's classes."
        )
    if target.exclusive and len(present) != 1:
        raise CohortError(f"A case has {len(present)} labels for '{name}', whose classes exclude each other.")
    return present


def clinical(attributes: Mapping[str, str], section: Mapping[str, ClinicalColumn]) -> tuple[float, ...]:
    """The clinical columns as numbers in the recipe's order, NaN where missing; a category is one 0 or 1 a value.

    A number may be written as DICOM writes an age (`063Y`, `018M`): it is taken in years. Text that is no number, and a
    value that is none of a category's, count as missing.
    """
    found: list[float] = []
    for name, column in section.items():
        text = attributes.get(name, "").strip()
        if column.kind == "category":
            known = text in column.values
            found += [float(text == value) if known else math.nan for value in column.values]
        else:
            found.append(_clinical_number(text))
    return tuple(found)


def _clinical_number(text: str) -> float:
    if age := _AGE.fullmatch(text):
        return int(age[1]) * _YEARS[age[2]]
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _number(column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CohortError(f"Column '{column}' holds '{text[:40]}', which is no number; correct the table.")
    return value


def _positive(column: str, text: str) -> float:
    value = _number(column, text)
    if value <= 0:
        raise CohortError(f"Column '{column}' holds the time {value:g}, and a time is above 0; correct the table.")
    return value


def _event(column: str, text: str) -> float:
    if text.lower() in _YES:
        return 1.0
    if text.lower() in _NO:
        return 0.0
    raise CohortError(f"Column '{column}' holds '{text[:40]}', which is neither 1 (event) nor 0 (none was seen).")
