"""Stain normalisation for slides stained with haematoxylin and eosin: the same dyes in the same colours for all.

It evens out the scanner and the laboratory, and with them a part of what the tissue itself does to the colours: compare
a model with and without it before keeping it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.types import FloatArray, Volume

Array = NDArray[np.float64]
Method = Annotated[Literal["macenko", "reinhard"], Field(description="'macenko' or 'reinhard'")]

# Macenko's reference: the two stains' optical densities (columns haematoxylin, eosin) and their 99th percentiles, as
# published with the method's MATLAB code (Macenko et al., "A method for normalizing histology slides for quantitative
# analysis", ISBI 2009, 1107-1110)
LIGHT = 240.0
STAINS = np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]])
STRENGTH = np.array([1.9705, 1.0308])
# Reinhard's reference: mean and deviation in l-alpha-beta of a well stained slide, the defaults of HistomicsTK
MEAN = np.array([8.63234435, -0.11501964, 0.03868433])
DEVIATION = np.array([0.57506023, 0.10403329, 0.01364062])

_CLEAR = 0.15  # optical density below which a pixel is glass (beta of Macenko 2009)
_TAIL = 1.0  # per cent of angles left out on either side (alpha of Macenko 2009)
_LEAST = 0.01  # share of pixels that must be stained
_APART = 8.0  # degrees between the two stains; closer ones are one stain and cannot be told apart
_FAR = 20.0  # degrees from the reference's haematoxylin: what lies farther is another pigment, such as red cells alone
_SAMPLE = 250_000
# Cone responses of RGB, and the axes that decorrelate their logarithms (Ruderman et al., J. Opt. Soc. Am. A 15:2036,
# 1998), as in Reinhard et al., "Color transfer between images", IEEE Comput. Graph. Appl. 21(5):34-41, 2001
_CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_AXES = np.diag([1 / 3**0.5, 1 / 6**0.5, 1 / 2**0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])


def stain(volume: Volume, method: Method = "macenko") -> Volume:
    """Bring a slide's colours to the reference: by its two stains (`macenko`) or by mean and spread (`reinhard`).

    Stands before `colour`. All tiles of a slide are measured together, so that a tile keeps its place among them. A
    picture with little stain, or with one stain alone, is returned unchanged with a warning. Raises
    UnsuitableScanError for a scan that is no colour picture.
    """
    if volume.units != "RGB" or volume.array.shape[0] != 3 or not volume.full_scale:
        if volume.full_scale and volume.array.shape[0] == 1:
            return _unchanged(volume, "the picture is grey")
        raise UnsuitableScanError(
            f"Step 'stain' needs a colour picture, and this scan holds '{volume.units}'; give an RGB picture."
        )
    if volume.full_scale > 1 and 0 < float(volume.array.max()) <= 1:
        raise RecipeError("Step 'stain' stands after a step that scaled the colours; write it before 'colour'.")
    scale = 255.0 / volume.full_scale
    sample = _sample(volume) * scale
    light = _light(sample)
    density = _density(sample, light)
    # Macenko asks every channel to be absorbed, which keeps weak blends out of the angles
    deep = density.min(axis=1) if method == "macenko" else density.mean(axis=1)
    stained = sample[deep > _CLEAR]
    if len(stained) < max(100, _LEAST * len(sample)):
        return _unchanged(volume, "too little of it is stained")
    colours = np.moveaxis(volume.array, 0, -1).reshape(-1, 3) * np.float32(scale)
    if method == "macenko":
        stains = stain_vectors(stained, light)
        if stains is None:
            return _unchanged(volume, "its two stains cannot be told apart")
        if _degrees(stains[:, 0], STAINS[:, 0]) > _FAR:
            return _unchanged(volume, "no haematoxylin was recognised")
        changed = _macenko(colours, stains, stained, light)
    else:
        changed = _reinhard(colours, stained, light)
    shape = (*volume.array.shape[1:], 3)
    array = np.moveaxis((changed / np.float32(scale)).reshape(shape), -1, 0)
    return replace(volume, array=np.ascontiguousarray(array, np.float32))


def stain_vectors(stained: NDArray[np.floating], light: Array | float = LIGHT) -> Array | None:
    """The optical densities (3, 2) of haematoxylin and eosin, each of length 1, from stained pixels (N, 3) of 0 to 255.

    The plane of the two largest principal axes of the densities, and in it the directions at the 1st and 99th
    percentile of the angle (Macenko 2009). None when the two lie closer than 8 degrees.
    """
    density = _density(stained, light)
    _, axes = np.linalg.eigh(np.cov(density.T))
    plane = axes[:, 1:] * np.where(axes[:, 1:].sum(axis=0) < 0, -1.0, 1.0)
    along = density @ plane
    angles = np.arctan2(along[:, 0], along[:, 1])
    low, high = np.percentile(angles, (_TAIL, 100.0 - _TAIL))
    if np.degrees(high - low) < _APART:
        return None
    first, second = (plane @ np.array([np.sin(a), np.cos(a)]) for a in (low, high))
    pair = (first, second) if first[0] > second[0] else (second, first)  # haematoxylin takes more of the red light
    found: Array = np.stack([v / np.linalg.norm(v) for v in pair], axis=1)
    return found if (found > -0.1).all() else None


def _macenko(colours: FloatArray, stains: Array, stained: NDArray[np.floating], light: Array) -> FloatArray:
    """Each pixel taken apart into its stains, their strengths scaled to the reference's, and put together in its
    colours; light passes exponentially (Beer-Lambert).
    """
    apart = np.linalg.pinv(stains)
    strength = np.percentile(_density(stained, light) @ apart.T, 99, axis=0)
    mixed = STAINS @ np.diag(STRENGTH / np.maximum(strength, 1e-3)) @ apart
    density = _density(colours, light.astype(np.float32)) @ mixed.T.astype(np.float32)
    shown: FloatArray = (np.float32(LIGHT) * np.exp(-density)).astype(np.float32, copy=False)
    return np.clip(shown, 0.0, 255.0, out=shown)


def _reinhard(colours: FloatArray, stained: NDArray[np.floating], light: Array) -> FloatArray:
    """Stained pixels moved to the reference's mean and deviation in l-alpha-beta; glass stays, rims go part way."""
    source = _lab(stained)
    deviation = np.maximum(source.std(axis=0), 1e-4)
    moved = (_lab(colours) - source.mean(axis=0)) * (DEVIATION / deviation) + MEAN
    cones = np.exp(moved @ np.linalg.inv(_AXES).T)
    shown = np.clip(cones @ np.linalg.inv(_CONES).T, 0.0, 255.0)
    part = np.clip(_density(colours, light).mean(axis=1, keepdims=True) / _CLEAR, 0.0, 1.0)
    mixed: FloatArray = (colours * (1.0 - part) + shown * part).astype(np.float32)
    return mixed


def _light(sample: Array) -> Array:
    """The light that falls on the tissue, (3,): the colour of the glass where at least 2% is glass, else 240."""
    glass = sample[(sample.min(axis=1) > 200) & (np.ptp(sample, axis=1) < 25)]
    if len(glass) < 0.02 * len(sample):
        return np.full(3, LIGHT)
    found: Array = np.median(glass, axis=0) + 1.0
    return found


def _degrees(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))))


def _density(colours: NDArray[np.floating], light: NDArray[np.floating] | float = LIGHT) -> NDArray[np.floating]:
    """Optical density (N, 3), natural logarithm, of colours 0 to 255 under this light (Beer-Lambert)."""
    density: NDArray[np.floating] = -np.log((colours + 1.0) / light)
    return density


def _lab(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    lab: NDArray[np.floating] = np.log(np.maximum(colours, 1.0) @ _CONES.T) @ _AXES.T
    return lab


def _sample(volume: Volume) -> Array:
    """At most 250,000 pixels (N, 3), every n-th, the same ones each time."""
    pixels = volume.array.reshape(3, -1)
    return np.asarray(pixels[:, :: max(1, pixels.shape[1] // _SAMPLE)].T, np.float64)


def _unchanged(volume: Volume, why: str) -> Volume:
    return replace(volume, warnings=(*volume.warnings, f"stain not normalised: {why}"))
