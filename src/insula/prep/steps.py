"""The table of preparation steps.

A step is a plain function `(volume, **params) -> Volume`. Steps in `GEOMETRIC` change the grid and are applied to
masks as well, so that a mask stays on the pixels it marks; all others change values only.
"""

from __future__ import annotations

from insula.core.registry import Registry

STEPS = Registry(
    "prep",
    {
        "windows": "insula.prep.windows:windows",
        "percentile": "insula.prep.intensity:percentile",
        "full_scale": "insula.prep.intensity:full_scale",
        "colour": "insula.prep.intensity:colour",
        "resize": "insula.prep.geometry:resize",
        "pick_slices": "insula.prep.geometry:pick_slices",
    },
)
GEOMETRIC = frozenset({"resize", "pick_slices"})
