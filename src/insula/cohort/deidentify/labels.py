"""A table of labels with pseudonyms for patients, new paths for scans, and no column that was not asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from insula.cohort.deidentify.dates import capped_years
from insula.cohort.deidentify.keys import Key
from insula.core.errors import CohortError

PATIENT, LABEL = "patient_id", "label"
PATHS = frozenset({"scan", "mask"})
_AGES = frozenset({"age", "age_years", "patient_age"})
_FLAGS = frozenset({"0", "1", "0.0", "1.0", ""})


@dataclass(frozen=True)
class Table:
    """The cleaned table as CSV, its rows, the columns left out, and the rows whose scan has no copy."""

    text: str
    rows: int
    dropped: tuple[str, ...]
    without_scan: int


def clean(path: Path, key: Key, places: Mapping[str, str], keep: Iterable[str] = ()) -> Table:
    """Rewrite a table of labels.

    places: old path → new path below the cohort's folder, of everything that was written. Kept are `patient_id` (as a
    pseudonym), `label`, columns of 0 and 1, `scan` and `mask` (as new paths), and the columns named in keep (an age
    above 89 becomes 90+). A row whose scan was not written is left out. Raises CohortError for a table without
    patient_id.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            lines = [{k: (v or "").strip() for k, v in line.items() if k} for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(
            f"'{path.name}' is no UTF-8 table of comma-separated values; save it as CSV UTF-8."
        ) from error
    if PATIENT not in columns:
        raise CohortError(f"'{path.name}' has no column {PATIENT}; add it, or leave --labels out.")
    wanted = {name.strip() for name in keep}
    if unknown := sorted(wanted - set(columns)):
        raise CohortError(f"'{path.name}' has no column '{unknown[0]}'; name one of its columns to keep.")
    kept = [
        c for c in columns if c in {PATIENT, LABEL} | PATHS | wanted or all(line.get(c, "") in _FLAGS for line in lines)
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, kept, lineterminator="\n")
    writer.writeheader()
    missing = rows = 0
    for line in lines:
        new = {c: _value(c, line.get(c, ""), key, places) for c in kept}
        if any(line.get(c) and not new.get(c) for c in PATHS & set(kept)):
            missing += 1
            continue
        writer.writerow(new)
        rows += 1
    return Table(out.getvalue(), rows, tuple(c for c in columns if c not in kept), missing)


def _value(column: str, value: str, key: Key, places: Mapping[str, str]) -> str:
    if column == PATIENT:
        return key.name(value) if value else ""
    if column in PATHS:
        return places.get(PurePosixPath(value.replace("\\", "/")).as_posix(), "") if value else ""
    return capped_years(value) if column.lower() in _AGES and value else value
