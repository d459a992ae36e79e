"""Lesions of made patients, each in the place where its kind lies, with exact masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from insula.cohort.phantom.anatomy import Field, Head, Mask, ellipsoid

HAEMORRHAGES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
TUMOURS = ("benign", "malignant", "ring", "even")


@dataclass(frozen=True)
class Lesion:
    """One lesion: its kind, its mask on the head's grid, its side (+1 patient's left, -1 right), its brightness.

    halo: where oedema surrounds it. phase: an infarct's age. size_mm: a tumour's radius. calcified: whether CT shows
    chalk in it. strength: its contrast against the brain, 1 as it should be, less where it is made hard to see.
    """

    kind: str
    mask: Mask
    halo: Mask
    side: int
    level: float
    phase: str = ""
    size_mm: float = 0.0
    calcified: bool = False
    strength: float = 1.0


def haemorrhage(head: Head, kind: str, g: np.random.Generator, side: int | None = None) -> Lesion:
    """A haemorrhage of one of the five kinds; level is its mean HU."""
    where = side if side is not None else int(g.choice((-1, 1)))
    nothing = np.zeros(head.depth.shape, bool)
    level = float(g.uniform(58, 76))
    if kind == "intraparenchymal":
        centre, radius = _inside_brain(g, where), float(g.uniform(11, 18))
        mask = _blob(head, centre, radius, g) & (head.depth > 3)
        halo = _blob(head, centre, radius + 6, g) & (head.depth > 1) & ~mask
        return Lesion(kind, mask, halo, where, level)
    if kind == "epidural":
        mask = _cap(head, where, g, thick=float(g.uniform(15, 24)), wide=float(g.uniform(30, 40)), power=2.0)
    elif kind == "subdural":
        mask = _cap(head, where, g, thick=float(g.uniform(9, 14)), wide=float(g.uniform(52, 66)), power=4.0)
        mask &= head.points[0] * where > 4
    elif kind == "intraventricular":
        p = head.points
        near = (p[0] * where > -6) if g.random() < 0.5 else np.ones_like(nothing)
        mask = _grown_ventricles(head) & near & (p[1] > float(g.uniform(-25, 8)))
    elif kind == "subarachnoid":
        p = head.points
        centre = (46.0 * where, float(g.uniform(-20, 10)), float(g.uniform(-8, 25)))
        region = ellipsoid(p, centre, (34, 42, 26), 0.2 * head.rough)
        sulci = (np.abs(head.folds) < 0.27) & (head.depth > 0) & (head.depth < 20)
        mask = (region & (head.csf | sulci) & (head.depth > 0)) | (
            ellipsoid(p, (0, -12, -24), (15, 11, 7)) & (p[0] * where > -5)
        )
        level = float(g.uniform(54, 66))
    else:
        raise ValueError(f"'{kind}' is no haemorrhage; known are {HAEMORRHAGES}")
    return Lesion(kind, mask, nothing, where, level)


def tumour(head: Head, kind: str, g: np.random.Generator, side: int | None = None) -> Lesion:
    """`benign`: smooth, extra-axial, on the convexity. `malignant`: irregular, in the brain, with oedema."""
    where = side if side is not None else int(g.choice((-1, 1)))
    if kind == "benign":
        direction = np.array([where, g.uniform(-0.7, 0.7), g.uniform(0.2, 0.8)])
        direction /= np.linalg.norm(direction)
        centre = tuple(direction * np.array(head.person.axes) * 0.86)
        radius = float(g.uniform(13, 20))
        mask = ellipsoid(head.points, centre, (radius,) * 3, 0.03 * head.rough) & (head.depth > 0.3)
        return Lesion(kind, mask, np.zeros_like(mask), where, 1.0, size_mm=radius)
    centre, radius = _inside_brain(g, where), float(g.uniform(14, 21))
    mask = _blob(head, centre, radius, g, 0.16) & (head.depth > 2)
    halo = _blob(head, centre, radius + 11, g, 0.2) & (head.depth > 2) & ~mask
    return Lesion(kind, mask, halo, where, radius, size_mm=radius)


def two_sided(head: Head, label: str, g: np.random.Generator, side: int | None = None) -> Lesion:
    """A tumour whose class neither CT nor MR tells alone.

    It enhances in a `ring` or `even` (seen on MR after contrast alone) and is calcified or not (seen on CT alone).
    `malignant` is the ring without chalk. `benign` is either a ring with chalk or even without, at equal odds, so that
    each modality by itself is right in 3 of 4 tumours (where both classes are as frequent) and both together in all.
    Place, shape and oedema are the same for both classes. That is this phantom's assumption, not pathology.
    """
    chalk = label == "benign" and bool(g.random() < 0.5)
    drawn = tumour(head, "malignant", g, side)
    return replace(drawn, kind="ring" if chalk or label == "malignant" else "even", calcified=chalk)


def _inside_brain(g: np.random.Generator, side: int) -> tuple[float, float, float]:
    if g.random() < 0.5:  # basal ganglia and thalamus
        return side * float(g.uniform(18, 30)), float(g.uniform(-14, 12)), float(g.uniform(0, 14))
    return side * float(g.uniform(26, 40)), float(g.uniform(-42, 44)), float(g.uniform(10, 36))


def _blob(head: Head, centre: tuple[float, ...], radius: float, g: np.random.Generator, wobble: float = 0.1) -> Mask:
    axes = tuple(radius * float(g.uniform(0.85, 1.15)) for _ in range(3))
    return ellipsoid(head.points, centre, axes, wobble * head.rough + 0.5 * wobble * head.folds)


def _cap(head: Head, side: int, g: np.random.Generator, thick: float, wide: float, power: float) -> Mask:
    """A layer under the skull around one direction: thickest there, gone `wide` degrees away."""
    axis = np.array([side, g.uniform(-0.55, 0.55), g.uniform(0.05, 0.55)])
    angle = _angle(head.points, axis)
    profile = thick * np.clip(1.0 - (angle / wide) ** power, 0.0, 1.0)
    mask: Mask = (head.depth > 0.0) & (head.depth < profile)
    return mask


def cone(p: Field, tip: np.ndarray, axis: np.ndarray, half_angle: float, wobble: Field) -> Mask:
    """Points seen from the tip within an angle of the axis, in degrees, its surface moved by `wobble`."""
    moved = p - tip.astype(np.float32).reshape(3, 1, 1, 1)
    inside: Mask = _angle(moved, axis) < half_angle * (1.0 + wobble)
    return inside


def _angle(p: Field, axis: np.ndarray) -> Field:
    unit = (axis / np.linalg.norm(axis)).astype(np.float32)
    length = np.sqrt((p**2).sum(0)) + 1e-6
    cosine = np.clip(np.tensordot(unit, p, axes=1) / length, -1.0, 1.0)
    out: Field = np.rad2deg(np.arccos(cosine)).astype(np.float32)
    return out


def _grown_ventricles(head: Head) -> Mask:
    """Blood widens the ventricle that it fills."""
    from scipy.ndimage import binary_dilation

    grown: Mask = binary_dilation(head.ventricles, np.ones((1, 3, 3), bool)) & (head.depth > 12)
    return grown
