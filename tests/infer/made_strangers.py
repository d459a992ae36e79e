"""Made pictures and scans that are no head CT: photographs, text, knees, chests, MR for CT, spoilt heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from insula.core.types import Volume

SLICES, SIDE, SPACING = 12, 64, 3.4
WORDS = ("Findings", "no acute", "CT head", "page 3 of 7", "patient", "report", "see above", "dose 42")


def photograph(seed: int, grey: bool = False, side: int = 96) -> Volume:
    """An 8-bit picture such as a camera takes: a sky that fades, textured ground, plain things, a line of text.

    The texture's amplitudes fall as 1/f, as those of natural pictures do (Field 1987).
    """
    g = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    picture = np.stack([g.uniform(90, 220) + g.uniform(-120, 120) * y + g.uniform(-60, 60) * x for _ in range(3)])
    texture = _one_over_f(g, side) * g.uniform(20, 45)
    horizon = g.uniform(0.35, 0.7) + 0.1 * np.sin(x * g.uniform(3, 9) + g.uniform(0, 6))
    ground = y > horizon
    picture = np.where(ground, g.uniform(30, 200, (3, 1, 1)) + texture, picture + 0.25 * texture)
    canvas = np.ascontiguousarray(np.clip(picture, 0, 255).transpose(1, 2, 0).astype(np.uint8))
    for _ in range(int(g.integers(3, 8))):
        colour = tuple(int(v) for v in g.integers(0, 256, 3))
        place = tuple(int(v) for v in g.integers(0, side, 2))
        size = tuple(int(v) for v in g.integers(side // 12, side // 3, 2))
        if g.random() < 0.5:
            cv2.ellipse(canvas, place, size, float(g.uniform(0, 180)), 0, 360, colour, -1)
        else:
            cv2.rectangle(canvas, place, (place[0] + size[0], place[1] + size[1]), colour, -1)
    cv2.putText(canvas, str(g.choice(WORDS)), (4, side - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    if not grey:
        return _picture(canvas.transpose(2, 0, 1), "RGB")
    return _picture(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[None], "a.u.")


def page(seed: int, side: int = 192) -> Volume:
    """A page of dark text on light paper, grey, 8 bits."""
    g = np.random.default_rng(seed)
    canvas = np.full((side, side), int(g.integers(225, 250)), np.uint8)
    for line in range(10, side, int(g.integers(12, 18))):
        words = " ".join(g.choice(WORDS, 3))
        cv2.putText(canvas, words, (6, line), cv2.FONT_HERSHEY_SIMPLEX, 0.35, int(g.integers(0, 60)), 1)
    return _picture((canvas + g.normal(0, 2, canvas.shape))[None], "a.u.")


def knee(seed: int) -> Volume:
    """A CT of one leg about the knee: muscle in fat, two long bones with marrow, a kneecap in the middle slices."""
    g = np.random.default_rng(seed)
    y, x = _grid()
    cy, cx = g.uniform(-0.08, 0.08, 2)
    array = np.empty((SLICES, SIDE, SIDE))
    radius, tilt = g.uniform(0.5, 0.62), g.uniform(-0.06, 0.06)
    for z in range(SLICES):
        r = np.hypot(x - cx, y - cy) / (radius * (1 + 0.1 * np.cos(z / 2.5)))
        slab = np.where(r < 1.0, np.where(r < 0.86, 55.0, -100.0), -1000.0)
        for dx, size in ((-0.12, 0.2), (0.2 + tilt, 0.1)) if z > SLICES // 2 else ((0.0, 0.24),):
            b = np.hypot(x - cx - dx, y - cy - 0.05) / size
            slab = np.where(b < 1.0, np.where(b < 0.7, 120.0, 1100.0), slab)
        if abs(z - SLICES // 2) < 2:
            b = np.hypot((x - cx) / 1.4, y - cy + 0.42) / 0.11
            slab = np.where(b < 1.0, 800.0, slab)
        array[z] = slab
    return _ct(array, g)


def chest(seed: int) -> Volume:
    """A CT of the chest: two lungs, heart, spine and ribs in an oval of soft tissue, arms left out."""
    g = np.random.default_rng(seed)
    y, x = _grid()
    cy, cx = g.uniform(-0.05, 0.05, 2)
    width, height = g.uniform(0.82, 0.93), g.uniform(0.56, 0.68)
    array = np.empty((SLICES, SIDE, SIDE))
    for z in range(SLICES):
        r = np.hypot((x - cx) / width, (y - cy) / height)
        slab = np.where(r < 1.0, np.where(r < 0.9, 45.0, -100.0), -1000.0)
        ribs = (np.abs(r - 0.84) < 0.045) & (np.sin(np.arctan2(y - cy, x - cx) * 9 + z) > 0.4)
        slab = np.where(ribs, 500.0, slab)
        lung = 0.26 + 0.08 * np.sin(np.pi * (z + 1) / (SLICES + 1))
        for side in (-1.0, 1.0):
            inside = np.hypot((x - cx - side * 0.42 * width) / lung, (y - cy) / (0.42 * height / 0.6)) < 1.0
            slab = np.where(inside, -850.0 + g.normal(0, 40, slab.shape), slab)
        heart = np.hypot((x - cx - 0.1) / 0.24, (y - cy + 0.08) / 0.2) < 1.0
        slab = np.where(heart & (z > 3), 50.0, slab)
        slab = np.where(np.hypot(x - cx, y - cy - 0.5 * height) < 0.13, 350.0, slab)
        array[z] = slab
    return _ct(array, g)


def mr_as_ct(volume: Volume) -> Volume:
    """An MR whose numbers are taken for Hounsfield units, as a wrong export makes it."""
    return replace(volume, units="HU", modality="CT", full_scale=None, attributes={})


def mr_as_picture(volume: Volume) -> Volume:
    """An MR shown on a screen and saved with 8 bits, grey."""
    return _picture(_shown(volume.array[0], *np.percentile(volume.array, (1, 99.5))), "a.u.")


def ct_as_picture(volume: Volume, centre: float = 40.0, width: float = 80.0) -> Volume:
    """A CT saved in a window with 8 bits, grey."""
    return _picture(_shown(volume.array[0], centre - width / 2, centre + width / 2), "a.u.")


def upside_down(volume: Volume) -> Volume:
    """The patient's front below."""
    return replace(volume, array=np.ascontiguousarray(volume.array[:, :, ::-1]))


def noisy(volume: Volume, deviation: float, seed: int) -> Volume:
    """White noise of this deviation in the scan's own unit added."""
    noise = np.random.default_rng(seed).normal(0, deviation, volume.array.shape).astype(np.float32)
    return replace(volume, array=volume.array + noise)


def noise(seed: int) -> Volume:
    """Nothing but noise about the window of a brain."""
    g = np.random.default_rng(seed)
    return _ct(np.full((SLICES, SIDE, SIDE), 40.0), g, 40.0)


def cropped(volume: Volume, share: float = 0.5) -> Volume:
    """The middle of each slice alone."""
    h, w = volume.array.shape[-2:]
    top, left = round(h * (1 - share) / 2), round(w * (1 - share) / 2)
    return replace(volume, array=np.ascontiguousarray(volume.array[..., top : h - top, left : w - left]))


def sagittal(volume: Volume) -> Volume:
    """The same head cut from side to side instead of from below upwards, at twelve places."""
    turned = volume.array.transpose(0, 3, 1, 2)[:, :, ::-1]
    chosen = np.linspace(0.2, 0.8, SLICES) * (turned.shape[1] - 1)
    slices = np.stack([cv2.resize(turned[0, int(i)], (SIDE, SIDE)) for i in chosen])
    return replace(volume, array=np.ascontiguousarray(slices[None], np.float32))


def _ct(array: np.ndarray, g: np.random.Generator, deviation: float = 4.0) -> Volume:
    blurred = np.stack([cv2.GaussianBlur(slab.astype(np.float32), (0, 0), 0.7) for slab in array])
    values = blurred + g.normal(0, deviation, array.shape)
    return Volume(
        values[None].astype(np.float32), np.diag([SPACING, SPACING, 12.0, 1.0]), "HU", "CT", "made", window=(40.0, 80.0)
    )


def _picture(array: np.ndarray, units: str) -> Volume:
    shown = np.clip(np.round(array), 0, 255).astype(np.float32)
    shown = shown[:, None] if units == "RGB" or len(shown) == 1 else shown[None]
    return Volume(shown, np.eye(4), units, "", "made", full_scale=255.0)  # type: ignore[arg-type]


def _shown(array: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(np.clip((array - low) / (high - low), 0, 1) * 255.0)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return y, x


def _one_over_f(g: np.random.Generator, side: int) -> np.ndarray:
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    f[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(g.normal(size=(side, side))) / f).real
    return np.asarray(field / field.std())


def spoilt(deviation: float = 80.0) -> dict[str, Callable[[Volume, int], Volume]]:
    """Ways to spoil a head, by name; deviation: of added noise, in the scan's unit."""
    return {
        "upside down": lambda volume, seed: upside_down(volume),
        "noise added": lambda volume, seed: noisy(volume, deviation, seed),
        "middle half of each slice": lambda volume, seed: cropped(volume),
        "cut from side to side": lambda volume, seed: sagittal(volume),
        "lowest third of the slices": lambda volume, seed: replace(volume, array=volume.array[:, : SLICES // 3]),
        "highest third of the slices": lambda volume, seed: replace(volume, array=volume.array[:, -SLICES // 3 :]),
    }
