"""Labels: a table of patients, studies, series or scans, and what a class name means for a recipe's target."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from insula.core.errors import CohortError
from insula.core.recipe import Target

NAME = "labels.csv"
_NONE = "none"
_LABEL = "label"
_UNKNOWN = "n/a"
_IDS = frozenset({"patient_id", "study_uid", "series_uid"})
_ALIASES = {
    "patientid": "patient_id",
    "participantid": "patient_id",
    "studyuid": "study_uid",
    "studyinstanceuid": "study_uid",
    "seriesuid": "series_uid",
    "seriesinstanceuid": "series_uid",
}
_ANY = "any"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Row:
    """One line of the table. labels is None where the line gives none; scan and mask are relative to the root.

    patient is "" where the line names a study or series instead, whose header names the patient.
    """

    number: int
    patient: str
    labels: tuple[str, ...] | None
    scan: str
    mask: str
    attributes: Mapping[str, str]
    study: str = ""
    series: str = ""


@dataclass(frozen=True)
class _Table:
    """The table's file name, its columns, the one that holds class names, and what they are about."""

    name: str
    columns: list[str]
    label: str
    target: Target
    root: Path


def read(path: Path, target: Target, root: Path, column: str | None = None, unlabelled: bool = False) -> list[Row]:
    """The rows of a CSV (or tab-separated .tsv) table, checked against the target and the folder `root`.

    Columns: patient_id, study_uid or series_uid (DICOM's own names and BIDS' participant_id do too); `label`, or the
    column named (one class name, for several labels joined by `;`), or one 0/1 column per class; optional `scan` and
    `mask`; every other column becomes an attribute. unlabelled: whether a table without labels will do.
    Raises CohortError naming the row at fault.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise CohortError(
            f"{path.name} is longer than {_MAX_BYTES} bytes; give a table of one row per patient or scan."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=_delimiter(path))
            table = _Table(path.name, _named(reader.fieldnames), column or _LABEL, target, root)
            reader.fieldnames = table.columns
            _check_columns(table, column, unlabelled)
            rows = [
                _row(number, {k: (v or "").strip() for k, v in line.items() if k}, table)
                for number, line in enumerate(reader, start=2)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"{path.name} is no UTF-8 table of comma-separated values; save it as CSV UTF-8.") from error
    if not rows:
        raise CohortError(f"{path.name} holds no rows below its header; add one row per patient.")
    _check_patients(rows, table)
    return rows


def columns(path: Path) -> list[str]:
    """The names of a table's columns; none where it is no table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _named(csv.DictReader(stream, delimiter=_delimiter(path)).fieldnames)
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


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
    if chosen and target.any_of_the_others:
        chosen.add(target.positive)
    return tuple(c for c in target.classes if c in chosen)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _named(fields: Sequence[str] | None) -> list[str]:
    """Column names without blanks around them, those that DICOM and BIDS give to the ids under our names."""
    return [_ALIASES.get(name.strip().lower().replace("_", ""), name.strip()) for name in fields or ()]


def _check_columns(table: _Table, asked: str | None, unlabelled: bool) -> None:
    columns = table.columns
    if not _IDS & set(columns):
        raise CohortError(
            f"{table.name} has no column patient_id (nor study_uid or series_uid; columns: {', '.join(columns[:8])}); "
            "add it."
        )
    if len(set(columns)) != len(columns):
        raise CohortError(f"{table.name} repeats a column name; give every column a name of its own.")
    if asked is not None and asked not in columns:
        raise CohortError(
            f"{table.name} has no column '{asked}' (columns: {', '.join(columns[:8])}); correct the name."
        )
    missing = [c for c in table.target.classes if c not in columns]
    if table.label not in columns and missing and not unlabelled:
        raise CohortError(
            f"{table.name} has neither a column label nor all columns of the recipe's classes (missing: "
            f"{', '.join(missing)}); add them, or name the column with --label-column."
        )


def _row(number: int, line: dict[str, str], table: _Table) -> Row:
    patient, study, series = (line.get(name, "") for name in ("patient_id", "study_uid", "series_uid"))
    if not (patient or study or series):
        raise CohortError(f"{table.name}, row {number}: patient_id is empty; fill it in or remove the row.")
    classes = table.target.classes
    flags = all(c in table.columns for c in classes) and table.label == _LABEL
    given = _flags(number, line, table) if flags else _label(number, line.get(table.label, ""), table)
    known = {*_IDS, table.label, "scan", "mask", *(classes if flags else ())}
    return Row(
        number=number,
        patient=patient,
        labels=given,
        scan=_inside(number, "scan", line.get("scan", ""), table),
        mask=_inside(number, "mask", line.get("mask", ""), table),
        attributes={k: v for k, v in line.items() if k not in known and v},
        study=study,
        series=series,
    )


def _flags(number: int, line: dict[str, str], table: _Table) -> tuple[str, ...] | None:
    target = table.target
    values = {c: line.get(c, "") for c in target.classes}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if value not in ("0", "1", "0.0", "1.0"):
            raise CohortError(f"{table.name}, row {number}: {name} is '{value[:20]}' and has to be 0 or 1; correct it.")
    chosen = tuple(c for c, v in values.items() if float(v) == 1)
    if target.kind == "multiclass" and len(chosen) != 1:
        raise CohortError(
            f"{table.name}, row {number}: {len(chosen)} classes are 1 and exactly one has to be; correct the row."
        )
    if implied(chosen, target) != chosen:
        raise CohortError(
            f"{table.name}, row {number}: {_ANY} is 0 and {chosen[0]} is 1, which contradict; correct the row."
        )
    return chosen


def _label(number: int, value: str, table: _Table) -> tuple[str, ...] | None:
    target = table.target
    if not value or value.lower() == _UNKNOWN:
        return None
    parts = [p for p in value.split(";") if p.strip()] if target.kind == "multilabel" else [value]
    labels: list[str] = []
    for part in parts:
        meaning = named(part, target)
        if meaning is None:
            raise CohortError(
                f"{table.name}, row {number}: '{part.strip()[:40]}' is none of the recipe's classes "
                f"({', '.join(target.classes)}); correct the label or the recipe."
            )
        labels += meaning
    return implied(labels, target)


def _inside(number: int, column: str, value: str, table: _Table) -> str:
    """A path of the table, kept only when it exists below the root: a table may come from anywhere."""
    if not value:
        return ""
    relative = PurePosixPath(value.replace("\\", "/"))
    try:
        place = (table.root / relative).resolve()
        there = place.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL character, or links in a circle
        raise CohortError(f"{table.name}, row {number}: {column} is no path that can be; correct it.") from error
    if relative.is_absolute() or not place.is_relative_to(table.root.resolve()):
        raise CohortError(
            f"{table.name}, row {number}: {column} leads out of the cohort's folder; give a relative path."
        )
    if not there:
        raise CohortError(f"{table.name}, row {number}: {column} '{relative.name}' does not exist; correct the path.")
    return relative.as_posix()


def _check_patients(rows: list[Row], table: _Table) -> None:
    """A patient may have several rows; without scans, series or studies to tell them apart they may not disagree."""
    first: dict[str, Row] = {}
    for row in rows:
        if not row.patient:
            continue
        other = first.setdefault(row.patient, row)
        if other is row or other.labels == row.labels:
            continue
        if table.target.kind == "multiclass" and other.labels and row.labels:
            raise CohortError(
                f"{table.name}, rows {other.number} and {row.number}: one patient has two classes ({other.labels[0]}, "
                f"{row.labels[0]}); correct one of them."
            )
        if not all(r.scan or r.series or r.study for r in (other, row)):
            raise CohortError(
                f"{table.name}, rows {other.number} and {row.number}: one patient has two sets of labels; keep one "
                "row, or say by the column scan which scan each row is about."
            )
