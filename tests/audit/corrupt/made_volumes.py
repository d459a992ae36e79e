"""Made volumes of every kind that a corruption can meet."""

from __future__ import annotations

import numpy as np

from insula.core.types import Units, Volume


def head(slices: int = 6, size: int = 96, pixel: float = 2.4, thick: float = 2.0) -> Volume:
    """A CT: skull about a brain of 30 and 38 HU with a clot of 65, air around; smooth edges."""
    z, y, x = np.meshgrid(np.arange(slices), *[(np.arange(size) - size / 2 + 0.5) * pixel] * 2, indexing="ij")
    r = np.hypot(y, x)
    array = np.full((slices, size, size), -1000.0)
    array[r < 92] = 1100.0
    array[r < 84] = 30.0
    array[np.hypot(y, x) < 60] = 38.0
    array[np.hypot(y - 10 - z, x + 25) < 14] = 65.0
    return Volume(
        array[None].astype(np.float32), np.diag([pixel, pixel, thick, 1.0]), "HU", "CT", "made", window=(40.0, 80.0)
    )


def magnitude(slices: int = 6, size: int = 96, channels: int = 1) -> Volume:
    """An MR: a bright ellipse with two tissues, zero around, in arbitrary units; further channels are brighter."""
    ct = head(slices, size)
    one = np.select([ct.array > 500, ct.array > 60, ct.array > 35, ct.array > 0], [150.0, 900.0, 700.0, 500.0], 0.0)
    array = np.concatenate([one * (1 + c) for c in range(channels)]).astype(np.float32)
    return Volume(array, ct.affine, "a.u.", "MR", "made")


def picture(size: int = 96, units: Units = "RGB", slices: int = 1, modality: str = "", full: float = 255.0) -> Volume:
    """A picture of 8 or 16 bits without a place, grey or in colour, smooth but for a white and a black edge."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] / size
    base = 0.5 + 0.3 * np.sin(6 * x + 2 * y) * np.cos(5 * y)
    colours = [base, base**1.5, np.clip(base * 1.2, 0, 1)] if units == "RGB" else [base]
    array = np.stack([np.stack([c] * slices) for c in colours])
    array = np.clip(array + rng.normal(0, 0.01, array.shape), 0.0, 1.0)
    array[:, :, :4] = 1.0
    array[:, :, -4:] = 0.0
    return Volume(np.rint(array * full).astype(np.float32), np.eye(4), units, modality, "made", full_scale=full)


KINDS = {
    "ct": (head(), "CT"),
    "ct, one slice": (head(1), "CT"),
    "ct, odd sides": (
        Volume(head(3, 97).array[..., :71], np.diag([0.5, 0.7, 5.0, 1.0]), "HU", "CT", "made"),
        "CT",
    ),
    "ct picture": (picture(units="a.u."), "CT"),
    "mr": (magnitude(), "MR"),
    "mr, channels": (magnitude(3, 64, channels=2), "MR"),
    "mr picture": (picture(units="a.u.", full=65535.0), "MR"),
    "mr colour": (picture(), "MR"),
    "tiles": (picture(64, slices=5, modality="SM"), "SM"),
    "colour picture": (picture(), "OT"),
    "flat": (Volume(np.full((1, 2, 16, 16), 7.0, np.float32), np.diag([1.0, 1.0, 3.0, 1.0]), "a.u.", "MR", "m"), "MR"),
    "negative": (Volume(magnitude().array - 300.0, magnitude().affine, "a.u.", "MR", "made"), "MR"),
}
