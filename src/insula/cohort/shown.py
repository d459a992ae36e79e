"""One slice of a scan as it is looked at: on a scale of grey, and as a small picture."""

from __future__ import annotations

import cv2
import numpy as np

from insula.core.types import FloatArray, Volume

BRAIN = (0.0, 80.0)
TISSUE = (-200.0, 300.0)
_QUALITY = 82
_EMPTY = 0.03


def grey(volume: Volume, index: int, window: tuple[float, float] = BRAIN) -> FloatArray:
    """Slice `index` as (Y, X) in [0, 1], colours averaged.

    HU are shown through `window` (lowest, highest HU), 8-bit pictures as they are, anything else between the 0.5th and
    99.5th percentile of the slice.
    """
    picture = volume.array[:, index].mean(axis=0)
    low, high = scale(picture, volume, window)
    if high <= low:
        return np.zeros(picture.shape, np.float32)
    return np.asarray(np.clip((picture - low) / (high - low), 0.0, 1.0), dtype=np.float32)


def scale(picture: FloatArray, volume: Volume, window: tuple[float, float] = BRAIN) -> tuple[float, float]:
    """The values that are shown black and white."""
    if volume.units == "HU":
        return window
    if volume.full_scale == 255.0:
        return 0.0, 255.0
    low, high = np.percentile(picture, (0.5, 99.5))
    return float(low), float(high)


def thumbnail(volume: Volume, side: int = 144) -> bytes:
    """The middle slice as a grey or coloured JPEG, its longer side `side` pixels.

    A slice in HU that shows next to nothing in the brain window (a localiser) is shown between its own percentiles.
    """
    middle = volume.array.shape[1] // 2
    if volume.units == "RGB":
        picture = np.moveaxis(volume.array[:3, middle], 0, 2)[..., ::-1].astype(np.float32)
        if volume.full_scale and volume.full_scale != 255.0:
            picture = picture * (255.0 / volume.full_scale)
    else:
        picture = 255.0 * grey(volume, middle)
        if volume.units == "HU" and ((picture > 0) & (picture < 255)).mean() < _EMPTY:
            low, high = np.percentile(volume.array[:, middle], (0.5, 99.5))
            picture = 255.0 * grey(volume, middle, (float(low), float(high)))
    x, y, _ = volume.spacing
    height, width = picture.shape[0] * y, picture.shape[1] * x
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", np.clip(small, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes() if done else b""
