"""PNG, JPEG and TIFF pictures: one file, the pages of one file, or a folder of them as a stack."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units, Volume
from insula.scans import behind, cropped, deep, jpeg_scans, limits, tiff_header
from insula.scans.limits import LIMITS, Limits

# Pillow only warns of a picture between one and two times its limit; here that is an error
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_FORMATS = ("PNG", "JPEG", "TIFF")
_GREY_8 = ("1", "L", "LA", "La")


@dataclass(frozen=True)
class PictureHeader:
    """Size, pages, colour mode and format of a picture, before any pixel is decoded."""

    width: int
    height: int
    pages: int
    mode: str
    format: str


def header(path: Path, allowed: Limits = LIMITS) -> PictureHeader:
    """What the file says of itself; ScanError and LimitError as `read`."""
    limits.file_size(path, allowed)
    try:
        with heard(), _open(path, allowed) as image:
            return PictureHeader(
                image.width, image.height, _pages(image, path, allowed), image.mode, str(image.format).lower()
            )
    except InsulaError:
        raise
    except Exception as error:  # broad: Pillow's format plugins raise many families on damaged files
        raise ScanError(f"'{path.name}' is no readable picture ({limits.reason(error)}); export it again.") from error


def read(path: Path, allowed: Limits = LIMITS) -> Volume:
    """One picture as a Volume: (1, Z, Y, X) in a.u. when grey, (3, Z, Y, X) in RGB when coloured.

    Z counts the pages of a TIFF. EXIF rotation is applied, transparency dropped, and a picture whose three channels
    are equal is grey. full_scale is 255 or 65535. Raises ScanError for a damaged file or pages of several sizes,
    LimitError for too many pixels.
    """
    pages, full_scale, modes, notes = _decode(path, allowed)
    return _volume(pages, full_scale, str(path), modes, path.name, notes)


def read_stack(paths: Sequence[Path], allowed: Limits = LIMITS) -> Volume:
    """Pictures of one size as the slices of one Volume, in the natural order of their names (2 before 10).

    A stack with one coloured picture is coloured. Raises ScanError when sizes or bit depths differ, else as `read`.
    """
    limits.total_size(paths, allowed)
    ordered = sorted(paths, key=natural)
    pages: list[NDArray[np.float32]] = []
    scales: set[float | None] = set()
    modes: set[str] = set()
    notes: dict[str, None] = {}
    voxels = 0
    for path in ordered:
        some, scale, seen, said = _decode(path, allowed)
        notes |= dict.fromkeys(said)
        pages += some
        scales.add(scale)
        modes |= seen
        voxels += sum(page.size for page in some)
        if voxels > allowed.max_voxels:
            raise LimitError(f"The {len(ordered)} pictures hold more than {allowed.max_voxels} values; give fewer.")
    if len(scales) > 1:
        raise ScanError(f"The {len(ordered)} pictures mix bit depths; save them all with 8 or all with 16 bits.")
    folder = ordered[0].parent
    return _volume(pages, scales.pop(), str(folder), modes, folder.name, tuple(notes))


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which slice 2 comes before slice 10."""
    parts = re.split(r"(\d+)", path.as_posix().lower())
    return tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts if p)


@contextmanager
def heard() -> Iterator[list[str]]:
    """What Pillow warns of within, as notes in a list that is filled at the end, and not on standard error."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield notes
    notes += dict.fromkeys(f"the picture's decoder says: {' '.join(str(w.message).split())[:160]}" for w in caught)


def _open(path: Path, allowed: Limits) -> Image.Image:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint and tiffslide's tiles switch it on for the whole process
    try:
        image = Image.open(path, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(
            f"'{path.name}' claims more than the {allowed.max_pixels} pixels allowed; crop or shrink it."
        ) from error
    try:
        limits.picture(image.width, image.height, 1, path.name, allowed)
        if image.format in ("JPEG", "MPO"):
            jpeg_scans.check(path)
    except InsulaError:
        image.close()
        raise
    return image


def _pages(image: Image.Image, path: Path, allowed: Limits) -> int:
    # the second picture that some cameras and phones hide in a JPEG (MPO) is a preview, not a slice
    return tiff_header.pages(path, allowed.max_files) if image.format == "TIFF" else 1


def _decode(path: Path, allowed: Limits) -> tuple[list[NDArray[np.float32]], float | None, set[str], tuple[str, ...]]:
    """Pages as (C, Y, X) arrays, their full scale, the colour modes that were stored, and what was noticed."""
    limits.file_size(path, allowed)
    try:
        with heard() as notes, _open(path, allowed) as image:
            count = _pages(image, path, allowed)
            limits.picture(image.width, image.height, count, path.name, allowed)
            found, scales, modes = [], set(), set()
            for index in range(count):
                if count > 1:
                    image.seek(index)
                    limits.picture(image.width, image.height, count, path.name, allowed)
                modes.add(image.mode)
                whole = deep.decode(image, path, index)
                array, scale = whole or _array(ImageOps.exif_transpose(image), path.name)
                found.append(array)
                scales.add(scale)
            longer = behind.picture(path, image.format)
            cropped.check(image, path)
    except InsulaError:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(f"'{path.name}' needs more memory than a picture may take; crop or shrink it.") from error
    except Exception as error:  # broad: Pillow's format plugins raise many families on damaged files
        raise ScanError(f"'{path.name}' is no readable picture ({limits.reason(error)}); export it again.") from error
    if len(scales) > 1:
        raise ScanError(f"'{path.name}' has pages of several bit depths; save each as a file of its own.")
    return found, scales.pop(), modes, (*notes, *longer)


def _array(image: Image.Image, name: str) -> tuple[NDArray[np.float32], float | None]:
    mode = image.mode
    if mode in _GREY_8:
        return np.asarray(image.convert("L"), dtype=np.float32)[None], 255.0
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.float32)[None], 65535.0
    if mode in ("I", "F"):
        values = np.asarray(image).astype(np.float32)[None]
        if not np.isfinite(values).all():
            raise ScanError(f"'{name}' holds values that are no numbers; save it with whole numbers.")
        if mode == "F":
            return values, None
        return values, 65535.0 if values.min() >= 0 and values.max() <= 65535 else None
    colour = np.asarray(image.convert("RGB"))
    return deep.grey_or_colour(colour), 255.0


def _volume(
    pages: list[NDArray[np.float32]],
    full_scale: float | None,
    source: str,
    modes: set[str],
    name: str,
    notes: tuple[str, ...],
) -> Volume:
    sizes = {page.shape[1:] for page in pages}
    if len(sizes) > 1:
        listed = ", ".join(f"{w}x{h}" for h, w in sorted(sizes)[:4])
        raise ScanError(f"'{name}' holds pictures of {len(sizes)} sizes ({listed}); a stack needs one size.")
    channels = max(page.shape[0] for page in pages)
    same = [np.repeat(page, channels, axis=0) if page.shape[0] < channels else page for page in pages]
    units: Units = "RGB" if channels == 3 else "a.u."
    return Volume(
        array=np.ascontiguousarray(np.stack(same, axis=1)),
        affine=np.eye(4),
        units=units,
        modality="",
        source=source,
        full_scale=full_scale,
        attributes={"mode": "+".join(sorted(modes))},
        warnings=notes,
    )
