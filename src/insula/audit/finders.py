"""What does not belong to the patient's tissue on a scan: letters, implants, drawn outlines, colour.

Each finder gives a mask (Z, Y, X) of where it suspects such a thing. They are suspicions by shape and brightness, made
for the question whether one class bears them more often than another; a single scan has to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from insula.audit.sight import APART_MM, Mask, Sight, pixels, shrunk, wider
from insula.cohort import burned_in
from insula.core.types import FloatArray, Volume

Box = tuple[int, int, int, int]
_LETTER = (0.02, 0.15)  # height, in heights of the picture
_WORD = 15.0  # the longest run of letters, in their heights
_BRIGHT = 0.35  # of the scale, above its ground
_FILL = (0.25, 0.9)  # of its box that a letter covers
_EDGE = 0.02  # of the height: nearer to the edge a table is cut off
_FAINT = 0.1  # of the scale: what differs more from the corners' ground is no ground
_LARGE = 0.18  # of the height: the side of a square larger than any letter or word
_BESIDE = 0.05  # of the height: nearer to the head small bright things are ears, hair and pads
_DEEP_MM = 6.0  # from the inner table: nearer, bone lies in part of a voxel
_BONE_MM = 15.0  # from the skin of a head without Hounsfield units: what is dark nearer by may be bone
_METAL_HU = 2000.0  # denser than the densest bone, that of the ear (to about 1,900)
_DENSE_HU = 400.0  # inside the brain, above the base of the skull: denser than calcified plexus, falx, pineal gland
_BASE = 0.45  # of the slices with brain from below: the base of the skull may stand among them like an island
_VOID = 0.12  # of the brightest twentieth of the head: less is air, bone or the void around metal
_RIM = 1.0  # of the brightest twentieth: what rims a void by piled-up signal
_INK = 0.97  # of the brightest pixel of the head: what an outline is drawn with
_STANDS_OUT = 0.35  # of the way from the middle to the brightest value: where a line of one exact value may begin
_LEAST_INK = 12  # pixels of one exact value
_ROUND = 0.7  # of the line's own pixels are enclosed: a drawn one goes around something
_COLOUR = 0.06  # of the scale between the channels of one pixel
_LEAST_COLOUR = 0.0005  # of the pixels
_GREY = ("1", "L", "LA", "La", "I", "F")  # Pillow's modes


def text(on: Sight) -> Mask:
    """Letters beside the head: rows of them (`cohort.burned_in`) and single ones, farther away."""
    found = np.zeros(on.shown.shape, bool)
    reach = pixels(on.volume, APART_MM)
    far = max(reach, round(_BESIDE * on.shown.shape[1]))
    ever = np.zeros(on.shown.shape[1:], bool) if on.head is None else on.head.any(axis=0)
    for z, plane in enumerate(on.shown):
        hull = _hull(plane)
        near, wide = wider(hull[None], reach)[0], wider((hull | ever)[None], far)[0]
        for anatomy, boxes in ((near, burned_in.find(plane).boxes), (wide, _letters(plane, wide))):
            for left, top, width, height in boxes:
                place = np.s_[top : top + height, left : left + width]
                if not anatomy[place].any():
                    found[(z, *place)] = True
    return found


def _hull(plane: FloatArray) -> Mask:
    """The convex hull of everything in a slice that is larger than a letter."""
    ground = float(np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])))
    there = (np.abs(plane - ground) > _FAINT).astype(np.uint8)
    most = _LARGE * plane.shape[0]
    _, parts, facts, _ = cv2.connectedComponentsWithStats(there, connectivity=8)
    extent = np.minimum(facts[:, cv2.CC_STAT_WIDTH], facts[:, cv2.CC_STAT_HEIGHT])
    # by its extent as well: the scalp of a picture in a brain window is a thin ring
    large = np.flatnonzero(np.maximum(np.sqrt(facts[:, cv2.CC_STAT_AREA]), extent)[1:] > most) + 1
    hull = np.zeros(plane.shape, np.uint8)
    if len(large):
        kept = np.zeros(len(facts), bool)
        kept[large] = True
        outer, _ = cv2.findContours(kept[parts].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outer)), 1)
    return hull > 0


def _letters(plane: FloatArray, anatomy: Mask) -> list[Box]:
    """Boxes of small compact marks that stand out from the ground beside the anatomy and stay clear of the edge."""
    free = ~anatomy
    if not free.any():
        return []
    ground, (rows, columns) = float(np.median(plane[free])), plane.shape
    edge = round(_EDGE * rows)
    _, _, facts, _ = cv2.connectedComponentsWithStats((plane > ground + _BRIGHT).astype(np.uint8), connectivity=8)
    found = []
    for left, top, width, height, area in facts[1:].tolist():
        clear = left > edge and top > edge and left + width < columns - edge and top + height < rows - edge
        of_size = max(3.0, _LETTER[0] * rows) <= height <= _LETTER[1] * rows and width <= _WORD * height
        if clear and of_size and area >= 4 and _FILL[0] <= area / (width * height) <= _FILL[1]:
            found.append((left, top, width, height))
    return found


def device(on: Sight) -> Mask:
    """Metal or dense plastic: on CT what is brighter than calcium inside the skull, else a void with a bright rim."""
    found = np.zeros(on.shown.shape, bool)
    if on.inside is None or not on.inside.any():
        return found
    deep = shrunk(on.inside, on.volume, _DEEP_MM if on.volume.units == "HU" else _BONE_MM)
    if on.volume.units == "HU":
        hu = on.volume.array[0]
        above = np.zeros(len(hu), bool)
        there = np.flatnonzero(on.inside.any(axis=(1, 2)))
        above[there[0] + int(np.ceil(_BASE * (there[-1] - there[0]))) :] = True
        dense = (on.inside & (hu > _METAL_HU)) | (deep & above[:, None, None] & (hu > _DENSE_HU))
        dense &= ~on.found(outline)
        return dense if int(dense.sum()) >= 2 else found
    top = float(np.quantile(on.shown[on.inside], 0.95))
    for z, plane in enumerate(deep & (on.shown < _VOID * top)):
        for part in _parts(plane, 4):
            if _rimmed(on.shown[z], part, _RIM * top):
                found[z] |= part
    return found


def _rimmed(plane: FloatArray, part: Mask, level: float) -> bool:
    """Whether a bright rim goes around a void, one or two pixels from it, and ends: beyond it is tissue again."""
    reach = [cv2.dilate(part.astype(np.uint8), np.ones((2 * k + 1,) * 2, np.uint8)) > 0 for k in (0, 1, 2, 4, 6)]
    first, second, _, far = (outer & ~inner for inner, outer in pairwise(reach))
    bright = max(float(np.quantile(plane[ring], 0.25)) if ring.any() else 0.0 for ring in (first, second)) > level
    return bright and bool(far.any()) and float(np.median(plane[far])) < level


def outline(on: Sight) -> Mask:
    """Closed lines one or two pixels wide drawn inside the head: of one exact value, or as bright as anything there.

    A bright line around a void is the rim of metal in an MR, which is left to `device`.
    """
    found = np.zeros(on.shown.shape, bool)
    if on.head is None or on.inside is None:
        return found
    values = on.volume.array.mean(axis=0)
    area = shrunk(on.head, on.volume, APART_MM)
    void = np.zeros_like(found)
    if on.volume.units != "HU" and on.inside.any():
        void = on.shown < _VOID * float(np.quantile(on.shown[on.inside], 0.95))
    for z, plane in enumerate(values):
        for ink, least in (*_of_one_value(plane, area[z]), *_brightest(plane, on.inside[z])):
            for part in _parts(ink, least):
                if _is_line(part) and not void[z][binary_fill_holes(part) & ~part].mean() > 0.5:
                    found[z] |= part
    return found


def _of_one_value(plane: FloatArray, area: Mask) -> Iterator[tuple[Mask, int]]:
    """Pixels of each bright value that occurs again and again, as ink does and tissue with its noise does not."""
    inner = plane[area]
    if inner.size == 0:
        return
    middle, top = float(np.median(inner)), float(inner.max())
    bright, counts = np.unique(inner[inner > middle + _STANDS_OUT * (top - middle)], return_counts=True)
    for n in np.argsort(-counts)[:3]:
        if counts[n] >= _LEAST_INK:
            yield (plane == bright[n]) & area, _LEAST_INK


def _brightest(plane: FloatArray, area: Mask) -> Iterator[tuple[Mask, int]]:
    inner = plane[area]
    if inner.size and float(inner.max()) > float(np.median(inner)):
        low, top = float(np.median(inner)), float(inner.max())
        yield (plane >= low + _INK * (top - low)) & area, 8


def _is_line(part: Mask) -> bool:
    """Whether a part is thin (an opening of 3 × 3 leaves little of it) and encloses about as much as it covers."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    own = np.pad(part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2)
    opened = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).sum()
    enclosed = int(binary_fill_holes(own).sum()) - int(own.sum())
    return bool(opened <= 0.1 * own.sum()) and enclosed >= _ROUND * int(own.sum())


def _parts(mask: Mask, least: int) -> Iterator[Mask]:
    """The connected parts of a slice's mask with at least so many pixels."""
    _, parts, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for number in np.flatnonzero(facts[1:, cv2.CC_STAT_AREA] >= least) + 1:
        yield parts == number


def colour(on: Sight) -> Mask:
    """Pixels of a picture whose channels differ, where the picture is otherwise grey."""
    array = on.volume.array
    if len(array) < 3 or on.volume.modality == "SM":
        return np.zeros(on.shown.shape, bool)
    scale = on.volume.full_scale or float(array.max()) or 1.0
    apart: Mask = (array[:3].max(axis=0) - array[:3].min(axis=0)) > _COLOUR * scale
    return apart if _LEAST_COLOUR <= apart.mean() <= 0.5 else np.zeros_like(apart)


def in_colour(volume: Volume) -> bool:
    """Whether a picture that is no slide was saved in colour, be its channels the same, so that it is read as grey."""
    modes = [mode for mode in volume.attributes.get("mode", "").split("+") if mode]
    saved = any(mode not in _GREY and not mode.startswith("I;16") for mode in modes) or len(volume.array) >= 3
    return saved and volume.modality != "SM"


FINDERS: Mapping[str, Callable[[Sight], NDArray[np.bool_]]] = {
    "text": text,
    "device": device,
    "outline": outline,
    "colour": colour,
}
TITLES: Mapping[str, str] = {
    "text": "letters burned into the picture",
    "device": "metal or other implants",
    "outline": "closed lines drawn into the picture",
    "colour": "coloured marks on a grey picture",
}
