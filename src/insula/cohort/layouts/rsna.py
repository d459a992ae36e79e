"""The table of the RSNA 2019 haemorrhage challenge: rows `ID_xxxxxxxxx_label,0|1`, six for each DICOM file.

The labels are of slices: Flanders et al., Construction of a Machine Learning Dataset through Collaboration: The RSNA
2019 Brain CT Hemorrhage Challenge, Radiology: Artificial Intelligence 2(3), 2020.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from insula.cohort.found import Aside
from insula.cohort.grouping import Member
from insula.cohort.labels import implied
from insula.cohort.layouts.request import Laid, Request, stem
from insula.core.errors import CohortError

NAMES = ("stage_2_train.csv", "stage_1_train.csv")
KINDS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
_HEADER = ["id", "label"]
_ID = re.compile(r"(.+)_([a-z]+)$")
_ALL = (1 << len(KINDS)) - 1


def is_table(path: Path) -> bool:
    """Whether a file begins as this table does: the columns ID and Label, and a first id that ends with a label."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(line[:200] for line in stream)
            header, first = next(reader, []), next(reader, [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    match = _ID.match(first[0].strip()) if first else None
    return [c.strip().lower() for c in header] == _HEADER and match is not None and match[2] in KINDS


def find(root: Path) -> Path | None:
    """The table at the root of a folder, or None."""
    others = sorted(p for p in root.glob("*.csv") if p.name not in NAMES)
    return next((p for p in (*(root / name for name in NAMES), *others) if p.is_file() and is_table(p)), None)


def fits(request: Request) -> str:
    """Why this layout is the folder's, or "" without the table."""
    table = _taken(request)
    return f"{table.name} has the columns ID and Label of RSNA 2019" if table is not None else ""


def lay(request: Request) -> Laid:
    """One member for each DICOM file of the table; patient and series from the header.

    Where the recipe takes series, a series has every label that one of its slices has. Files without rows, with rows
    that contradict each other, or with fewer than six labels go to `aside`. Raises CohortError for a recipe whose
    classes are not among the six labels, and for a table with another kind of row.
    """
    table, recipe = _taken(request), request.recipe
    if table is None:
        raise CohortError(f"'{request.root.name}' holds no table with the columns ID and Label; give it with --labels.")
    strange = [c for c in recipe.target.classes if c not in KINDS]
    if strange or recipe.target.kind != "multilabel":
        raise CohortError(
            f"{table.name} labels {', '.join(KINDS)}, and recipe '{recipe.name}' asks for "
            f"{', '.join(strange) or 'one class only'}; take the recipe haemorrhage-ct."
        )
    numbers = {stem(item.path): n for n, item in enumerate(request.found)}
    positive, seen, clash, without = read(table, numbers)
    slices: list[tuple[int, str, tuple[str, ...]]] = []
    for n, item in enumerate(request.found):
        reason = _reason(int(seen[n]), int(positive[n]), bool(clash[n]), table.name)
        patient = request.patient_of(item.path) if request.pattern else None
        if patient is None and item.header is not None:
            patient = item.header.attributes.get("patient_id")
        if reason or not patient:
            request.aside.append(Aside(item.path, reason or "no PatientID in its header"))
            continue
        bits = int(positive[n])
        present = tuple(k for i, k in enumerate(KINDS) if bits >> i & 1 and k in recipe.target.classes)
        slices.append((n, patient, implied(present, recipe.target)))
    whole: dict[tuple[str, str], set[str]] = defaultdict(set)
    for n, patient, names in slices:
        whole[_series(request, n, patient)].update(names)
    by_series = recipe.input.unit == "series"
    members = [
        Member(
            request.found[n],
            patient,
            implied(tuple(whole[_series(request, n, patient)]), recipe.target) if by_series else names,
            row=1,
        )
        for n, patient, names in slices
    ]
    return Laid(members, without)


def read(
    path: Path, numbers: dict[str, int]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.uint8]], list[bool], int]:
    """Stream the table: for each image that has a number, its positive labels and its labelled ones as bits in the
    order of KINDS, and whether two rows contradict each other; then how many other images the table has.

    Memory grows with the images that have a number, not with the rows. The published table repeats some images; rows
    that agree count once. Raises CohortError for a row of another kind.
    """
    positive = np.zeros(len(numbers), np.uint8)
    seen = np.zeros(len(numbers), np.uint8)
    clash = [False] * len(numbers)
    places = {kind: i for i, kind in enumerate(KINDS)}
    without, last = 0, ""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            next(reader, None)
            for number, row in enumerate(reader, start=2):
                if not row:
                    continue
                image, _, kind = row[0].strip().rpartition("_")
                bit = places.get(kind)
                value = row[1].strip() if len(row) == 2 else ""
                if bit is None or not image or value not in ("0", "1", "0.0", "1.0"):
                    raise CohortError(
                        f"{path.name}, row {number}: '{','.join(row)[:40]}' is no row of the form ID_x_label,0 or 1; "
                        "correct it."
                    )
                n = numbers.get(image)
                if n is None:
                    without += image != last
                    last = image
                    continue
                flag, on = 1 << bit, value[0] == "1"
                if seen[n] & flag and bool(positive[n] & flag) != on:
                    clash[n] = True
                seen[n] |= flag
                positive[n] |= flag if on else 0
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"{path.name} is no UTF-8 table of comma-separated values; download it again.") from error
    return positive, seen, clash, without


def _taken(request: Request) -> Path | None:
    return request.table if request.table is not None and is_table(request.table) else find(request.root)


def _series(request: Request, n: int, patient: str) -> tuple[str, str]:
    header = request.found[n].header
    return patient, (header.series_uid if header is not None else "") or request.found[n].path


def _reason(seen: int, positive: int, clash: bool, table: str) -> str:
    """Why an image cannot be used, or ""."""
    if not seen:
        return f"no row of {table} is about it"
    if clash:
        return f"its rows in {table} contradict each other"
    if seen != _ALL:
        return f"{table} has {seen.bit_count()} of its 6 labels"
    if bool(positive & 1) != bool(positive >> 1):
        return f"its label any contradicts its other labels in {table}"
    return ""
