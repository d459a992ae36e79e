"""Made head CT: tissue to Hounsfield units, two made-up scanners, gantry tilt, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from insula.cohort.phantom import infarcts
from insula.cohort.phantom.anatomy import Field, Head, Person, falx_patch, pineal, plexus
from insula.cohort.phantom.lesions import TUMOURS, Lesion

FIELD_MM = 215.0
LOWEST_MM, HIGHEST_MM = -58.0, 74.0


@dataclass(frozen=True)
class Scanner:
    """A made-up scanner: its names, the sharpness of its kernel in mm, its noise in HU and its kernel's name."""

    manufacturer: str
    model: str
    site: str
    blur_mm: float
    noise_hu: float
    kernel: str


SCANNERS = (
    Scanner("Alder Imaging", "AX-16", "north", 0.9, 3.0, "SOFT-1"),
    Scanner("Birch Medical", "BR-64", "south", 0.6, 4.5, "H40s"),
)


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of one series lie: affine (4, 4) of voxel index (x, y, z) → LPS mm; tilt in degrees."""

    affine: np.ndarray
    shape: tuple[int, int, int]
    tilt: float


def geometry(g: np.random.Generator, size: int, slices: int, tilted: bool) -> Geometry:
    """An axial series over the head; a tilted gantry turns the slices about x, while the table moves along z."""
    tilt = float(g.choice((-1, 1)) * g.uniform(8, 20)) if tilted else 0.0
    step = FIELD_MM / size
    angle = np.deg2rad(tilt)
    affine = np.eye(4)
    affine[:3, 0] = (step, 0, 0)
    affine[:3, 1] = (0, step * np.cos(angle), step * np.sin(angle))
    affine[:3, 2] = (0, 0, (HIGHEST_MM - LOWEST_MM) / max(slices - 1, 1))
    middle = np.array([(size - 1) / 2, (size - 1) / 2, 0])
    affine[:3, 3] = np.array([0, 0, LOWEST_MM]) - affine[:3, :3] @ middle
    return Geometry(affine, (slices, size, size), tilt)


def points(place: Geometry) -> Field:
    """Millimetres (3, Z, Y, X) of every voxel's centre."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in place.shape), indexing="ij")
    index = np.stack([x, y, z])
    moved = np.tensordot(place.affine[:3, :3].astype(np.float32), index, axes=1)
    return (moved + place.affine[:3, 3].astype(np.float32).reshape(3, 1, 1, 1)).astype(np.float32)


def hounsfield(
    head: Head,
    place: Geometry,
    lesions: Sequence[Lesion],
    scanner: Scanner,
    g: np.random.Generator,
    flat_rest: bool = False,
) -> Field:
    """HU (Z, Y, X) of a head with its lesions, as the scanner would show it, on a curved or a flat headrest."""
    hu = _tissue(head)
    for lesion in lesions:
        without = hu
        if lesion.kind == "infarct":
            hu = infarcts.shade(head, lesion, hu)
        elif lesion.kind in TUMOURS:
            hu = _tumour(head, lesion, hu)
        else:
            hu = np.where(lesion.halo & ~head.ventricles, np.minimum(hu, 30.0) - 8.0, hu)
            hu = np.where(lesion.mask, lesion.level + 3.0 * head.rough, hu)
        if lesion.strength != 1.0:
            hu = (without + np.float32(lesion.strength) * (hu - without)).astype(np.float32)
    hu = _calcified(head, hu, g)
    hu = _outside(head, hu)
    hu = _skull_base(head, hu)
    hu = _flat_rest(place, hu) if flat_rest else _headrest(place, hu)
    pixel = FIELD_MM / place.shape[1]
    in_plane = scanner.blur_mm / pixel
    hu = gaussian_filter(hu, (0.3, in_plane, in_plane))
    noise = gaussian_filter(g.standard_normal(hu.shape).astype(np.float32), (0.0, 0.6, 0.6))
    hu = hu + scanner.noise_hu * noise / noise.std()
    inside = head.depth > 0
    hu = hu + np.where(inside, 1.5 - 0.05 * np.clip(head.depth, 0, 40), 0.0)  # cupping: beam hardening by the skull
    shown: Field = np.clip(hu, -1024, 3071).astype(np.float32)
    return shown


def _tissue(head: Head) -> Field:
    hu = np.where(head.grey, 38.0, 29.0).astype(np.float32)
    hu += 1.0 * head.rough
    hu = np.where(head.csf, 12.0, hu)
    hu = np.where(head.ventricles, 7.0, hu)
    hu = np.where(plexus(head.points) & head.ventricles, 40.0, hu)
    return np.where(head.falx, 48.0, hu).astype(np.float32)


def _tumour(head: Head, lesion: Lesion, hu: Field) -> Field:
    """A benign tumour is a little denser than grey matter, the others no denser than brain, in dark oedema."""
    out = np.where(lesion.halo & ~head.ventricles, np.minimum(hu, 30.0) - 8.0, hu)
    if lesion.kind == "malignant":
        deep = gaussian_filter(lesion.mask.astype(np.float32), (0.6, 4.0, 4.0)) > 0.8 + 0.1 * head.rough
        out = np.where(lesion.mask, 40.0 + 2.0 * head.folds, out)
        out = np.where(lesion.mask & deep, 20.0, out)
    else:
        out = np.where(lesion.mask, (47.0 if lesion.kind == "benign" else 34.0) + 1.5 * head.rough, out)
    if lesion.calcified:
        out = np.where(lesion.mask & (head.folds > 0.35), 190.0 + 40.0 * head.rough, out)
    return out.astype(np.float32)


def _calcified(head: Head, hu: Field, g: np.random.Generator) -> Field:
    person: Person = head.person
    for there, mask in (
        (person.plexus_calcified, plexus),
        (person.pineal_calcified, pineal),
        (person.falx_calcified, lambda p: falx_patch(person, p)),
    ):
        level = float(g.uniform(140, 320))
        if there:
            hu = np.where(mask(head.points) & (head.depth > 2), level, hu)
    return hu


def _outside(head: Head, hu: Field) -> Field:
    out = -head.depth
    bone = (out > 0) & (out <= head.skull_mm)
    inner = np.abs(out / head.skull_mm - 0.5) < 0.22
    marrow = bone & inner & (head.skull_mm > 5.0)
    hu = np.where(bone, 1150.0 + 120.0 * head.rough, hu)
    hu = np.where(marrow, 550.0 + 90.0 * head.rough, hu)
    beyond = out - head.skull_mm
    fat = (beyond > 0) & (beyond <= head.person.scalp_mm)
    skin = fat & (beyond > head.person.scalp_mm - 1.8)
    hu = np.where(fat, -60.0, hu)
    hu = np.where(fat & (np.abs(head.points[0]) > 40) & (head.points[1] < 10) & (head.points[2] < 15), 50.0, hu)
    hu = np.where(skin, 35.0, hu)
    return np.where(beyond > head.person.scalp_mm, -1000.0, hu).astype(np.float32)


def _skull_base(head: Head, hu: Field) -> Field:
    x, y, z = head.points
    inside = head.depth > -head.skull_mm
    ax = np.abs(x)
    petrous = (np.abs(y - (28 - 0.62 * ax)) < 6.5) & (ax > 12) & (ax < 62) & (z < -32) & (z > -52)
    wing = (np.abs(y + (58 - 0.55 * ax)) < 3.0) & (ax > 8) & (ax < 60) & (z < -30) & (z > -44)
    clivus = ((x / 8) ** 2 + ((y + 2 + 1.5 * head.rough) / 4.5) ** 2 < 1) & (z < -34)
    hu = np.where(inside & (petrous | wing | clivus), 1000.0 + 150.0 * head.rough, hu)
    cells = inside & (np.abs(ax - 52) < 8) & (np.abs(y - 18) < 10) & (z < -38) & (head.folds > 0.1)
    hu = np.where(cells & (head.depth < 14), -700.0, hu)
    orbit = (np.sqrt((ax - 30) ** 2 + (y + 70) ** 2 + (z + 50) ** 2) < 19) & inside
    globe = (np.sqrt((ax - 30) ** 2 + (y + 72) ** 2 + (z + 52) ** 2) < 12) & inside
    hu = np.where(orbit, -80.0, hu)
    hu = np.where(globe, 12.0, hu)
    sinus = (ax < 13) & (np.abs(y + 78) < 9) & (z < -36) & inside
    return np.where(sinus, -900.0, hu).astype(np.float32)


def _headrest(place: Geometry, hu: Field) -> Field:
    p = points(place)
    arc = np.abs(np.sqrt(p[0] ** 2 + (p[1] + 5) ** 2) - 116.0) < 1.2
    return np.where(arc & (p[1] > 62) & (hu < -500), -250.0, hu).astype(np.float32)


def _flat_rest(place: Geometry, hu: Field) -> Field:
    p = points(place)
    board = (np.abs(p[1] - 103.0) < 1.4) & (np.abs(p[0]) < 95)
    return np.where(board & (hu < -500), -150.0, hu).astype(np.float32)
