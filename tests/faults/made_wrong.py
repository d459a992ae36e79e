"""Kinds of wrong input, each with the goal that was set for it before anything was measured, and why.

What pixels and headers of one scan cannot tell has the goal 0, and says so: such scans are for the site to keep out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from tests.faults.made_series import SIDE, Files, filled, moved, places, put, said, shown, stored
from tests.infer import made_strangers as strangers

Change = Callable[[Files, int], Files]


@dataclass(frozen=True)
class Wrong:
    """make: a sound series and a number, to the wrong one. least: share that must not be taken as sound. why: of it.

    refused: whether the goal is that no answer is given at all. unmet: why the goal is known to be missed; then it is
    written down and not held. header_alone: told without a trained model.
    """

    make: Change
    least: float
    why: str
    refused: bool = False
    unmet: str = ""
    header_alone: bool = False

    @property
    def goal(self) -> str:
        """The goal in words, for the table."""
        if self.least == 0:
            return f"none: {self.why}"
        what = "refused" if self.refused else "refused or flagged"
        text = f"{self.least:.0%} {what}: {self.why}"
        return f"{text}; not met: {self.unmet}" if self.unmet else text


def _values(make: Callable[[int], NDArray[np.floating]], **fields: object) -> Change:
    def change(files: Files, number: int) -> Files:
        return said(**fields)(filled(files, make(number)), number)

    return change


def _of(make: Callable[[int], object]) -> Callable[[int], NDArray[np.floating]]:
    """HU (Z, Y, X) of a stranger that is drawn as a Volume; twelve slices are thinned to the eight of a series."""

    def values(number: int) -> NDArray[np.floating]:
        array: NDArray[np.floating] = make(number).array[0]  # type: ignore[attr-defined]
        chosen: NDArray[np.floating] = array[np.linspace(0, len(array) - 1, 8).round().astype(int)]
        return chosen

    return values


def _photograph(number: int) -> NDArray[np.floating]:
    grey = strangers.photograph(number, grey=True, side=SIDE).array[0, 0]
    return np.repeat(grey[None] - 1024.0 + 1024.0, 8, axis=0)


def _mr(files: Files, number: int) -> Files:
    """The head as an MR would store it: bone and air dark, tissue by its water, no Hounsfield units."""
    made = deepcopy(files)
    for one in made:
        hu = stored(one) - 1024.0
        soft = np.clip(hu, -200, 200)
        signal = np.where((hu > 200) | (hu < -300), 15.0, 420.0 - 3.0 * soft)
        put(one, signal + np.random.default_rng(number).normal(0, 8, signal.shape))
    return made


def _repeated(files: Files, number: int) -> Files:
    made = deepcopy(files)
    at = 2 + number % 4
    return [*made, said(SOPInstanceUID=f"1.2.3.{number}.9")([made[at]], 0)[0]]


def _same_picture(files: Files, number: int) -> Files:
    """A slice whose pixels are those of its neighbour, at a place of its own."""
    made = deepcopy(files)
    at = 2 + number % 4
    made[at].PixelData = made[at + 1].PixelData
    return made


def _other_patient(files: Files, others: Files, number: int) -> Files:
    made = deepcopy(files)
    for k in (3, 4):
        made[k].PixelData = others[k].PixelData
    return made


def _named(**fields: object) -> Change:
    """Two slices of the series say something else."""

    def change(files: Files, number: int) -> Files:
        made = deepcopy(files)
        return [said(**fields)([one], 0)[0] if k in (3, 4) else one for k, one in enumerate(made)]

    return change


def _scaled_gaps(factor: float) -> Change:
    def change(files: Files, number: int) -> Files:
        first, *rest = places(files)
        return moved(files, [first, *([*p[:2], first[2] + factor * (p[2] - first[2])] for p in rest)])

    return change


def _spacing(rows: float, columns: float) -> Change:
    def change(files: Files, number: int) -> Files:
        y, x = (float(v) for v in files[0].PixelSpacing)
        return said(PixelSpacing=[y * rows, x * columns])(files, number)

    return change


def _sharpened(values: NDArray[np.int16]) -> NDArray[np.floating]:
    soft = values.astype(np.float64)
    sharp: NDArray[np.floating] = soft + 2.5 * (soft - gaussian_filter(soft, 0.8))
    return sharp


def _contrast(files: Files, number: int) -> Files:
    """Vessels and membranes bright, grey matter a little: what an agent does, drawn roughly."""
    made = deepcopy(files)
    g = np.random.default_rng(number)
    for one in made:
        hu = stored(one) - 1024.0
        brain = (hu > 15) & (hu < 60)
        vessels = gaussian_filter(g.normal(size=hu.shape), 1.0)
        bright = brain & (vessels > np.quantile(vessels[brain], 0.95) if brain.any() else brain)
        put(one, hu + np.where(bright, 140.0, np.where(brain, 5.0, 0.0)) + 1024.0)
    return made


def _other_slope(files: Files, number: int) -> Files:
    made = deepcopy(files)
    made[4].RescaleSlope = "2"
    return made


def _bytes_swapped(files: Files, number: int) -> Files:
    made = deepcopy(files)
    for one in made:
        one.PixelData = stored(one).byteswap().tobytes()
    return made


ORGANS: Mapping[str, Wrong] = {
    "knee CT, the header says so": Wrong(
        _values(_of(strangers.knee), BodyPartExamined="KNEE"), 1.0, "the header is enough", True, header_alone=True
    ),
    "knee CT, the header says nothing": Wrong(
        _values(_of(strangers.knee), BodyPartExamined=None), 0.95, "it looks unlike any head"
    ),
    "chest CT, the header says so": Wrong(
        _values(_of(strangers.chest), BodyPartExamined="CHEST"), 1.0, "the header is enough", True, header_alone=True
    ),
    "chest CT, the header says HEAD": Wrong(_values(_of(strangers.chest)), 0.95, "it looks unlike any head"),
}
MODALITIES: Mapping[str, Wrong] = {
    **{
        f"{what}, the header says so": Wrong(said(Modality=code), 1.0, "the header is enough", True, header_alone=True)
        for what, code in (("MR", "MR"), ("PET", "PT"), ("ultrasound", "US"), ("angiography", "XA"))
    },
    "MR of the head, the header says CT": Wrong(_mr, 0.95, "its contrast is unlike any CT's"),
    "photograph in the files of a CT": Wrong(_values(_photograph), 0.95, "it looks unlike any head"),
}
TURNED: Mapping[str, Wrong] = {
    "left and right exchanged, the header silent": Wrong(
        shown(lambda v: v[:, ::-1]), 0.0, "a head looks much the same from both sides"
    ),
    "front and back exchanged, the header silent": Wrong(
        shown(lambda v: v[::-1]), 0.5, "a head's outline is much the same, its inside is not"
    ),
    "turned by 90 degrees, the header silent": Wrong(
        shown(lambda v: np.rot90(v)), 0.95, "no head lies so in a scanner"
    ),
    "order of slices turned over, the header silent": Wrong(
        lambda files, n: moved(files, places(files)[::-1]),
        0.5,
        "the skull base is below",
        unmet="the network pools over slices",
    ),
}
SLICES: Mapping[str, Wrong] = {
    "one slice missing": Wrong(
        lambda files, n: [f for k, f in enumerate(files) if k != 2 + n % 4], 1.0, "the gap shows", header_alone=True
    ),
    "three slices missing in a row": Wrong(
        lambda files, n: [f for k, f in enumerate(files) if k not in (3, 4, 5)],
        1.0,
        "the gap is too wide to be filled",
        True,
        header_alone=True,
    ),
    "every other slice missing": Wrong(
        lambda files, n: files[::2], 1.0, "slices are thinner than they lie apart", header_alone=True
    ),
    "lowest half missing": Wrong(lambda files, n: files[4:], 0.5, "what is there is sound", header_alone=True),
    "highest half missing": Wrong(lambda files, n: files[:4], 0.5, "what is there is sound", header_alone=True),
    "a slice twice in one place": Wrong(_repeated, 1.0, "the place shows", header_alone=True),
    "a slice's picture in two places": Wrong(
        _same_picture, 1.0, "no two slices are equal to the bit", header_alone=True
    ),
    "no positions in the headers": Wrong(
        said(ImagePositionPatient=None, ImageOrientationPatient=None), 1.0, "left is not known", header_alone=True
    ),
}
MIXED: Mapping[str, Wrong] = {
    "two slices of another patient's id": Wrong(
        _named(PatientID="OTHER"), 1.0, "one series is of one patient", True, header_alone=True
    ),
    "two slices of another study": Wrong(
        _named(StudyInstanceUID="1.2.3.4.5"), 1.0, "one series is of one study", True, header_alone=True
    ),
    "two slices of another series": Wrong(
        _named(SeriesInstanceUID="1.2.3.4.5"), 1.0, "a scan is one series", True, header_alone=True
    ),
    "two slices of another modality": Wrong(
        _named(Modality="MR"), 1.0, "one series is of one modality", True, header_alone=True
    ),
    "two slices of another frame of reference": Wrong(
        _named(FrameOfReferenceUID="1.2.3.4.5"), 1.0, "their places cannot be compared", header_alone=True
    ),
}
VALUES: Mapping[str, Wrong] = {
    "slope twice as large": Wrong(said(RescaleSlope="2", RescaleIntercept="-2048"), 0.95, "tissue is brighter by far"),
    "slope half as large": Wrong(said(RescaleSlope="0.5", RescaleIntercept="-512"), 0.95, "tissue is darker by far"),
    "intercept left out": Wrong(said(RescaleIntercept="0"), 1.0, "there is no air of -1000 HU"),
    "intercept taken away twice": Wrong(said(RescaleIntercept="-2048"), 1.0, "there is no tissue"),
    "no rescale at all": Wrong(
        said(RescaleIntercept=None, RescaleSlope=None, RescaleType=None), 1.0, "no Hounsfield units", header_alone=True
    ),
    "one slice of another slope": Wrong(_other_slope, 1.0, "slices of one CT share their scale", header_alone=True),
    "grey inverted, the header silent": Wrong(shown(lambda v: 2048 - v), 1.0, "air is bright"),
    "bytes exchanged": Wrong(_bytes_swapped, 1.0, "nothing but noise"),
    "nothing but air": Wrong(shown(lambda v: np.zeros_like(v)), 1.0, "blank", True, header_alone=True),
    "nothing but noise": Wrong(_values(_of(strangers.noise)), 0.95, "no structure"),
    "bone kernel": Wrong(
        shown(_sharpened, ConvolutionKernel="H70h"), 0.8, "edges and noise are sharper than in training"
    ),
    "contrast agent, the header says so": Wrong(
        lambda files, n: said(ContrastBolusAgent="OMNIPAQUE")(_contrast(files, n), n),
        1.0,
        "the header is enough",
        header_alone=True,
    ),
    "contrast agent, the header silent": Wrong(_contrast, 0.5, "bright vessels, drawn roughly"),
    "noise of 60 HU added": Wrong(
        shown(lambda v: v + np.random.default_rng(0).normal(0, 60, v.shape)), 0.95, "far noisier than in training"
    ),
}
SPACING: Mapping[str, Wrong] = {
    "pixels twice as large": Wrong(_spacing(2, 2), 1.0, "no head is 400 mm long", header_alone=True),
    "pixels half as large": Wrong(_spacing(0.5, 0.5), 1.0, "no head is 100 mm long", header_alone=True),
    "rows twice as far apart as columns": Wrong(
        _spacing(2, 1), 0.95, "no head is twice as long as wide", header_alone=True
    ),
    "slices three times as far apart": Wrong(
        _scaled_gaps(3.0), 1.0, "slices are thinner than they lie apart", header_alone=True
    ),
}


def _told(
    change: Callable[[NDArray[np.int16]], NDArray[np.int16]], axes: Callable[[Files], tuple[object, ...]]
) -> Change:
    """Slices turned, and a header that tells how. axes: row, column (3,) and the way (3,) to the new first pixel."""

    def turned(files: Files, number: int) -> Files:
        row, column, away = axes(files)
        made = [put(one, change(stored(one))) for one in deepcopy(files)]
        for one, place in zip(made, places(files), strict=True):
            one.ImageOrientationPatient = [f"{v:.10g}" for v in (*row, *column)]  # type: ignore[misc]
            one.ImagePositionPatient = [f"{v:.10g}" for v in np.asarray(place) + away]
        return made

    return turned


def _axes(files: Files) -> tuple[NDArray[np.floating], NDArray[np.floating], float, float]:
    cosines = np.array([float(v) for v in files[0].ImageOrientationPatient])
    y, x = (float(v) for v in files[0].PixelSpacing)
    return cosines[:3], cosines[3:], x * (files[0].Columns - 1), y * (files[0].Rows - 1)


def _mirrored(files: Files) -> tuple[object, ...]:
    row, column, width, _ = _axes(files)
    return -row, column, row * width


def _overhead(files: Files) -> tuple[object, ...]:
    row, column, _, height = _axes(files)
    return row, -column, column * height


def _quarter(files: Files) -> tuple[object, ...]:
    """np.rot90 turns anticlockwise: new rows run down the old columns from the right, new columns against old rows."""
    row, column, width, _ = _axes(files)
    return column, -row, row * width


def _shuffled(files: Files, number: int) -> Files:
    order = np.random.default_rng(number).permutation(len(files))
    made = deepcopy([files[int(k)] for k in order])
    return [said(InstanceNumber=k + 1)([one], 0)[0] for k, one in enumerate(made)]


def _mono1(files: Files, number: int) -> Files:
    """A HU means the same however it is to be shown."""
    return said(PhotometricInterpretation="MONOCHROME1")(files, number)


def _slope(files: Files, number: int) -> Files:
    """Stored twice as large, and half the slope."""
    return [put(one, 2.0 * stored(one)) for one in said(RescaleSlope="0.5")(files, number)]


TRUTHFUL: Mapping[str, Change] = {
    "mirrored, and the header tells": _told(lambda v: v[:, ::-1], _mirrored),
    "upside down, and the header tells": _told(lambda v: v[::-1], _overhead),
    "turned by 90 degrees, and the header tells": _told(lambda v: np.rot90(v), _quarter),
    "files and instance numbers out of order": _shuffled,
    "shown inverted, and the header tells": _mono1,
    "stored by another slope, and the header tells": _slope,
}
ALL = {**ORGANS, **MODALITIES, **TURNED, **SLICES, **MIXED, **VALUES, **SPACING}
