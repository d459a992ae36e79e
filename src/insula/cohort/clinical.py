"""Clinical columns: a table of patients whose columns become attributes of their cases."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from insula.cohort.join import same
from insula.core.errors import CohortError
from insula.core.types import Case, Cohort

IDS = ("patient_id", "patient", "PatientID", "participant_id", "subject", "subject_id", "case", "case_id", "id")
_OF_CASES = frozenset({"case", "case_id", "key"})
_MISSING = frozenset({"", "n/a"})  # BIDS 1.10, Tabular files: missing values are n/a
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Table:
    """A table's rows by id: column → text as written, empty cells left out."""

    name: str
    key: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Attached:
    """A cohort with a table's columns; which they are, how many cases have no row, and how many rows no case."""

    cohort: Cohort
    columns: tuple[str, ...]
    cases_without_row: int
    rows_without_case: int


def read(path: Path, key: str | None = None) -> Table:
    """A CSV (or tab-separated .tsv) table with a column of ids; cells stay text, blanks around them aside.

    key: the column of ids; without it the first of `IDS` that the table has. Raises CohortError for a file that is no
    such table, a row without an id, and an id with two different rows.
    """
    if not path.is_file():
        raise CohortError(f"There is no table '{path.name}'; check the path after --table.")
    if path.stat().st_size > _MAX_BYTES:
        raise CohortError(f"{path.name} is longer than {_MAX_BYTES} bytes; give a table of one row per patient.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            columns = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"{path.name} is no UTF-8 table of comma-separated values; save it as CSV UTF-8.") from error
    ids = _ids(path.name, columns, key)
    place = columns.index(ids)
    rows: dict[str, Mapping[str, str]] = {}
    for number, line in lines:
        if len(line) > len(columns):
            raise CohortError(f"{path.name}, row {number}: more cells than the header has columns; correct the row.")
        cells = dict(zip(columns, line, strict=False))
        name = cells.pop(ids) if place < len(line) else ""
        if not name:
            raise CohortError(f"{path.name}, row {number}: {ids} is empty; fill it in or remove the row.")
        row = {column: cell for column, cell in cells.items() if cell.lower() not in _MISSING}
        if rows.setdefault(name, row) != row:
            raise CohortError(f"{path.name}, row {number}: a second, different row of one {ids}; keep one of them.")
    return Table(path.name, ids, tuple(c for c in columns if c != ids), rows)


def attach(cohort: Cohort, table: Table) -> Attached:
    """The cohort's cases with the table's cells as attributes; an empty cell adds none.

    A table whose ids stand in a column `case`, `case_id` or `key` is joined by the cases' keys where they match any,
    all others by patient. Raises CohortError where no id is known, and for a cell that contradicts an attribute.
    """
    by_case = table.key in _OF_CASES and any(case.key in table.rows for case in cohort.cases)
    made: list[Case] = []
    used: set[str] = set()
    without = 0
    for case in cohort.cases:
        name = case.key if by_case else case.patient
        row = table.rows.get(name)
        if row is None:
            without += 1
            made.append(case)
            continue
        used.add(name)
        for column, cell in row.items():
            if column in case.attributes and not same(case.attributes[column], cell):
                raise CohortError(
                    f"'{name}' has '{cell[:40]}' as {column} in {table.name} and '{case.attributes[column][:40]}' in "
                    "the cohort; correct one of them, or take the column out of the table."
                )
        made.append(replace(case, attributes={**case.attributes, **row}))
    if not used:
        raise CohortError(
            f"None of the {len(table.rows)} ids in the column {table.key} of {table.name} is one of the cohort's; name "
            "the column of ids with --id."
        )
    return Attached(replace(cohort, cases=tuple(made)), table.columns, without, len(table.rows) - len(used))


def _ids(name: str, columns: list[str], asked: str | None) -> str:
    if len(set(columns)) != len(columns):
        raise CohortError(f"{name} repeats a column name; give every column a name of its own.")
    for key in (asked,) if asked is not None else IDS:
        if key in columns:
            return str(key)
    wanted = f"'{asked}'" if asked is not None else "of ids (patient_id, patient, case, …)"
    raise CohortError(
        f"{name} has no column {wanted} (columns: {', '.join(columns[:8])}); name the column of ids with --id."
    )
