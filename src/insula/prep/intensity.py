"""Values to a fixed scale: by percentiles, extremes, mean and deviation, the file's full scale; cut-offs; colour."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import FloatArray, Units, Volume
from insula.prep.values import RANGE, Percents, Range


def percentile(volume: Volume, value: Percents = (1.0, 99.0)) -> Volume:
    """Scale each channel so that the two percentiles of its non-background values become 0 and 1, clipped.

    Background is the channel's smallest value (air in MR is zero): it would otherwise decide the lower percentile by
    the size of the field of view. A constant channel becomes 0.
    """
    out = np.zeros_like(volume.array)
    for c, channel in enumerate(volume.array):
        inside = foreground(channel)
        if inside.size:
            low, high = np.percentile(inside, value)
            if high > low:
                out[c] = np.clip((channel - low) / (high - low), 0.0, 1.0)
    return replace(volume, array=out, units=_without_hu(volume))


def minmax(volume: Volume, value: Annotated[Range | None, Field(description=RANGE)] = None) -> Volume:
    """Scale each channel so that its smallest value becomes 0 and its largest 1; a constant channel becomes 0.

    With `value` (low, high in the scan's units) these two become 0 and 1 for every scan alike, and what lies beyond is
    clipped.
    """
    out = np.zeros_like(volume.array)
    for c, channel in enumerate(volume.array):
        low, high = value or (float(channel.min()), float(channel.max()))
        if high > low:
            out[c] = np.clip((channel - low) / (high - low), 0.0, 1.0)
    return replace(volume, array=out, units=_without_hu(volume))


def zscore(volume: Volume, over: Literal["foreground", "all"] = "foreground") -> Volume:
    """Subtract each channel's mean and divide by its standard deviation; a constant channel becomes 0.

    over: `foreground` leaves the channel's smallest value (the background) out of both figures. The result is not in
    [0, 1]: `clip: [-3, 3]` and `minmax: [-3, 3]` after it bring it there.
    """
    out = np.zeros_like(volume.array)
    for c, channel in enumerate(volume.array):
        inside = foreground(channel) if over == "foreground" else channel
        spread = float(inside.std(dtype=np.float64)) if inside.size else 0.0
        if spread > 0:
            out[c] = (channel - inside.mean(dtype=np.float64)) / spread
    return replace(volume, array=out, units=_without_hu(volume))


def clip(volume: Volume, value: Range) -> Volume:
    """Set values below low to low and above high to high, in the scan's own units."""
    return replace(volume, array=np.clip(volume.array, np.float32(value[0]), np.float32(value[1])))


def clip_hu(volume: Volume, value: Range) -> Volume:
    """Set Hounsfield units below low to low and above high to high; a scan without HU raises UnsuitableScanError."""
    if volume.units != "HU":
        raise UnsuitableScanError(no_hu("clip_hu", volume))
    return clip(volume, value)


def clip_outliers(volume: Volume, value: Percents = (0.5, 99.5)) -> Volume:
    """Cut each channel's values at two percentiles of its non-background values, in the scan's own units."""
    out = volume.array.copy()
    for c, channel in enumerate(volume.array):
        inside = foreground(channel)
        if inside.size:
            low, high = np.percentile(inside, value)
            low = min(low, float(channel.min())) if value[0] == 0 else low
            np.clip(channel, np.float32(low), np.float32(high), out=out[c])
    return replace(volume, array=out)


def full_scale(volume: Volume) -> Volume:
    """Divide by the largest value that the file's integers can hold, as a picture is shown on a screen."""
    if not volume.full_scale:
        raise UnsuitableScanError(
            f"Step 'full_scale' needs a picture with a bit depth, and this scan holds '{volume.units}' without one; "
            "use 'percentile' or 'windows' in the recipe."
        )
    return replace(volume, array=np.clip(volume.array / np.float32(volume.full_scale), 0.0, 1.0))


def colour(
    volume: Volume, value: Annotated[Literal["rgb", "grey"], Field(description="rgb or grey")] = "rgb"
) -> Volume:
    """A colour picture in [0, 1] as three channels (`rgb`) or as luminance (`grey`, ITU-R BT.601 weights).

    Raises UnsuitableScanError for a scan that is no picture: for a slide recipe a head MR is a mix-up, not an input.
    """
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


def foreground(channel: FloatArray) -> FloatArray:
    """The values above the channel's smallest one."""
    inside: FloatArray = channel[channel > channel.min()]
    return inside


def no_hu(step: str, volume: Volume) -> str:
    """The sentence with which a step refuses a scan without Hounsfield units."""
    return (
        f"Step '{step}' needs Hounsfield units, and this scan holds '{volume.units}'; give the DICOM CT series, "
        "or a recipe without this step."
    )


def _without_hu(volume: Volume) -> Units:
    return "a.u." if volume.units == "HU" else volume.units
