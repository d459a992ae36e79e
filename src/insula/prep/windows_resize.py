"""Windows and resizing in one pass: what lies between the two is one plane in the processor's cache, never a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from insula.core.types import Volume
from insula.prep.geometry import plan, resize
from insula.prep.windows import window, windows
from insula.scans import threads


def windows_resize(volume: Volume, shown: Mapping[str, Any], sized: Mapping[str, Any]) -> Volume:
    """`windows` with the first parameters and then `resize` with the second, to the same bits; their errors are raised.

    The result lies in memory slice by slice, its channels side by side, as a network takes it.
    """
    _, z, y, x = volume.array.shape
    planned = plan(y, x, sized["value"], sized.get("method", "auto"))
    if volume.units != "HU" or planned is None:
        return resize(windows(volume, **shown), **sized)
    hu, pairs = volume.array[0], shown["value"]
    out = np.empty((z, len(pairs), planned.height, planned.width), np.float32)

    def one(k: int) -> None:
        between = np.empty((y, x), np.float32)
        for place, (centre, width) in zip(out[k], pairs, strict=True):
            window(hu[k], centre, width, between)
            planned.plane(between, place)

    threads.each(one, range(z))
    return replace(volume, array=out.transpose(1, 0, 2, 3), units="a.u.", affine=planned.affine(volume.affine))
