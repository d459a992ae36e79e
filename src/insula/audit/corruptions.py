"""The table of corruptions: each a change of the scan in physical units, before any preparation, at five strengths.

An entry is a `Corruption` (see `insula.audit.corrupt.corruption`); others add theirs by the entry-point group
`insula.corruption`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from insula.audit.corrupt.corruption import GRADES, Corruption
from insula.core.registry import Registry

CORRUPTIONS = Registry(
    "corruption",
    {
        "noise_ct": "insula.audit.corrupt.noise:NOISE_CT",
        "noise_mr": "insula.audit.corrupt.noise:NOISE_MR",
        "noise_picture": "insula.audit.corrupt.noise:NOISE_PICTURE",
        "salt_pepper": "insula.audit.corrupt.noise:SALT_PEPPER",
        "blur": "insula.audit.corrupt.blur:BLUR",
        "brighter": "insula.audit.corrupt.contrast:BRIGHTER",
        "darker": "insula.audit.corrupt.contrast:DARKER",
        "more_contrast": "insula.audit.corrupt.contrast:MORE_CONTRAST",
        "less_contrast": "insula.audit.corrupt.contrast:LESS_CONTRAST",
        "jpeg": "insula.audit.corrupt.compression:JPEG",
        "motion_ct": "insula.audit.corrupt.motion:MOTION_CT",
        "motion_mr": "insula.audit.corrupt.motion:MOTION_MR",
        "resample": "insula.audit.corrupt.sampling:RESAMPLE",
        "slices_dropped": "insula.audit.corrupt.slices:SLICES_DROPPED",
        "slices_cut": "insula.audit.corrupt.slices:SLICES_CUT",
        "slices_thicker": "insula.audit.corrupt.slices:SLICES_THICKER",
        "bias_field": "insula.audit.corrupt.magnet:BIAS_FIELD",
        "ghosting": "insula.audit.corrupt.magnet:GHOSTING",
        "cupping": "insula.audit.corrupt.hardening:CUPPING",
        "streaks": "insula.audit.corrupt.hardening:STREAKS",
        "stain": "insula.audit.corrupt.stain:STAIN",
    },
)


def chosen(names: Sequence[str] = ()) -> tuple[Corruption, ...]:
    """The corruptions of these names, each once and in their order; all where none is named.

    Raises UsageError, with the known names, for one that there is not.
    """
    return tuple(cast(Corruption, CORRUPTIONS.get(name)) for name in dict.fromkeys(names or CORRUPTIONS.names()))


def table() -> str:
    """All strengths as a table in Markdown, the everyday one of each in bold, for `docs/audit.md`."""
    lines = [
        "| corruption | for | unit | strengths 1 to 5 (everyday in bold) | where the everyday strength comes from |"
    ]
    lines.append("|---|---|---|---|---|")
    for one in chosen():
        marked = [
            f"**{s:g}**" if grade == one.everyday else f"{s:g}" for grade, s in zip(GRADES, one.strengths, strict=True)
        ]
        said = f"{one.why}; the grades include {one.asked}" if one.asked else one.why
        kinds = ", ".join(one.modalities) + (" (HU)" if one.units == ("HU",) else "")
        lines.append(f"| {one.title} (`{one.name}`) | {kinds} | {one.unit} | {', '.join(marked)} | {said} |")
    return "\n".join(lines)
