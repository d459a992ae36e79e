"""The table of preparation steps.

A step is a plain function `(volume, **params) -> Volume`, its parameters declared by annotations (`prep/check.py`).
Steps in `GEOMETRIC` change the grid and are applied to masks as well, so that a mask stays on the pixels it marks; all
others change values only. Those in `LED_BY_PICTURE` choose the new grid by what the scan shows: a mask follows the
scan. Those in `SLICEWISE` treat every slice by itself. `NEEDS_HU` names the steps that refuse a scan without Hounsfield
units, `LOSES_HU` those after which it has none.
"""

from __future__ import annotations

from insula.core.registry import Registry

STEPS = Registry(
    "prep",
    {
        "windows": "insula.prep.windows:windows",
        "percentile": "insula.prep.intensity:percentile",
        "minmax": "insula.prep.intensity:minmax",
        "zscore": "insula.prep.intensity:zscore",
        "full_scale": "insula.prep.intensity:full_scale",
        "colour": "insula.prep.intensity:colour",
        "clip": "insula.prep.intensity:clip",
        "clip_hu": "insula.prep.intensity:clip_hu",
        "clip_outliers": "insula.prep.intensity:clip_outliers",
        "clahe": "insula.prep.enhance:clahe",
        "denoise": "insula.prep.enhance:denoise",
        "bias_field": "insula.prep.bias:bias_field",
        "remove_skull": "insula.prep.brain:remove_skull",
        "stain": "insula.prep.stain:stain",
        "crop_to_head": "insula.prep.head:crop_to_head",
        "resize": "insula.prep.geometry:resize",
        "pick_slices": "insula.prep.geometry:pick_slices",
        "untilt": "insula.prep.geometry:untilt",
        "resample": "insula.prep.geometry:resample",
    },
)
GEOMETRIC = frozenset({"resize", "pick_slices", "untilt", "resample", "crop_to_head"})
LED_BY_PICTURE = frozenset({"crop_to_head"})
SLICEWISE = frozenset({"windows", "full_scale", "colour", "clip", "clip_hu", "resize"})
NEEDS_HU = frozenset({"windows", "clip_hu", "remove_skull"})
LOSES_HU = frozenset({"windows", "percentile", "minmax", "zscore", "full_scale", "colour", "clahe"})
