"""CT windows: Hounsfield units to [0, 1], one channel a window, in float throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.types import Volume


def windows(
    volume: Volume, value: Sequence[Sequence[float]], pictures: Literal["refuse", "as_shown"] = "refuse"
) -> Volume:
    """Map HU through one or several (centre, width) windows to channels in [0, 1].

    A linear window as in DICOM PS3.3 C.11.2.1.3.2 (LINEAR_EXACT). With `pictures: as_shown` a grey picture, whose
    window was burned in before it was saved, is scaled by its bit depth and stands for every channel; otherwise a
    scan without HU raises UnsuitableScanError.
    """
    pairs = _checked(value)
    if volume.units == "HU":
        channels = [np.clip((volume.array[0] - (c - w / 2)) / w, 0.0, 1.0) for c, w in pairs]
        return replace(volume, array=np.stack(channels).astype(np.float32, copy=False), units="a.u.")
    if pictures == "as_shown" and volume.units == "a.u." and volume.full_scale and volume.array.shape[0] == 1:
        shown = np.clip(volume.array / np.float32(volume.full_scale), 0.0, 1.0)
        note = "not HU: the picture's own window was kept"
        return replace(volume, array=np.repeat(shown, len(pairs), axis=0), warnings=(*volume.warnings, note))
    if pictures not in ("refuse", "as_shown"):
        raise RecipeError(f"Step 'windows' has pictures = {pictures!r}; it is 'refuse' or 'as_shown'.")
    raise UnsuitableScanError(
        f"Step 'windows' needs Hounsfield units, and this scan holds '{volume.units}'; give the DICOM CT series, "
        "or use a recipe that accepts pictures (windows: {pictures: as_shown})."
    )


def _checked(value: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    try:
        pairs = [(float(c), float(w)) for c, w in value]
    except (TypeError, ValueError) as error:
        raise RecipeError(f"Step 'windows' has {value!r}; write pairs like [[40, 80], [600, 2800]].") from error
    if not pairs or any(w <= 0 for _, w in pairs):
        raise RecipeError(f"Step 'windows' has {value!r}; each width must be above 0.")
    return pairs
