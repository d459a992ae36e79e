"""Labels: the table `labels.csv` at the root of a cohort, and what a class name means for a recipe's target."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from insula.core.errors import CohortError
from insula.core.recipe import Target

NAME = "labels.csv"
_NONE = "none"
_ANY = "any"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Row:
    """One line of the table. labels is None where the line gives none; scan and mask are relative to the root."""

    number: int
    patient: str
    labels: tuple[str, ...] | None
    scan: str
    mask: str
    attributes: Mapping[str, str]


def read(root: Path, target: Target) -> list[Row]:
    """The rows of `labels.csv`, checked against the target and the folder.

    Columns: patient_id; `label` (one class name, for several labels joined by `;`) or one 0/1 column per class;
    optional `scan` and `mask`; every other column becomes an attribute. Raises CohortError naming the row at fault.
    """
    path = root / NAME
    if path.stat().st_size > _MAX_BYTES:
        raise CohortError(f"{NAME} is longer than {_MAX_BYTES} bytes; give a table of one row per patient or scan.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(columns, target)
            rows = [
                _row(number, {k: (v or "").strip() for k, v in line.items() if k}, columns, target, root)
                for number, line in enumerate(reader, start=2)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"{NAME} is no UTF-8 table of comma-separated values; save it as CSV UTF-8.") from error
    if not rows:
        raise CohortError(f"{NAME} holds no rows below its header; add one row per patient.")
    _check_patients(rows, target)
    return rows


def named(name: str, target: Target) -> tuple[str, ...] | None:
    """The labels that a class name or folder stands for, whatever its case, or None where the recipe knows no such.

    For several labels `none` stands for no label, and each label implies the label `any` where the recipe has it.
    """
    known = {c.lower(): c for c in target.classes}
    wanted = name.strip().lower()
    if wanted in known:
        return implied((known[wanted],), target)
    return () if target.kind == "multilabel" and wanted == _NONE else None


def implied(labels: Sequence[str], target: Target) -> tuple[str, ...]:
    """Labels in the recipe's order, with `any` added where it follows from another label."""
    chosen = set(labels)
    if chosen and target.kind == "multilabel" and target.positive == _ANY:
        chosen.add(_ANY)
    return tuple(c for c in target.classes if c in chosen)


def _check_columns(columns: list[str], target: Target) -> None:
    if "patient_id" not in columns:
        raise CohortError(f"{NAME} has no column patient_id (columns: {', '.join(columns[:8])}); add it.")
    if len(set(columns)) != len(columns):
        raise CohortError(f"{NAME} repeats a column name; give every column a name of its own.")
    missing = [c for c in target.classes if c not in columns]
    if "label" not in columns and missing:
        raise CohortError(
            f"{NAME} has neither a column label nor all columns of the recipe's classes (missing: "
            f"{', '.join(missing)}); add them."
        )


def _row(number: int, line: dict[str, str], columns: list[str], target: Target, root: Path) -> Row:
    patient = line.get("patient_id", "")
    if not patient:
        raise CohortError(f"{NAME}, row {number}: patient_id is empty; fill it in or remove the row.")
    per_class = all(c in columns for c in target.classes)
    given = _flags(number, line, target) if per_class else _label(number, line.get("label", ""), target)
    known = {"patient_id", "label", "scan", "mask", *target.classes}
    return Row(
        number=number,
        patient=patient,
        labels=given,
        scan=_inside(number, "scan", line.get("scan", ""), root),
        mask=_inside(number, "mask", line.get("mask", ""), root),
        attributes={k: v for k, v in line.items() if k not in known and v},
    )


def _flags(number: int, line: dict[str, str], target: Target) -> tuple[str, ...] | None:
    values = {c: line.get(c, "") for c in target.classes}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if value not in ("0", "1", "0.0", "1.0"):
            raise CohortError(f"{NAME}, row {number}: {name} is '{value[:20]}' and has to be 0 or 1; correct it.")
    chosen = tuple(c for c, v in values.items() if float(v) == 1)
    if target.kind == "multiclass" and len(chosen) != 1:
        raise CohortError(
            f"{NAME}, row {number}: {len(chosen)} classes are 1 and exactly one has to be; correct the row."
        )
    if implied(chosen, target) != chosen:
        raise CohortError(f"{NAME}, row {number}: {_ANY} is 0 and {chosen[0]} is 1, which contradict; correct the row.")
    return chosen


def _label(number: int, value: str, target: Target) -> tuple[str, ...] | None:
    if not value:
        return None
    parts = [p for p in value.split(";") if p.strip()] if target.kind == "multilabel" else [value]
    labels: list[str] = []
    for part in parts:
        meaning = named(part, target)
        if meaning is None:
            raise CohortError(
                f"{NAME}, row {number}: '{part.strip()[:40]}' is none of the recipe's classes "
                f"({', '.join(target.classes)}); correct the label or the recipe."
            )
        labels += meaning
    return implied(labels, target)


def _inside(number: int, column: str, value: str, root: Path) -> str:
    """A path of the table, kept only when it exists below the root: a table may come from anywhere."""
    if not value:
        return ""
    relative = PurePosixPath(value.replace("\\", "/"))
    place = (root / relative).resolve()
    if relative.is_absolute() or not place.is_relative_to(root.resolve()):
        raise CohortError(f"{NAME}, row {number}: {column} leads out of the cohort's folder; give a relative path.")
    if not place.exists():
        raise CohortError(f"{NAME}, row {number}: {column} '{relative.name}' does not exist; correct the path.")
    return relative.as_posix()


def _check_patients(rows: list[Row], target: Target) -> None:
    """A patient may have several rows; without `scan` paths to tell them apart they may not disagree."""
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(row.patient, row)
        same_patient = other is not row
        if not same_patient or other.labels == row.labels:
            continue
        if target.kind == "multiclass" and other.labels and row.labels:
            raise CohortError(
                f"{NAME}, rows {other.number} and {row.number}: one patient has two classes ({other.labels[0]}, "
                f"{row.labels[0]}); correct one of them."
            )
        if not (other.scan and row.scan):
            raise CohortError(
                f"{NAME}, rows {other.number} and {row.number}: one patient has two sets of labels; keep one row, or "
                "say by the column scan which scan each row is about."
            )
