"""How good a slice is to look at: noise, sharpness, contrast and clipping, and one score to sort a cohort by.

The score compares scans of one cohort with each other; it is no absolute scale, and what is sharp or noisy may be the
disease. Smoothing a noisy picture makes it less noisy and less sharp: look at the parts, not only at the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.cohort.shown import BRAIN, scale
from insula.core.types import FloatArray, Volume

_TISSUE = (-20.0, 100.0)  # HU: brain, fluid and blood, no fat, bone or air
_DARK = 0.06  # of the scale: below is background
_LEAST = 0.01  # of the pixels: with less to look at nothing can be said
_EVEN_SHARP = 0.25  # so much fine structure gives half the marks
_FULL = (-1000.0, 2000.0)  # HU between which edges are looked for: a narrow window keeps the skull's edge sharp
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Quality:
    """Measures of one slice.

    noise: standard deviation, in HU for CT and else as a share of the scale that is shown; sharpness: fine structure
    as a share of all structure; contrast: standard deviation of the tissue as a share of the scale; clipped: share of
    the pictured body at the top of the stored scale; score: 0 to 100.
    """

    noise: float
    sharpness: float
    contrast: float
    clipped: float
    score: float


def measure(volume: Volume, index: int) -> Quality | None:
    """The quality of slice `index`, or None where there is too little tissue on it to tell.

    noise: the median form of Immerkær's estimate (Comput. Vis. Image Underst. 64, 1996): the tissue filtered by a mask
    that answers neither to constant nor to linear shading nor to straight edges, divided by the mask's norm.
    sharpness: standard deviation of the Laplacian of a Gaussian of 1 pixel, what noise adds to it subtracted, divided
    by the standard deviation of the picture: the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) made
    independent of contrast. contrast: root mean square contrast (Peli, J. Opt. Soc. Am. A 7, 1990) without the noise.
    score: the geometric mean, times 100, of contrast / (contrast + noise), of sharpness / (sharpness + 0.25) and of
    1 - clipped.
    """
    picture = volume.array[:, index].mean(axis=0)
    low, high = scale(picture, volume, BRAIN)
    if high <= low:
        return None
    shown = ((picture - low) / (high - low)).astype(np.float32)
    body = shown > _DARK
    tissue = (picture > _TISSUE[0]) & (picture < _TISSUE[1]) if volume.units == "HU" else body & (shown < 1.0)
    tissue = cv2.erode(tissue.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if tissue.sum() < max(64, _LEAST * tissue.size):
        return None
    noise = _noise(shown, tissue)
    spread = float(np.clip(shown[tissue], 0.0, 1.0).var())
    contrast = float(np.sqrt(max(0.0, spread - noise**2)))
    edges, in_edges = shown, noise
    if volume.units == "HU":
        edges = ((np.clip(picture, *_FULL) - _FULL[0]) / (_FULL[1] - _FULL[0])).astype(np.float32)
        in_edges = noise * (high - low) / (_FULL[1] - _FULL[0])
    sharpness = _sharpness(np.clip(edges, 0.0, 1.0), body, in_edges)
    clipped = _clipped(picture, body, volume)
    parts = (contrast / max(contrast + noise, 1e-9), sharpness / (sharpness + _EVEN_SHARP), 1.0 - clipped)
    score = 100.0 * float(np.prod(parts)) ** (1 / 3)
    return Quality(noise * (high - low) if volume.units == "HU" else noise, sharpness, contrast, clipped, score)


def _noise(shown: FloatArray, tissue: NDArray[np.bool_]) -> float:
    answer = cv2.filter2D(shown, cv2.CV_32F, _IMMERKAER, borderType=cv2.BORDER_REFLECT)
    return float(np.median(np.abs(answer[tissue]))) / (0.6745 * float(np.linalg.norm(_IMMERKAER)))


def _sharpness(shown: FloatArray, body: NDArray[np.bool_], noise: float) -> float:
    near = cv2.dilate(body.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    spread = float(shown[near].var())
    if spread <= 0.0:
        return 0.0
    fine = float(_log(shown)[near].var()) - _log_gain() * noise**2
    return float(np.sqrt(max(0.0, fine) / spread))


def _log(picture: FloatArray) -> FloatArray:
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT), dtype=np.float32)


@cache
def _log_gain() -> float:
    """How much of the variance of white noise is left by the Laplacian of a Gaussian: its squared coefficients."""
    point = np.zeros((25, 25), np.float32)
    point[12, 12] = 1.0
    return float((_log(point) ** 2).sum())


def _clipped(picture: FloatArray, body: NDArray[np.bool_], volume: Volume) -> float:
    """Pixels at the largest value that the file can hold, or at the slice's own largest where many share it."""
    top = float(picture.max())
    if volume.full_scale is not None and top < volume.full_scale:
        return 0.0
    at_top = picture >= top
    return float((at_top & body).sum() / body.sum()) if at_top.sum() > 9 and body.any() else 0.0
