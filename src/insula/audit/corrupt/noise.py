"""Noise: of a CT in HU with the grain of its reconstruction, of MR as magnitudes have it, of a picture; dead pixels."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import STORED, display, each_plane, limits, per_channel, pixel_mm, stored
from insula.core.types import FloatArray, Volume

_PSF_MM: Final = 1.0  # a head's soft-tissue kernel: 50% of contrast at 4.4 line pairs a centimetre


def noise_ct(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Add noise of this standard deviation in HU.

    Its power over spatial frequency f is f·MTF(f)², as filtered back projection leaves it (Riederer, Pelc and Chesler,
    Physics in Medicine and Biology 23:446, 1978), with the MTF of a Gaussian point spread of 1 mm (Nickoloff and Riley,
    Medical Physics 12:437, 1985). Slices are independent.
    """
    y, x = pixel_mm(volume)
    grain = _grain(volume.array.shape[2], volume.array.shape[3], y, x)
    white = rng.standard_normal(volume.array.shape, dtype=np.float32)

    def coloured(plane: FloatArray) -> FloatArray:
        found: FloatArray = np.fft.irfft2(np.fft.rfft2(plane) * grain, plane.shape).astype(np.float32)
        return found

    noise = each_plane(replace(volume, array=white), coloured)
    noise *= np.float32(strength)
    noise += volume.array
    return replace(volume, array=stored(volume, noise))


def noise_mr(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Noise of a magnitude picture, √((x + n)² + m²), with n and m normal; strength: their standard deviation as a
    share of the display range.

    Rician statistics (Gudbjartsson and Patz, Magnetic Resonance in Medicine 34:910, 1995). Where the scan holds
    negative values it is no magnitude, and n alone is added.
    """
    low, high = display(volume)
    level = per_channel((high - low) * strength)
    out = volume.array + level * rng.standard_normal(volume.array.shape, dtype=np.float32)
    if float(volume.array.min()) >= 0.0:
        np.hypot(out, level * rng.standard_normal(volume.array.shape, dtype=np.float32), out=out)
    return replace(volume, array=stored(volume, out))


def noise_picture(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Add normal noise to every channel by itself; strength: its standard deviation as a share of the display range."""
    low, high = display(volume)
    out = rng.standard_normal(volume.array.shape, dtype=np.float32)
    out *= per_channel((high - low) * strength)
    out += volume.array
    return replace(volume, array=stored(volume, out))


def salt_pepper(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Set this share of the pixels, one half to the brightest and one half to the darkest value that can be stored.

    In HU these are the ends of 12 bits; where nothing bounds the values, those of the channel. A pixel of several
    channels is hit in all of them.
    """
    shape = volume.array.shape[1:]
    count = round(strength * int(np.prod(shape)))
    hit = rng.choice(int(np.prod(shape)), count, replace=False)
    out = volume.array.copy()
    low, high = STORED if volume.units == "HU" else limits(volume)
    for channel in out:
        flat = channel.reshape(-1)
        ends = float(channel.min()), float(channel.max())
        flat[hit[: count // 2]] = high if np.isfinite(high) else ends[1]
        flat[hit[count // 2 :]] = low if np.isfinite(low) else ends[0]
    return replace(volume, array=out)


@lru_cache(maxsize=8)
def _grain(rows: int, columns: int, y: float, x: float) -> FloatArray:
    """The filter (rows, columns // 2 + 1) that gives white noise the spectrum of CT and keeps its variance."""
    f = np.hypot(np.fft.fftfreq(rows, y)[:, None], np.fft.fftfreq(columns, x)[None, :])
    sigma = _PSF_MM / 2.3548
    whole = np.sqrt(f) * np.exp(-2.0 * (np.pi * sigma * f) ** 2)
    size = np.sqrt((whole**2).mean())
    half: FloatArray = (whole / size if size else np.ones_like(whole))[:, : columns // 2 + 1].astype(np.float32)
    return half


NOISE_CT: Final = Corruption(
    name="noise_ct",
    title="Noise",
    unit="HU",
    strengths=(2.0, 4.0, 8.0, 16.0, 32.0),
    everyday=2,
    why="head CT has 4 to 6 HU of noise (Nakamura et al., Advances in Computed Tomography 8(2), 2019; Oostveen et al., "
    "European Radiology 31:5498, 2021); as much again is half the dose, or slices half as thick",
    change=noise_ct,
    modalities=("CT",),
    units=("HU",),
    asked="4 and 8 HU, 0.05 and 0.1 of the brain window's 80 HU",
)
NOISE_MR: Final = Corruption(
    name="noise_mr",
    title="Noise",
    unit="share of the display range",
    strengths=(0.01, 0.03, 0.05, 0.1, 0.2),
    everyday=2,
    why="the middle of what BrainWeb simulates as typical (1 to 9% of the reference tissue; Cocosco et al., NeuroImage "
    "5:S425, 1997) lies at 3 to 5%",
    change=noise_mr,
    modalities=("MR",),
    units=("a.u.", "RGB"),
    asked="0.05 and 0.1",
)
NOISE_PICTURE: Final = Corruption(
    name="noise_picture",
    title="Noise",
    unit="share of the display range",
    strengths=(0.01, 0.02, 0.05, 0.1, 0.2),
    everyday=2,
    why="5 of 256 grey levels, 1.6 HU of a brain window; chosen here, without a source",
    change=noise_picture,
    modalities=("CT", "SM", "OT"),
    units=("a.u.", "RGB"),
    asked="0.05 and 0.1",
)
SALT_PEPPER: Final = Corruption(
    name="salt_pepper",
    title="Salt and pepper",
    unit="share of the pixels",
    strengths=(0.0002, 0.001, 0.01, 0.05, 0.1),
    everyday=1,
    why="a picture should have no such pixel; 50 of 512² is what a damaged transfer leaves; chosen here, without a "
    "source",
    change=salt_pepper,
    asked="5% of the pixels",
)
