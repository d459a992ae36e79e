"""Made head MR: a T1-weighted image after contrast, in arbitrary units, with bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from insula.cohort.phantom.anatomy import Field, Head
from insula.cohort.phantom.lesions import Lesion

SCALE = 800.0


def t1_contrast(head: Head, lesions: Sequence[Lesion], pixel_mm: float, g: np.random.Generator) -> Field:
    """Signal (Z, Y, X), 0 to about 1,500. Benign tumours enhance evenly; malignant ones in a ring around necrosis."""
    signal = np.where(head.grey, 0.62, 0.82).astype(np.float32) + 0.015 * head.rough
    signal = np.where(head.csf | head.ventricles, 0.22, signal)
    signal = np.where(head.falx, 0.9, signal)
    for lesion in lesions:
        if lesion.kind == "benign":
            signal = np.where(lesion.mask, 1.35 + 0.04 * head.rough, signal)
        else:
            core = gaussian_filter(lesion.mask.astype(np.float32), (0.6, 3.0 / pixel_mm, 3.0 / pixel_mm))
            limit = 0.72 + 0.1 * head.rough
            signal = np.where(lesion.halo & ~head.ventricles, 0.5, signal)
            signal = np.where(lesion.mask, 1.3 + 0.1 * head.folds, signal)
            signal = np.where(lesion.mask & (core > limit), 0.3, signal)
    signal = _outside(head, signal)
    blur = 0.6 / pixel_mm
    signal = gaussian_filter(signal, (0.3, blur, blur))
    bias = 1.0 + 0.12 * gaussian_filter(g.standard_normal(signal.shape), (6, 40, 40)) * 60.0
    noise = 0.03 * g.standard_normal((2, *signal.shape))
    out: Field = (SCALE * np.hypot(signal * np.clip(bias, 0.7, 1.3) + noise[0], noise[1])).astype(np.float32)
    return out


def _outside(head: Head, signal: Field) -> Field:
    out = -head.depth
    bone = (out > 0) & (out <= head.skull_mm)
    marrow = bone & (np.abs(out / head.skull_mm - 0.5) < 0.2)
    beyond = out - head.skull_mm
    fat = (beyond > 0) & (beyond <= head.person.scalp_mm)
    signal = np.where(bone, 0.06, signal)
    signal = np.where(marrow, 0.6, signal)
    signal = np.where(fat, 1.25, signal)
    signal = np.where(fat & (beyond > head.person.scalp_mm - 1.5), 0.6, signal)
    return np.where(beyond > head.person.scalp_mm, 0.0, signal).astype(np.float32)
