"""Windows and resizing in one pass: what lies between the two is one plane in the processor's cache, never a volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def shown_of(k: int) -> Iterator[NDArray[np.float32]]:
        between = np.empty((y, x), np.float32)
        for centre, width in pairs:
            window(hu[k], centre, width, between)
            yield between

    threads.each(lambda k: planned.planes(shown_of(k), out[k]), range(z))
    return replace(volume, array=out.transpose(1, 0, 2, 3), units="a.u.", affine=planned.affine(volume.affine))
