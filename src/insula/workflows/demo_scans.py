"""Which phantom scans a demo shows: answers of each kind, and scans that the model was not made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pydicom

from insula.cohort import table
from insula.cohort.phantom.make import make
from insula.core.types import Case

_MOST: Final[Mapping[str, int]] = {"accept": 4, "refer": 3, "reject": 1}
_OTHER: Final = {"haemorrhage-ct": "brain-tumour", "stroke-ct": "brain-tumour", "brain-tumour": "haemorrhage-ct"}
_OTHERWISE: Final = "stroke-ct"


@dataclass(frozen=True)
class Sent:
    """One study to upload: files of one scan under a patient's key."""

    patient: str
    title: str
    files: tuple[Path, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


def scans_of(demo: Path, recipe: str, work: Path) -> list[Sent]:
    """Scans of a finished demo's test patients, some of each decision, and two that the model was not made for.

    In the order in which they are sent: the newest, which a worklist shows first, is one whose answer was accepted.

    work: an empty folder for the latter, which has to stay until they were sent.
    """
    cohort = table.load(demo / "cohort.parquet")
    decided = pd.read_parquet(demo / "cases.parquet", columns=["case", "action"])
    actions = dict(zip(decided["case"], decided["action"], strict=True))
    known = [case for case in cohort.of_split("test") if case.key in actions]
    chosen = [case for action, most in _MOST.items() for case in _some(known, actions, action, most)]
    root = Path(cohort.root)
    made = [Sent(case.patient, "Phantom", _files(case, root), dict(case.attributes)) for case in chosen]
    return [_other(recipe, work), *_unlike(made, work), *reversed(made)]


def _some(cases: Sequence[Case], actions: Mapping[str, str], action: str, most: int) -> list[Case]:
    """Cases of a decision, those with a finding and those without in turn."""
    found = [case for case in cases if actions[case.key] == action]
    by_label: dict[tuple[str, ...], list[Case]] = {}
    for case in found:
        by_label.setdefault(next(iter(case.labels.values()), ()), []).append(case)
    turns = [row[place] for place in range(len(found)) for row in by_label.values() if place < len(row)]
    return turns[:most]


def _files(case: Case, root: Path) -> tuple[Path, ...]:
    return tuple(sorted(root / name for name in next(iter(case.scans.values())).paths))


def _below(place: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in place.rglob("*") if p.is_file())) if place.is_dir() else (place,)


def _unlike(made: Sequence[Sent], work: Path) -> list[Sent]:
    """A bottle of water on the scanner's table, as it is scanned to check the scanner: DICOM of the right modality."""
    files = [path for one in made[:1] for path in one.files]
    place = work / "water"
    place.mkdir(parents=True)
    written = []
    for number, path in enumerate(files):
        if not pydicom.misc.is_dicom(path):
            return []
        slice_ = pydicom.dcmread(path)
        slice_.PatientID = slice_.PatientName = "WATER-1"
        slice_.PixelData = _water(slice_, number).tobytes()
        slice_.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        written.append(place / path.name)
        slice_.save_as(written[-1])
    return [Sent("WATER-1", "Water bottle of the scanner's daily check", tuple(written))]


def _water(slice_: pydicom.Dataset, number: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Stored values of a disc of water (0 HU) in air (-1000 HU), with noise of 4 HU."""
    rows, columns = int(slice_.Rows), int(slice_.Columns)
    y, x = np.mgrid[:rows, :columns]
    inside = np.hypot(y - rows / 2, x - columns / 2) < 0.35 * min(rows, columns)
    hu = np.where(inside, 0.0, -1000.0) + np.random.default_rng(number).normal(0.0, 4.0, (rows, columns))
    slope, intercept = float(slice_.get("RescaleSlope", 1)), float(slice_.get("RescaleIntercept", 0))
    kind = np.int16 if int(slice_.PixelRepresentation) else np.uint16
    limits = np.iinfo(kind)
    return np.clip(np.rint((hu - intercept) / slope), max(limits.min, -2048), min(limits.max, 4095)).astype(kind)


def _other(recipe: str, work: Path) -> Sent:
    """A scan of another modality, which the model does not take."""
    kind = _OTHER.get(recipe, _OTHERWISE)
    root = make(kind, work / "other", 2, seed=1, size=64, slices=8)
    labels = pd.read_csv(root / "labels.csv", dtype=str, keep_default_na=False)
    first = labels.iloc[0]
    return Sent(f"{first['patient_id']}-other", "Phantom of another modality", _below(root / first["scan"]))
