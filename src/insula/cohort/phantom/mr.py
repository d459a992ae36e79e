"""Made head MR: T1, T1 after contrast, T2 and FLAIR, in arbitrary units, with bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from insula.cohort.phantom.anatomy import Field, Head, Mask
from insula.cohort.phantom.lesions import Lesion

SCALE = 800.0


@dataclass(frozen=True)
class Contrast:
    """How bright tissues are (1 is about white matter on T1), and the sequence as its sidecar tells it.

    rim: the living part of a tumour that grows in a ring; core: its dead part; even: a tumour without a ring.
    """

    grey: float
    white: float
    fluid: float
    falx: float
    fat: float
    even: float
    rim: float
    core: float
    oedema: float
    bone: float
    marrow: float
    skin: float
    sequence: tuple[tuple[str, Any], ...]


_SPIN = ("ScanningSequence", "SE")
CONTRASTS = {
    "t1": Contrast(
        0.62, 0.82, 0.22, 0.6, 1.25, 0.63, 0.6, 0.42, 0.5, 0.06, 0.6, 0.6,
        (_SPIN, ("RepetitionTime", 0.5), ("EchoTime", 0.012)),
    ),
    "t1c": Contrast(
        0.62, 0.82, 0.22, 0.9, 1.25, 1.35, 1.3, 0.3, 0.5, 0.06, 0.6, 0.6,
        (_SPIN, ("RepetitionTime", 0.5), ("EchoTime", 0.012), ("ContrastBolusAgent", "made contrast agent")),
    ),
    "t2": Contrast(
        0.74, 0.54, 1.45, 0.25, 0.8, 0.8, 0.95, 1.3, 1.15, 0.05, 0.4, 0.5,
        (_SPIN, ("RepetitionTime", 4.0), ("EchoTime", 0.1)),
    ),
    "flair": Contrast(
        0.78, 0.6, 0.16, 0.3, 0.7, 0.85, 0.98, 0.45, 1.25, 0.05, 0.35, 0.45,
        (("ScanningSequence", "SE_IR"), ("RepetitionTime", 9.0), ("EchoTime", 0.11), ("InversionTime", 2.5)),
    ),
}  # fmt: skip


def signal(contrast: str, head: Head, lesions: Sequence[Lesion], pixel_mm: float, g: np.random.Generator) -> Field:
    """Signal (Z, Y, X), 0 to about 1,500. Benign tumours are even, malignant ones a ring around dead tissue.

    Only T1 after contrast tells an enhancing ring from a tumour that enhances throughout: on the others the two kinds
    `ring` and `even` look alike.
    """
    c = CONTRASTS[contrast]
    out = np.where(head.grey, c.grey, c.white).astype(np.float32) + 0.015 * head.rough
    out = np.where(head.csf | head.ventricles, c.fluid, out)
    out = np.where(head.falx, c.falx, out)
    for lesion in lesions:
        without = out
        if lesion.kind == "benign":
            out = np.where(lesion.mask, c.even + 0.04 * head.rough, out)
        else:
            out = np.where(lesion.halo & ~head.ventricles, c.oedema, out)
            ring = lesion.kind == "malignant" or (lesion.kind == "ring" and contrast == "t1c")
            out = np.where(lesion.mask, (c.rim if ring else c.even) + 0.1 * head.folds, out)
            if ring:
                out = np.where(lesion.mask & _dead(head, lesion, pixel_mm), c.core, out)
        if lesion.strength != 1.0:
            out = without + lesion.strength * (out - without)
    out = _outside(head, c, out)
    blur = 0.6 / pixel_mm
    out = gaussian_filter(out, (0.3, blur, blur))
    bias = 1.0 + 0.12 * gaussian_filter(g.standard_normal(out.shape), (6, 40, 40)) * 60.0
    noise = 0.03 * g.standard_normal((2, *out.shape))
    shown: Field = (SCALE * np.hypot(out * np.clip(bias, 0.7, 1.3) + noise[0], noise[1])).astype(np.float32)
    return shown


def sidecar(contrast: str) -> dict[str, Any]:
    """The sequence of a contrast in the words of a BIDS sidecar, times in seconds."""
    return {"Modality": "MR", "MagneticFieldStrength": 1.5, **dict(CONTRASTS[contrast].sequence)}


def _dead(head: Head, lesion: Lesion, pixel_mm: float) -> Mask:
    core = gaussian_filter(lesion.mask.astype(np.float32), (0.6, 3.0 / pixel_mm, 3.0 / pixel_mm))
    dead: Mask = core > 0.72 + 0.1 * head.rough
    return dead


def _outside(head: Head, c: Contrast, signal: Field) -> Field:
    out = -head.depth
    bone = (out > 0) & (out <= head.skull_mm)
    marrow = bone & (np.abs(out / head.skull_mm - 0.5) < 0.2)
    beyond = out - head.skull_mm
    fat = (beyond > 0) & (beyond <= head.person.scalp_mm)
    signal = np.where(bone, c.bone, signal)
    signal = np.where(marrow, c.marrow, signal)
    signal = np.where(fat, c.fat, signal)
    signal = np.where(fat & (beyond > head.person.scalp_mm - 1.5), c.skin, signal)
    return np.where(beyond > head.person.scalp_mm, 0.0, signal).astype(np.float32)
