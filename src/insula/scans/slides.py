"""Whole slides: pyramids of tiles in SVS, NDPI, OME-TIFF and generic TIFF, read piece by piece through tiffslide."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.errors import InsulaError, LimitError, MissingPartError, ScanError, UnsuitableScanError
from insula.core.types import Volume
from insula.scans import limits
from insula.scans.limits import LIMITS, Limits

if TYPE_CHECKING:
    from insula.core.recipe import Tiles

Pixels = NDArray[np.uint8]
OVERVIEW = 1024
_WHITE = 255
_BLOCK = 4096  # pixels a side that are decoded at once; 50 MB
_CHUNK = 64_000_000  # pixels of one tile or strip
_MOST_PIXELS = 1 << 38  # of one level; a slide of 5 x 5 cm at 0.1 µm
_MOST_DECODED = 1 << 34  # to look at the whole slide once; 131,000 pixels a side
_COARSEST = 50.0  # µm; a lens of 0.2x. Above it stands a printer's resolution (72 dpi = 353 µm)
_VALUES = "RGB", "YCBCR"
_APERIO_YCBCR = 33003


@dataclass(frozen=True)
class Level:
    """One resolution of a slide: pixels across and down, and how many pixels of level 0 one of its pixels covers."""

    width: int
    height: int
    downsample: float


@dataclass(frozen=True, eq=False)
class Slide:
    """An open slide. levels: finest first. mpp: micrometres a pixel of level 0, None when the file does not say.

    tiled: False when rows are stored in strips across the whole slide. luma: the library hands on YCbCr as stored.
    """

    name: str
    vendor: str
    levels: tuple[Level, ...]
    mpp: float | None
    tiled: bool
    luma: bool
    warnings: tuple[str, ...]
    source: Any
    order: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Pixels across and down of level 0."""
        return self.levels[0].width, self.levels[0].height

    def level_for(self, downsample: float) -> int:
        """The coarsest level that is still as fine as asked (within 1%)."""
        fit = [i for i, level in enumerate(self.levels) if level.downsample <= downsample * 1.01]
        return fit[-1] if fit else 0

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels (height, width, 3) of a level, from its pixel (x, y); white beyond the slide's edge.

        Raises ScanError when the file is damaged there.
        """
        whole = self.levels[level]
        left, top = max(0, x), max(0, y)
        right, bottom = min(whole.width, x + width), min(whole.height, y + height)
        if right <= left or bottom <= top:
            return np.full((height, width, 3), _WHITE, np.uint8)
        place = (_base(left, self._step(level)), _base(top, self._step(level)))
        with _as_scan_errors(self.name):
            found = self.source.read_region(
                place, self.order[level], (right - left, bottom - top), as_array=True, padding=False
            )
        if self.luma:
            found = cv2.cvtColor(np.ascontiguousarray(found[..., (0, 2, 1)]), cv2.COLOR_YCrCb2RGB)
        inside = np.asarray(found[..., :3], np.uint8)
        if inside.shape == (height, width, 3):
            return inside
        out = np.full((height, width, 3), _WHITE, np.uint8)
        out[top - y : bottom - y, left - x : right - x] = inside
        return out

    def _step(self, level: int) -> float:
        return float(self.source.level_downsamples[self.order[level]])


@contextmanager
def open_slide(path: Path, allowed: Limits = LIMITS) -> Iterator[Slide]:
    """Open a slide; only its directories are read.

    Raises MissingPartError without tiffslide, ScanError for a damaged file or one without 8-bit colour, LimitError
    when one tile or strip would not fit in memory.
    """
    limits.slide_size(path, allowed)
    library = _library()
    with _as_scan_errors(path.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tiffslide warns of metadata that it leaves out; none of them is used here
        source = library.TiffSlide(path)
    try:
        with _as_scan_errors(path.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            slide = _described(path.name, source)
        yield slide
    finally:
        source.close()


def read(path: Path, allowed: Limits = LIMITS, tiles: Tiles | None = None) -> Volume:
    """A slide's tiles as a Volume, see `slide_tiles.read`; UnsuitableScanError where the recipe has no `tiles`."""
    limits.slide_size(path, allowed)
    if tiles is None:
        raise UnsuitableScanError(
            f"'{path.name}' is a whole slide, and the recipe says nothing of tiles; add "
            "'tiles: {size: 224, mpp: 2.0}' to its input, or export a picture of the region."
        )
    from insula.scans import slide_tiles

    return slide_tiles.read(path, tiles, allowed)


def overview(path: Path, allowed: Limits = LIMITS, side: int = OVERVIEW) -> Volume:
    """A slide as one small RGB picture, `side` pixels at most: to look at and compare slides, not to predict from."""
    with open_slide(path, allowed) as slide:
        picture, _ = thumbnail(slide, side)
        notes = slide.warnings
    array = np.moveaxis(picture.astype(np.float32), 2, 0)[:, None]
    return Volume(np.ascontiguousarray(array), np.eye(4), "RGB", "SM", str(path), 255.0, warnings=notes)


def thumbnail(slide: Slide, side: int) -> tuple[Pixels, float]:
    """The whole slide with at most `side` pixels a side, and how many pixels of level 0 one of its pixels covers."""
    number = slide.level_for(max(1.0, max(slide.size) / side))
    level = slide.levels[number]
    if level.width * level.height > _MOST_DECODED:
        raise LimitError(
            f"'{slide.name}' has {level.width}x{level.height} pixels and no smaller copy of them; save it as a pyramid."
        )
    k = max(1, math.ceil(max(level.width, level.height) / side))
    picture = reduced(slide, number, (0, 0), k, (math.ceil(level.width / k), math.ceil(level.height / k)))
    return picture, level.downsample * k


def reduced(slide: Slide, number: int, corner: tuple[int, int], k: int, size: tuple[int, int]) -> Pixels:
    """Means over squares of k x k pixels of a level, from its pixel `corner` (x, y): (down, across, 3) for a size
    (across, down). Read block by block, so that a slide of one level is decoded once and never held.
    """
    across, down = size
    out = np.empty((down, across, 3), np.uint8)
    step = max(1, _BLOCK // k)
    step_x, step_y = (step, step) if slide.tiled else (across, max(1, _BLOCK * _BLOCK // (k * k * across)))
    for top in range(0, down, step_y):
        for left in range(0, across, step_x):
            w, h = min(step_x, across - left), min(step_y, down - top)
            block = slide.region(number, corner[0] + left * k, corner[1] + top * k, w * k, h * k)
            small = cv2.resize(block, (w, h), interpolation=cv2.INTER_AREA) if k > 1 else block
            out[top : top + h, left : left + w] = small
    return out


def _library() -> ModuleType:
    try:
        import tiffslide
    except ImportError as error:
        raise MissingPartError(
            "Whole slides are read by tiffslide, which is not installed here; install the part: pip install "
            "'insula[slides]'."
        ) from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it raises as well
    return tiffslide


def _described(name: str, source: Any) -> Slide:
    """What is known of an opened slide, refused where it cannot be shown as 8-bit colour."""
    facts = source.properties
    file = source.ts_tifffile
    if file.is_bif:
        raise ScanError(f"'{name}' is a Ventana BIF, whose tiles overlap; convert it to a pyramidal TIFF.")
    series = file.series[facts["tiffslide.series-index"]]
    page = series.keyframe
    colour = page.photometric.name if hasattr(page.photometric, "name") else str(page.photometric)
    axes = facts["tiffslide.series-axes"]
    channels = {"YXS": series.shape[-1], "CYX": series.shape[0]}.get(axes, 1)
    # tifffile turns the YCbCr of JPEG (6, 7) into RGB, not that of Aperio's JPEG 2000, whose TIFF may call it RGB
    luma = int(page.compression) == _APERIO_YCBCR
    turned = luma or colour != "YCBCR" or int(page.compression) in (6, 7)
    if series.dtype != np.uint8 or channels not in (3, 4) or colour not in _VALUES or not turned:
        raise ScanError(
            f"'{name}' holds {channels} channel(s) of {series.dtype} ({colour}), and a slide needs 8-bit RGB; "
            "export it as an RGB pyramid."
        )
    for level in series.levels:
        first = level.keyframe
        chunk, listed = first.chunks, len(first.dataoffsets)
        if math.prod(first.chunked) > listed or math.prod(first.shape[:2]) > _MOST_PIXELS:
            raise ScanError(
                f"'{name}' claims {'x'.join(map(str, first.shape))} values in {listed} pieces; its header is damaged, "
                "copy it again."
            )
        if math.prod(chunk) > _CHUNK * 4:
            raise LimitError(
                f"'{name}' is stored in pieces of {'x'.join(map(str, chunk))} values, too many to read one at a time; "
                "save it again as a tiled TIFF (tiles of 256 or 512)."
            )
    sizes = source.level_dimensions
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i][0] * sizes[i][1])
    w0, h0 = sizes[order[0]]
    levels = tuple(Level(w, h, (w0 / w + h0 / h) / 2) for w, h in (sizes[i] for i in order))
    mpp, notes = _resolution(facts, file)
    vendor = str(facts.get("tiffslide.vendor") or "")
    return Slide(name, vendor, levels, mpp, bool(page.is_tiled), luma, notes, source, tuple(order))


def _resolution(facts: dict[str, Any], file: Any) -> tuple[float | None, tuple[str, ...]]:
    """Micrometres a pixel, and what there is to say when the file gives none or one that cannot be."""
    x, y = _float(facts.get("tiffslide.mpp-x")), _float(facts.get("tiffslide.mpp-y"))
    if file.is_ome:
        text = str(file.pages[0].description)
        x, y = _physical(text, "X") or x, _physical(text, "Y") or y
    if x is None or y is None:
        return None, ("the slide does not say its resolution",)
    if not 0.01 < x < _COARSEST or not 0.01 < y < _COARSEST:
        return None, (f"the slide's resolution of {x:.4g} micrometres a pixel is no microscope's and was left aside",)
    if abs(x - y) > 0.05 * max(x, y):
        return None, (
            f"the slide's pixels are not square ({x:.4g} x {y:.4g} micrometres); its resolution was left aside",
        )
    return (x + y) / 2, ()


def _physical(text: str, axis: str) -> float | None:
    """PhysicalSizeX or -Y of OME-XML in micrometres (Goldberg et al., Genome Biol. 6:R47, 2005)."""
    size = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]{{1,30}})"', text)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]{{1,8}})"', text)
    scale = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}.get(unit.group(1) if unit else "µm")
    value = _float(size.group(1)) if size else None
    return value * scale if value is not None and scale else None


def _float(value: object) -> float | None:
    try:
        number = float(str(value) if not isinstance(value, (int, float)) else value)
    except (TypeError, ValueError, OverflowError):
        try:
            number = float(value)  # type: ignore[arg-type]  # tiffslide gives fractions
        except (TypeError, ValueError, OverflowError):
            return None
    return number if math.isfinite(number) else None


def _base(index: int, step: float) -> int:
    """The level 0 place that the library rounds down to pixel `index` of a level."""
    base = math.ceil(index * step - 1e-6)
    while int(base / step) < index:
        base += 1
    return base


@contextmanager
def _as_scan_errors(name: str) -> Iterator[None]:
    try:
        yield
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(
            f"'{name}' needs too much memory to be opened; save it again in tiles of 256 or 512."
        ) from error
    except Exception as error:  # broad: tifffile, zarr and the codecs raise many families on damaged files
        raise ScanError(f"'{name}' is no readable slide ({limits.reason(error)}); export it again.") from error
