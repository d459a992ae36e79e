"""Made whole slides: pieces of a clot on glass, a laboratory's colours, a pen mark, as a pyramid of JPEG tiles.

Level 0 has four times the detail of the drawing, so that tiles taken at the drawing's own 2 micrometres a pixel show
it as it was drawn. The true tissue is known before any colour is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.cohort.phantom.clot import GLASS, clot_with_mask
from insula.core.errors import MissingPartError
from insula.core.provenance import write_bytes

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
DRAWN = 2.0  # micrometres a pixel of the drawing
MASK_STEP = 16  # pixels of level 0 under one of the mask
_TILE = 256
_QUALITY = 85
_INKS = (np.array([30, 55, 150]), np.array([20, 120, 70]), np.array([25, 25, 28]))


@dataclass(frozen=True)
class SlideScanner:
    """A scanner and its laboratory: micrometres a pixel, glass, and how strongly each channel's density comes out."""

    model: str
    mpp: float
    glass: tuple[float, float, float]
    density: tuple[float, float, float]


SLIDE_SCANNERS = (
    SlideScanner("Phantom Scan 20", 0.5, (244.0, 243.0, 245.0), (1.0, 1.0, 1.0)),
    SlideScanner("Phantom Scan 25", 0.4, (250.0, 246.0, 238.0), (0.82, 1.06, 1.25)),
)


def slide(kind: str, size: int, g: np.random.Generator, scanner: SlideScanner) -> tuple[Pixels, Mask]:
    """Level 0 of a slide of a clot (H, W, 3), and its tissue at 1/16 of that size.

    size: pixels at 2 micrometres a pixel; pieces are 1.5 to 2.2 times as wide, the glass is 5 times.
    """
    across, down = 5 * size, 5 * size
    drawing = np.tile(GLASS, (down, across, 1)).astype(np.float32)
    tissue = np.zeros((down, across), bool)
    for left, top, side in _places(size, g):
        piece, inside = clot_with_mask(kind, side, g)
        drawing[top : top + side, left : left + side][inside] = piece[inside]
        tissue[top : top + side, left : left + side] |= inside
    drawing = cv2.GaussianBlur(drawing, (0, 0), 0.6).astype(np.float32)
    drawing = _scanned(drawing, scanner)
    _mark(drawing, g)
    step = DRAWN / scanner.mpp
    width, height = round(across * step / MASK_STEP) * MASK_STEP, round(down * step / MASK_STEP) * MASK_STEP
    shown = cv2.resize(drawing, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = g.normal(0.0, 2.0, (height // 2, width // 2)).astype(np.float32)
    shown = shown + cv2.resize(grain, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
    small = cv2.resize(
        tissue.astype(np.float32), (width // MASK_STEP, height // MASK_STEP), interpolation=cv2.INTER_AREA
    )
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8), small >= 0.5


def write(path: Path, level0: Pixels, mpp: float, model: str) -> None:
    """Write a pyramid as a tiled TIFF: levels 1, 1/4 and 1/16, JPEG tiles, the resolution in each directory.

    The same pixels give the same bytes. Raises MissingPartError without tifffile.
    """
    try:
        import tifffile
    except ImportError as error:
        raise MissingPartError(
            "Slides are written by tifffile, which is not installed here; install the part: pip install "
            "'insula[slides]'."
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(_levels(level0)):
            spacing = 1e4 / (mpp * level0.shape[1] / level.shape[1])  # pixels a centimetre
            writer.write(
                level,
                tile=(_TILE, _TILE),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                resolution=(spacing, spacing),
                resolutionunit="CENTIMETER",
                subfiletype=1 if number else 0,
                description=f"Made slide; {model}" if not number else None,
                software="Insula phantom",
                metadata=None,
            )


def files(folder: Path, name: str, kind: str, size: int, g: np.random.Generator, site: int) -> Path:
    """Write one slide and its tissue mask below a folder and return the slide's path relative to it.

    site: number of the hospital, which decides the scanner.
    """
    scanner = SLIDE_SCANNERS[site % len(SLIDE_SCANNERS)]
    level0, mask = slide(kind, size, g, scanner)
    scan = Path("slides") / f"{name}.tif"
    write(folder / scan, level0, scanner.mpp, scanner.model)
    write_mask(folder / "masks" / f"{name}-tissue.png", mask)
    return scan


def write_mask(path: Path, mask: Mask) -> None:
    """Write a tissue mask as a PNG of 0 and 255."""
    done, data = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    assert done, "OpenCV always writes PNG"  # noqa: S101
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data.tobytes())


def _levels(level0: Pixels) -> Iterator[Pixels]:
    yield level0
    for step in (4, 16):
        size = (max(1, level0.shape[1] // step), max(1, level0.shape[0] // step))
        yield np.asarray(cv2.resize(level0, size, interpolation=cv2.INTER_AREA), np.uint8)


def _places(size: int, g: np.random.Generator) -> list[tuple[int, int, int]]:
    """Two to four pieces, each in a cell of its own: (left, top, side) in pixels of the drawing."""
    chosen = sorted(int(c) for c in g.permutation(4)[: int(g.integers(2, 5))])
    found = []
    for cell in chosen:
        side = int(size * g.uniform(1.5, 2.2))
        free = 2.25 * size - side
        left = 0.2 * size + (cell % 2) * 2.35 * size + g.uniform(0.0, free)
        top = 0.05 * size + (cell // 2) * 2.3 * size + g.uniform(0.0, free)
        found.append((int(left), int(top), side))
    return found


def _mark(drawing: NDArray[np.float32], g: np.random.Generator) -> None:
    """A stroke of blue, green or black ink along one edge of the glass, as a pathologist leaves it."""
    down, across = drawing.shape[:2]
    ink = _INKS[int(g.integers(len(_INKS)))].astype(np.float32)
    thick = max(2, round(0.02 * down))
    x = np.linspace(0.25, 0.75, 24) * across if g.random() < 0.5 else np.linspace(0.1, 0.5, 24) * across
    y = down - 1.6 * thick + np.cumsum(g.normal(0, 0.12 * thick, 24)) * 0.5
    stroke = np.zeros((down, across), np.uint8)
    cv2.polylines(stroke, [np.stack([x, y], axis=1).round().astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    part = (stroke.astype(np.float32) / 255.0)[..., None]
    drawing += part * (ink - drawing)


def _scanned(drawing: NDArray[np.float32], scanner: SlideScanner) -> NDArray[np.float32]:
    """The drawing through a scanner: densities over the glass scaled a channel at a time (Beer-Lambert)."""
    density = -np.log(np.clip(drawing, 1.0, 255.0) / GLASS)
    shown: NDArray[np.float32] = (
        np.array(scanner.glass) * np.exp(-np.maximum(density, 0.0) * np.array(scanner.density))
    ).astype(np.float32)
    return shown
