"""Where on a slide there is tissue: not glass, not a felt pen, not a black edge."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
_LOWEST, _HIGHEST = 0.04, 0.20  # Otsu's threshold is kept in here: below is glass, above is stain on any slide
_PEN = 1.15
_BLACK = 0.8
_SMALLEST = 16
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / 256.0)


def find(picture: NDArray[np.uint8]) -> Mask:
    """Tissue on an RGB picture (H, W, 3) of a whole slide at low resolution, as (H, W) of bool.

    Otsu's threshold (IEEE Trans. Syst. Man Cybern. 9:62, 1979) on the saturation of the blurred picture, as in CLAM
    (Lu et al., Nat. Biomed. Eng. 5:555, 2021), pen and black left out before it is computed. Haematoxylin and eosin
    both absorb green light most (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23:291, 2001): what absorbs red
    more than green is blue or green ink. Red ink cannot be told from red cells by its colour and is kept.
    """
    smooth = np.asarray(cv2.medianBlur(np.ascontiguousarray(picture), 5), np.uint8)
    ink = pen(smooth)
    red, green, blue = (smooth[..., c].astype(np.float32) for c in range(3))
    top, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    saturation = (top - low) / np.maximum(top, 1.0)
    usable = saturation[~ink]
    threshold = float(np.clip(_otsu(usable), _LOWEST, _HIGHEST)) if usable.size else _HIGHEST
    mask = ((saturation > threshold) & ~ink).astype(np.uint8)
    disc: Any = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc), np.uint8)
    return _without_specks((mask > 0) & ~ink)


def pen(picture: NDArray[np.uint8]) -> Mask:
    """Blue, green and black ink on an RGB picture (H, W, 3), each stroke with a rim of two pixels."""
    red, green, blue = (_DENSITY[picture[..., c]] for c in range(3))
    coloured = (red > _PEN * green) & (red > 0.15)
    black = np.minimum(np.minimum(red, green), blue) > _BLACK
    ink = (coloured | black).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    # opening takes single bluish pixels (nuclei, noise) away before the strokes get their rims
    ink = np.asarray(cv2.morphologyEx(ink, cv2.MORPH_OPEN, kernel), np.uint8)
    return np.asarray(cv2.dilate(ink, kernel, iterations=2)) > 0


def dice(a: Mask, b: Mask) -> float:
    """Dice overlap of two masks: 2|A∩B| / (|A| + |B|), 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def _otsu(values: NDArray[Any]) -> float:
    """The threshold on values in [0, 1] that parts their histogram with the greatest variance between the parts."""
    counts, edges = np.histogram(values, bins=256, range=(0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        between = np.where((below > 0) & (above > 0), below * above * gap**2, 0.0)
    return float(edges[int(np.argmax(between)) + 1])


def _without_specks(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= _SMALLEST
    kept: Mask = keep[labels]
    return kept
