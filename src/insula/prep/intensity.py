"""Values to [0, 1] where no physical unit says how: percentiles, the file's full scale, colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.types import Volume


def percentile(volume: Volume, value: Sequence[float] = (1.0, 99.0)) -> Volume:
    """Scale each channel so that the two percentiles of its non-background values become 0 and 1, clipped.

    Background is the channel's smallest value (air in MR is zero): it would otherwise decide the lower percentile by
    the size of the field of view. A constant channel becomes 0.
    """
    if len(value) != 2 or not 0 <= value[0] < value[1] <= 100:
        raise RecipeError(f"Step 'percentile' has {list(value)}; write two rising numbers from 0 to 100.")
    out = np.zeros_like(volume.array)
    for c, channel in enumerate(volume.array):
        inside = channel[channel > channel.min()]
        if inside.size:
            low, high = np.percentile(inside, value)
            if high > low:
                out[c] = np.clip((channel - low) / (high - low), 0.0, 1.0)
    return replace(volume, array=out, units="a.u." if volume.units == "HU" else volume.units)


def full_scale(volume: Volume) -> Volume:
    """Divide by the largest value that the file's integers can hold, as a picture is shown on a screen."""
    if not volume.full_scale:
        raise UnsuitableScanError(
            f"Step 'full_scale' needs a picture with a bit depth, and this scan holds '{volume.units}' without one; "
            "use 'percentile' or 'windows' in the recipe."
        )
    return replace(volume, array=np.clip(volume.array / np.float32(volume.full_scale), 0.0, 1.0))


def colour(volume: Volume, value: str = "rgb") -> Volume:
    """A colour picture in [0, 1] as three channels (`rgb`) or as luminance (`grey`, ITU-R BT.601 weights).

    Raises UnsuitableScanError for a scan that is no picture: for a slide recipe a head MR is a mix-up, not an input.
    """
    if value not in ("rgb", "grey"):
        raise RecipeError(f"Step 'colour' has {value!r}; it is 'rgb' or 'grey'.")
    scaled = full_scale(volume)
    if value == "grey":
        if scaled.array.shape[0] == 1:
            return scaled
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        return replace(scaled, array=np.tensordot(weights, scaled.array[:3], axes=1)[None], units="a.u.")
    if volume.units != "RGB" or volume.array.shape[0] != 3:
        raise UnsuitableScanError(
            f"Step 'colour: rgb' needs a colour picture, and this scan has {volume.array.shape[0]} channel(s) of "
            f"'{volume.units}'; give an RGB picture."
        )
    return scaled
