"""The scan under the heat, in the window that somebody wants to see it in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insula.core.errors import UsageError
from insula.core.recipe import Input
from insula.core.types import FloatArray, Volume
from insula.infer.heatmap import is_colour, picture
from insula.prep.run import prepared_volume, slices


def pictures(
    prepared: FloatArray,
    volume: Volume,
    section: Input,
    window: tuple[float, float] | None = None,
    channel: int = 0,
) -> Sequence[FloatArray]:
    """One picture in [0, 1] for each prepared slice (S, C, H, W): (H, W), or (H, W, 3) for colour.

    window: (centre, width), in Hounsfield units where the recipe windows a scan that has them, and otherwise in the
    prepared picture's own values. channel: which of the recipe's windows is shown where none is given. UsageError for a
    channel that there is not, a window on colour, or a window by which the recipe would crop another region.
    """
    if not 0 <= channel < prepared.shape[1]:
        raise UsageError(
            f"The prepared scan has {prepared.shape[1]} channels, counted from 0, and {channel} is none of them."
        )
    colour = is_colour(section)
    if window is None:
        return [picture(one, colour, channel) for one in prepared]
    if colour:
        raise UsageError("A colour picture has no window; leave the window out.")
    centre, width = window
    if not width > 0:
        raise UsageError(f"A window {width:g} wide shows nothing; give centre and a width above 0, such as 40,80.")
    if volume.units == "HU" and any(step.name == "windows" for step in section.prep):
        return [picture(one) for one in _windowed(prepared, volume, section, window)]
    scaled = np.asarray((prepared[:, channel] - np.float32(centre)) / np.float32(width) + np.float32(0.5), np.float32)
    return [np.clip(one, 0.0, 1.0) for one in scaled]


def _windowed(prepared: FloatArray, volume: Volume, section: Input, window: tuple[float, float]) -> FloatArray:
    """The scan prepared again with this window alone (S, 1, H, W)."""
    steps = tuple(
        step.model_copy(update={"params": {**step.params, "value": [list(window)]}}) if step.name == "windows" else step
        for step in section.prep
    )
    other, own = prepared_volume(volume, section.model_copy(update={"prep": steps})), prepared_volume(volume, section)
    if other.array.shape[1:] != own.array.shape[1:] or not np.allclose(other.affine, own.affine):
        raise UsageError(
            "The recipe crops by what a window shows, and this window would crop another region; choose one of the "
            "recipe's own windows by its channel."
        )
    return slices(other)
