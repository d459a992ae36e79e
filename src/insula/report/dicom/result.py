"""What the writers of DICOM objects are given, and what they give back; they know no database and no network.

Slices are counted from 0 here: one for each header of a series, or one for each frame of its one multi-frame header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.infer.heatmap import CLASS_MAP
from insula.report.case.record import CaseReport

if TYPE_CHECKING:  # what is read at the start of the service needs no pydicom
    from pydicom.dataset import Dataset, FileDataset

Object = Literal[
    "report", "capture", "map", "region", "pdf"
]  # SR, secondary capture, parametric map, segmentation, PDF


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """One series that the answer is about. role: the model's input that it was (`ct`).

    headers: its instances in the order of their slices, decoded; pixels are neither needed nor read. picture: slice →
    the picture of it on its own pixels, windowed, uint8 (H, W) or (H, W, 3); asked for the slices of `captured` alone,
    one after the other. captured: which slices become pictures with the heat over them, () for none.
    """

    role: str
    headers: tuple[Dataset, ...]
    picture: Callable[[int], NDArray[np.uint8]] | None = None
    captured: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Heat:
    """Where in a series the evidence for one class lies.

    role: of the series that `plane` is on. finding: the class. plane: slice → its heat on the pixels of that slice,
    float32 (H, W), below 0 where it speaks against the class; asked for one after the other, more than once. top: the
    heat of the brightest colour, one for the whole series. present: whether the answer is that the class is there;
    where it is not, the heat is shown as what it is and no region is marked. unit: of the heat, in words. colours: name
    of the colour map. level: the share of `top` from which on the region (kind `region`) counts as hot.
    """

    role: str
    finding: str
    plane: Callable[[int], FloatArray]
    top: float
    present: bool
    unit: str = CLASS_MAP
    colours: str = "inferno"
    level: float = 0.5


@dataclass(frozen=True, eq=False)
class Result:
    """One answer, with all that its objects are made of.

    id: of the prediction; review_id: of the review that `report.review` tells of, "" for none. The objects' UIDs are
    made of the id and the kind, those of the report and the PDF of the review as well: the same result gives the same
    objects, and a review new reports but no second set of the same pictures and maps. pdf: the case report on paper.
    earlier: reports (SR) of the same answer that this one supersedes, with their UIDs (study, series, SOP class and
    instance). institution: where readers sign, "" to take it from the headers.
    """

    id: str
    report: CaseReport
    series: tuple[SourceSeries, ...]
    heat: tuple[Heat, ...] = ()
    pdf: bytes | None = None
    review_id: str = ""
    earlier: tuple[Dataset, ...] = ()
    institution: str = ""


@dataclass(frozen=True, eq=False)
class Made:
    """One object, with file meta information, ready to be written or sent."""

    kind: Object
    dataset: FileDataset
