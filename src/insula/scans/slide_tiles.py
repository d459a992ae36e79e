"""From a slide to a bag of tiles: which places are looked at, at which resolution, and their pixels as a Volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from insula.core.errors import LimitError, ScanError, UnsuitableScanError
from insula.core.recipe import Tiles
from insula.core.types import FloatArray, Volume
from insula.scans import limits, pictures, slides, tissue
from insula.scans.limits import LIMITS, Limits
from insula.scans.slides import Pixels, Slide

MASK_SIDE = 2048
_AT_ONCE = 8192  # pixels of a level under one side of a tile that are read in one piece
_SEED = 0


@dataclass(frozen=True)
class Place:
    """One tile: its left upper corner in pixels of level 0, and the share of it that is tissue."""

    x: int
    y: int
    share: float


@dataclass(frozen=True)
class Layout:
    """Where a Volume's tiles lie on their slide, so that heat can be drawn back on it: in pixels of level 0."""

    width: int
    height: int
    side: float
    corners: tuple[tuple[int, int], ...]


def read(path: Path, tiles: Tiles, allowed: Limits = LIMITS) -> Volume:
    """The tiles of one slide as a Volume (3, N, size, size), RGB with full scale 255; N is at most `tiles.most`.

    The slices are tiles, not neighbours: only the in-plane spacing (mm a pixel) is meant. Their places stand in the
    attributes, see `layout`. Raises UnsuitableScanError when there is no tissue or too little in every tile, else as
    `slides.open_slide`.
    """
    if 3 * tiles.most * tiles.size**2 > allowed.max_voxels:
        raise LimitError(
            f"{tiles.most} tiles of {tiles.size} pixels hold more than the {allowed.max_voxels} values allowed; "
            "lower tiles.most or tiles.size."
        )
    with slides.open_slide(path, allowed) as slide:
        downsample, notes = resolution(slide, tiles)
        mask, step = tissue_mask(slide)
        places = choose(mask, step, tiles, downsample)
        if not places:
            raise UnsuitableScanError(_nothing(path.name, mask, step, tiles, downsample))
        array = np.empty((3, len(places), tiles.size, tiles.size), np.float32)
        for number, place in enumerate(places):
            array[:, number] = np.moveaxis(tile(slide, place, tiles.size, downsample), 2, 0)
        width, height = slide.size
        mpp = slide.mpp * downsample if slide.mpp else None
        facts = {"size": f"{width}x{height}", "vendor": slide.vendor, "tissue": f"{mask.mean():.4f}"}
    facts |= {"mpp": f"{mpp:.4g}"} if mpp else {}
    facts |= {
        "tile_side": repr(tiles.size * downsample),
        "tile_corners": " ".join(f"{p.x},{p.y}" for p in places),
    }
    affine = np.diag([mpp / 1000, mpp / 1000, 1.0, 1.0]) if mpp else np.eye(4)
    kept = {name: value for name, value in facts.items() if value}
    return Volume(array, affine, "RGB", "SM", str(path), 255.0, attributes=kept, warnings=(*slide.warnings, *notes))


def layout(attributes: Mapping[str, str]) -> Layout | None:
    """The places that `read` wrote into a Volume's attributes; None for a Volume that is no slide."""
    if "tile_corners" not in attributes:
        return None
    width, _, height = attributes["size"].partition("x")
    corners = [corner.split(",") for corner in attributes["tile_corners"].split()]
    return Layout(int(width), int(height), float(attributes["tile_side"]), tuple((int(x), int(y)) for x, y in corners))


def from_pictures(paths: Sequence[Path], tiles: Tiles, allowed: Limits = LIMITS) -> Volume:
    """Ordinary pictures for a recipe that takes tiles: each whole picture is one tile (each page of a TIFF one).

    A picture does not say its resolution: it is padded to a square with the colour of its border and resized, so
    pictures of several sizes may stand in one bag. Raises as `pictures.read_stack`.
    """
    limits.total_size(paths, allowed)
    bag: list[Volume] = []
    for path in sorted(paths, key=pictures.natural):
        volume = pictures.read(path, allowed)
        bag.append(replace(volume, array=_squared(volume.array, tiles.size)))
        if sum(v.array.size for v in bag) > allowed.max_voxels:
            raise LimitError(f"The {len(paths)} pictures hold more than {allowed.max_voxels} values; give fewer.")
    if len({v.full_scale for v in bag}) > 1:
        raise ScanError(f"The {len(paths)} pictures mix bit depths; save them all with 8 or all with 16 bits.")
    channels = max(v.array.shape[0] for v in bag)
    arrays = [np.repeat(v.array, channels, axis=0) if v.array.shape[0] < channels else v.array for v in bag]
    colours = next((v for v in bag if v.array.shape[0] == channels), bag[0])
    return replace(
        colours,
        array=np.ascontiguousarray(np.concatenate(arrays, axis=1)),
        source=str(paths[0] if len(paths) == 1 else Path(paths[0]).parent),
        attributes={"mode": "+".join(sorted({m for v in bag for m in v.attributes["mode"].split("+")}))},
        warnings=("ordinary pictures: each is one tile, whatever its resolution",),
    )


def resolution(slide: Slide, tiles: Tiles) -> tuple[float, tuple[str, ...]]:
    """How many pixels of level 0 one pixel of a tile covers, and what there is to say of it."""
    if slide.mpp is None:
        return tiles.downsample, (
            f"tiles were taken at {tiles.downsample:g} times its pixels instead of {tiles.mpp:g} micrometres a pixel",
        )
    downsample = tiles.mpp / slide.mpp
    if downsample < 0.95:
        return downsample, (
            f"the slide has {slide.mpp:.3g} micrometres a pixel, coarser than the recipe's {tiles.mpp:g}: enlarged",
        )
    return (1.0 if downsample < 1.01 else downsample), ()


def tissue_mask(slide: Slide) -> tuple[tissue.Mask, float]:
    """Tissue on the slide at low resolution, and how many pixels of level 0 one of its pixels covers."""
    picture, step = slides.thumbnail(slide, MASK_SIDE)
    return tissue.find(picture), step


def choose(mask: tissue.Mask, step: float, tiles: Tiles, downsample: float) -> tuple[Place, ...]:
    """The tiles to read: all that hold enough tissue, or `most` spread evenly over it.

    Each piece of tissue (parts closer than a quarter of a tile are one piece) has a grid of its own, centred on it, so
    that no piece is lost between the lines and more glass around it changes nothing. When there are more tiles than
    `most`, every n-th is taken, piece by piece and in each along a Z-order curve (Morton, IBM, 1966), where neighbours
    on the curve are neighbours on the slide. The same mask gives the same tiles.
    """
    side = tiles.size * downsample / step
    stride = (tiles.size - tiles.overlap) * downsample / step
    found: list[Place] = []
    for top, left, piece in _pieces(mask, side / 4):
        y, x = _grid(top, piece.shape[0], side, stride), _grid(left, piece.shape[1], side, stride)
        shares = _shares(piece, x - left, y - top, side)
        i, j = np.nonzero(shares >= max(tiles.tissue, 1e-6))
        order = np.argsort(_z_order(i, j), kind="stable")
        found += [
            Place(round(x[b] * step), round(y[a] * step), float(shares[a, b]))
            for a, b in zip(i[order], j[order], strict=True)
        ]
    if len(found) > tiles.most:
        start = np.random.default_rng(_SEED).random()
        picked = ((np.arange(tiles.most) + start) * len(found) / tiles.most).astype(int)
        found = [found[n] for n in picked]
    return tuple(found)


def tile(slide: Slide, place: Place, size: int, downsample: float) -> Pixels:
    """One tile's pixels (size, size, 3), from the coarsest level that is fine enough; white beyond the slide's edge."""
    number = slide.level_for(downsample)
    level = slide.levels[number]
    wanted = size * downsample / level.downsample
    k = int(wanted // size) if wanted > _AT_ONCE else 1
    corner = round(place.x / level.downsample), round(place.y / level.downsample)
    side = max(1, round(wanted / k))
    found = slides.reduced(slide, number, corner, k, (side, side))
    if side == size:
        return found
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(found, (size, size), interpolation=how), np.uint8)


def _pieces(mask: tissue.Mask, reach: float) -> Iterator[tuple[int, int, tissue.Mask]]:
    """Pieces of tissue from the top down: (top, left, the piece alone in its bounding box)."""
    size = 2 * max(1, round(reach / 2)) + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8))
    _, labels = cv2.connectedComponents(near, connectivity=8)
    labels = np.where(mask, labels, 0)
    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            yield int(box[0].start), int(box[1].start), labels[box] == number


def _grid(start: int, length: int, side: float, stride: float) -> NDArray[np.float64]:
    """Corners of squares along a length, centred on it: as many as fit best, so that none is half empty for a rim."""
    count = max(1, round((length - side) / stride + 1))
    first = start + length / 2 - ((count - 1) * stride + side) / 2
    corners: NDArray[np.float64] = first + stride * np.arange(count, dtype=np.float64)
    return corners


def _shares(mask: tissue.Mask, left: NDArray[np.float64], top: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Share of tissue in each square (row of `top`, column of `left`) of the mask, parts of pixels counted."""
    total = cv2.integral(mask.astype(np.uint8)).astype(np.float64)
    upper, lower = _rows_at(total, top), _rows_at(total, top + side)
    across = _rows_at((lower - upper).T, left + side) - _rows_at((lower - upper).T, left)
    shares: NDArray[np.float64] = across.T / side**2
    return shares


def _rows_at(table: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of a table at places between its rows, linearly; beyond its ends the end itself."""
    places = np.clip(at, 0.0, len(table) - 1.0)
    low = np.minimum(places.astype(int), len(table) - 2)
    part = (places - low)[:, None]
    rows: NDArray[np.float64] = table[low] * (1.0 - part) + table[low + 1] * part
    return rows


def _z_order(i: NDArray[np.intp], j: NDArray[np.intp]) -> NDArray[np.int64]:
    """The bits of row and column in turn."""
    key = np.zeros(len(i), np.int64)
    for bit in range(24):
        key |= ((j >> bit) & 1) << (2 * bit) | ((i >> bit) & 1) << (2 * bit + 1)
    return key


def _squared(array: FloatArray, size: int) -> FloatArray:
    """Pictures (C, Z, Y, X) padded to squares with the median of their border and resized to (C, Z, size, size)."""
    c, z, y, x = array.shape
    side = max(y, x)
    out = np.empty((c, z, size, size), np.float32)
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    for a in range(c):
        for b in range(z):
            plane = array[a, b]
            border = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
            whole = np.full((side, side), np.median(border), np.float32)
            top, left = (side - y) // 2, (side - x) // 2
            whole[top : top + y, left : left + x] = plane
            out[a, b] = whole if side == size else cv2.resize(whole, (size, size), interpolation=how)
    return out


def _nothing(name: str, mask: tissue.Mask, step: float, tiles: Tiles, downsample: float) -> str:
    if not mask.any():
        return (
            f"No tissue was found on '{name}'; give a slide stained with haematoxylin and eosin, or a picture of the "
            "region."
        )
    best = choose(mask, step, tiles.model_copy(update={"tissue": 0.0, "most": 10**9}), downsample)
    share = max(place.share for place in best)
    return (
        f"No tile of '{name}' holds {tiles.tissue:.0%} tissue, the fullest {share:.0%}; lower tiles.tissue or "
        "tiles.size in the recipe."
    )
