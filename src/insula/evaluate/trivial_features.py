"""What a trivial model sees of a case: facts about the scan, the border of its pictures, its outline, a thumbnail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from insula.core.labels import clinical
from insula.core.recipe_inputs import ClinicalColumn
from insula.core.types import Case
from insula.evaluate.pictures import Pictures

Values = NDArray[np.float64]
_SIZE = re.compile(r"\d+(?:x\d+)+")
_RARE, _MOST = 3, 30
_NUMBERS = 0.8
_IDS = frozenset({"patient", "patient_id", "study_uid", "series_uid", "scan", "mask"})
_BORDER_SIDE, _SMALL = 32, 8
_FRAME = 0.1
_OUTLINE, _GROUND = 16, 20  # of 255: the noise of air


@dataclass(frozen=True)
class Columns:
    """How facts become numbers, learned on training cases.

    numbers: columns taken as they are, with the training median for what is missing. values: column → values that got
    a 0 or 1 of their own (those of at least 3 training cases).
    """

    numbers: Mapping[str, float]
    values: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The facts that are used."""
        return tuple(sorted({*self.numbers, *self.values}))


def facts(case: Case) -> dict[str, str]:
    """Everything that is known of a case beside its pixels and labels; sizes by their sides, scans by their number."""
    found: dict[str, str] = {}
    for role, scan in case.scans.items():
        for name, value in (*scan.attributes.items(), ("format", scan.format), ("files", str(len(scan.paths)))):
            found[f"{role}.{name}"] = value
    found |= dict(case.attributes)
    found["scans"] = str(len(case.scans))
    for name, value in list(found.items()):
        if _SIZE.fullmatch(value):
            found |= {f"{name}[{i}]": side for i, side in enumerate(value.split("x"))}
    return found


def learn(cases: Sequence[Case], without: Collection[str]) -> Columns:
    """The columns of training cases that vary. without: names that must not be used, such as those of labels.

    Ids never are. A column is numeric where four fifths of its values are numbers and there are more than three of
    them; what takes many rare values (free text) falls away by itself.
    """
    rows = [facts(case) for case in cases]
    numbers: dict[str, float] = {}
    values: dict[str, tuple[str, ...]] = {}
    for name in sorted({name for row in rows for name in row}):
        bare = name.split("[")[0].rsplit(".", 1)[-1]
        if bare in _IDS or bare in without or name in without:
            continue
        given = [row[name] for row in rows if row.get(name)]
        as_numbers = _numbers(name, given)
        known = as_numbers[np.isfinite(as_numbers)]
        if len(known) >= _NUMBERS * len(given) and len(np.unique(known)) > 3:
            numbers[name] = float(np.median(known))
            continue
        counted = Counter(row.get(name, "") for row in rows)
        common = [value for value, count in counted.most_common(_MOST) if count >= _RARE]
        if len(common) > 1 or (common and len(counted) > 1):
            values[name] = tuple(common)
    return Columns(numbers, values)


def metadata(cases: Sequence[Case], columns: Columns) -> Values:
    """Facts of cases as numbers (n, columns); a missing number is the training median, with a flag beside it."""
    rows = [facts(case) for case in cases]
    parts: list[Values] = []
    for name, middle in columns.numbers.items():
        known = _numbers(name, [row.get(name, "") for row in rows])
        missing = ~np.isfinite(known)
        parts += [np.where(missing, middle, known), missing.astype(np.float64)]
    for name, values in columns.values.items():
        parts += [np.array([float(row.get(name, "") == value) for row in rows]) for value in values]
    return np.stack(parts, axis=1) if parts else np.zeros((len(rows), 0))


def border(pictures: Pictures) -> Values:
    """The outer tenth of each case's mean picture at 32 × 32, (n, 348), 0 to 1; zeros where there is no picture."""
    grey = mean_pictures(pictures, _BORDER_SIDE)
    width = round(_FRAME * _BORDER_SIDE)
    frame = np.ones((_BORDER_SIDE, _BORDER_SIDE), dtype=bool)
    frame[width:-width, width:-width] = False
    return grey[:, frame]


def thumbnail(pictures: Pictures) -> Values:
    """Each case's mean picture at 8 × 8, (n, 64), 0 to 1: outline and brightness, no detail."""
    return mean_pictures(pictures, _SMALL).reshape(len(pictures.cases), -1)


def silhouette(pictures: Pictures) -> Values:
    """How much of each of 16 × 16 fields what is shown covers, nothing of what it looks like, (n, 256), 0 to 1."""
    return mean_pictures(pictures, _OUTLINE, _filled).reshape(len(pictures.cases), -1)


def _filled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where a thumbnail shows more than its ground, holes filled, and 0 elsewhere."""
    found: NDArray[np.uint8] = binary_fill_holes(picture > _GROUND).astype(np.uint8) * np.uint8(255)
    return found


def mean_pictures(
    pictures: Pictures, side: int, of: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = np.asarray
) -> Values:
    """The mean over a case's thumbnails, (n, side, side), 0 to 1; of: what is made of each thumbnail first."""
    total = np.zeros((len(pictures.cases), side, side))
    count = np.zeros(len(pictures.cases))
    for number, one in zip(pictures.found.cases.tolist(), pictures.found.thumbnails, strict=True):
        total[number] += cv2.resize(of(np.asarray(one)), (side, side), interpolation=cv2.INTER_AREA) / 255.0
        count[number] += 1
    return total / np.maximum(count, 1)[:, None, None]


def _numbers(name: str, texts: Sequence[str]) -> Values:
    column = {name: ClinicalColumn(kind="number")}
    return np.array([clinical({name: text}, column)[0] for text in texts], dtype=np.float64)
