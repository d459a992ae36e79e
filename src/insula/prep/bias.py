"""Bias field of an MR scan: the slow drift of brightness across the coil, estimated by N4 and divided out."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from insula.core.errors import MissingPartError, UnsuitableScanError
from insula.core.types import Volume
from insula.prep.head import head_mask


def bias_field(
    volume: Volume,
    shrink: Annotated[int, Field(ge=1, le=8, description="a whole number from 1 to 8")] = 4,
    iterations: Annotated[int, Field(ge=1, le=200, description="a whole number from 1 to 200")] = 50,
) -> Volume:
    """Divide each channel by its bias field, estimated inside the head by N4 (Tustison, IEEE TMI 29:1310, 2010).

    shrink: the field is estimated on every so-manieth voxel of each row and column and evaluated on all. iterations:
    at most, on each of 4 levels. Needs SimpleITK (the extra `bias`). Raises UnsuitableScanError for CT, which has no
    such field, and MissingPartError without SimpleITK.
    """
    if volume.units != "a.u.":
        raise UnsuitableScanError(
            f"Step 'bias_field' is for MR, and this scan holds '{volume.units}'; take the step out of the recipe."
        )
    try:
        sitk: Any = import_module("SimpleITK")
    except ImportError as error:
        raise MissingPartError(
            "Step 'bias_field' needs SimpleITK, which is not installed; run: pip install 'insula[bias]'."
        ) from error
    mask = sitk.GetImageFromArray(head_mask(volume).astype(np.uint8))
    out = np.empty_like(volume.array)
    for c, channel in enumerate(volume.array):
        image = sitk.GetImageFromArray(np.ascontiguousarray(channel))
        for part in (image, mask):
            part.SetSpacing(volume.spacing)
        steps = [min(shrink, n) for n in image.GetSize()[:2]] + [1]
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations([iterations] * 4)
        n4.SetNumberOfThreads(1)  # sums in one order: the same scan gives the same field
        n4.Execute(sitk.Shrink(image, steps), sitk.Shrink(mask, steps))
        field = sitk.GetArrayFromImage(sitk.Exp(n4.GetLogBiasFieldAsImage(image)))
        out[c] = channel / field
    return replace(volume, array=out)
