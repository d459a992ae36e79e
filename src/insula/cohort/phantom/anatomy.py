"""The head of one made patient as fields over any grid of points: distances, ventricles, sulci, falx, nuclei.

Points are millimetres (Left, Posterior, Superior) from the middle of the brain. Everything is drawn from one seed, so a
patient looks the same on every grid. Sizes follow adult averages; nobody real stands behind them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
_STEP = 2.5
_REACH = 100.0


@dataclass(frozen=True)
class Person:
    """One made patient: who, how the head is built, and how it lies in the scanner."""

    number: int
    age: int
    sex: str
    axes: tuple[float, float, float]
    skull_mm: float
    scalp_mm: float
    atrophy: float
    turn: tuple[float, float, float]
    shift: tuple[float, float, float]
    falx_calcified: bool
    plexus_calcified: bool
    pineal_calcified: bool
    seed: int


@dataclass(frozen=True)
class Head:
    """Fields of one person on one grid: points (3, ...) in head coordinates and what lies there.

    depth: mm below the surface of the brain (negative outside it). folds: noise whose zero lines are the sulci.
    """

    person: Person
    points: Field
    depth: Field
    skull_mm: Field
    folds: Field
    rough: Field
    ventricles: Mask
    csf: Mask
    falx: Mask
    nuclei: Mask
    grey: Mask


def draw_person(number: int, seed: int) -> Person:
    """The patient with this number in the cohort of this seed."""
    g = np.random.default_rng((seed, number, 11))
    age = int(np.clip(g.normal(60, 16), 20, 93))
    sex = "F" if g.random() < 0.5 else "M"
    size = (1.0 if sex == "M" else 0.96) * g.normal(1.0, 0.025)
    axes = (67 * size * g.normal(1, 0.02), 85 * size * g.normal(1, 0.02), 70 * size * g.normal(1, 0.02))
    degrees = np.deg2rad(g.normal(0, (3.0, 2.5, 5.0)))
    return Person(
        number=number,
        age=age,
        sex=sex,
        axes=axes,
        skull_mm=float(np.clip(g.normal(6.5, 1.2), 4, 10)),
        scalp_mm=float(np.clip(g.normal(5.5, 1.0), 3.5, 9)),
        atrophy=float(np.clip(0.8 + (age - 40) / 70 + g.normal(0, 0.15), 0.55, 1.7)),
        turn=(float(degrees[0]), float(degrees[1]), float(degrees[2])),
        shift=(float(g.normal(0, 4)), float(g.normal(0, 4)), float(g.normal(0, 3))),
        falx_calcified=bool(g.random() < 0.35),
        plexus_calcified=bool(g.random() < 0.6),
        pineal_calcified=bool(g.random() < 0.5),
        seed=seed,
    )


def build_head(person: Person, scanner_points: Field) -> Head:
    """The head's fields at points (3, Z, Y, X) given in scanner millimetres."""
    p = _into_head(person, scanner_points)
    a, b, c = person.axes
    noise = _noise(person, 1, 14.0)
    rough = _sample(noise, p)
    # A head is longer than an ellipsoid at the back and flatter at the sides.
    x, y, z = p / np.array([a, b, c], np.float32).reshape(3, 1, 1, 1)
    x = x * (1.0 + 0.06 * y)
    radius = (np.abs(x) ** 2.3 + np.abs(y) ** 2.2 + np.abs(z) ** 2.2) ** (1 / 2.2) + 1e-6
    reach = np.sqrt((p**2).sum(0)) + 1e-6
    depth = (reach * (1.0 / radius - 1.0) + 0.8 * rough).astype(np.float32)
    skull = np.maximum(3.0, person.skull_mm + 1.2 * _sample(_noise(person, 2, 22.0), p)).astype(np.float32)
    folds = _sample(_noise(person, 3, 6.5), p)
    ventricles = _ventricles(person, p, rough)
    falx, gap = _midline(p, depth, person)
    csf = _csf_spaces(person, p, depth, folds, rough) | gap
    nuclei = _nuclei(p)
    ribbon = (np.abs(folds) < 0.62) & (depth < 20.0)
    grey = (depth < 3.5) | ribbon | nuclei
    return Head(person, p, depth, skull, folds, rough, ventricles, csf, falx, nuclei, grey)


def ellipsoid(p: Field, centre: tuple[float, ...], axes: tuple[float, ...], wobble: Field | float = 0.0) -> Mask:
    """Points inside an ellipsoid whose surface is moved in and out by `wobble` (share of the radius)."""
    inside: Mask = _squared(p, centre, axes) < (1.0 + np.asarray(wobble)) ** 2
    return inside


def plexus(p: Field) -> Mask:
    """The glomus of the choroid plexus in both atria."""
    return ellipsoid(p, (20, 27, 11), (2.6, 4.2, 4.0)) | ellipsoid(p, (-20, 27, 11), (2.6, 4.2, 4.0))


def falx_patch(person: Person, p: Field) -> Mask:
    """Calcified patches of the falx: thin, dense, on the midline in front."""
    g = np.random.default_rng((person.seed, person.number, 21))
    middle = (0.0, float(g.uniform(-55, -35)), float(g.uniform(28, 45)))
    return ellipsoid(p, middle, (1.6, float(g.uniform(5, 9)), float(g.uniform(5, 9))))


def pineal(p: Field) -> Mask:
    """The pineal gland."""
    return ellipsoid(p, (0, 17, 4), (2.4, 3.0, 3.2))


def _squared(p: Field, centre: tuple[float, ...], axes: tuple[float, ...]) -> Field:
    total = np.zeros(p.shape[1:], np.float32)
    for i in range(3):
        total += ((p[i] - np.float32(centre[i])) / np.float32(axes[i])) ** 2
    return total


def _into_head(person: Person, points: Field) -> Field:
    rx, ry, rz = person.turn
    cx, sx, cy, sy, cz, sz = np.cos(rx), np.sin(rx), np.cos(ry), np.sin(ry), np.cos(rz), np.sin(rz)
    turn = (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ).astype(np.float32)
    moved = points - np.array(person.shift, np.float32).reshape(3, 1, 1, 1)
    return np.tensordot(turn, moved, axes=1).astype(np.float32)


def _noise(person: Person, stream: int, smooth_mm: float) -> Field:
    """Smooth noise of unit variance on a cube of ±100 mm."""
    g = np.random.default_rng((person.seed, person.number, 31, stream))
    n = round(2 * _REACH / _STEP) + 1
    field = gaussian_filter(g.standard_normal((n, n, n), np.float32), smooth_mm / _STEP / 2.0)
    out: Field = (field / field.std()).astype(np.float32)
    return out


def _sample(field: Field, p: Field) -> Field:
    at = (p + _REACH) / _STEP
    out: Field = map_coordinates(field, at, order=1, mode="nearest", output=np.float32)
    return out


def _ventricles(person: Person, p: Field, rough: Field) -> Mask:
    s = person.atrophy
    wobble = 0.08 * rough
    found = np.zeros(p.shape[1:], bool)
    for side in (1.0, -1.0):
        w = s * (1.0 + 0.06 * side * np.sign(np.sin(person.number)))
        for centre, axes in (
            ((8.5 * side, -27, 13), (4.5 * w, 15, 7 * w)),
            ((10.5 * side, -4, 20), (5.5 * w, 24, 7 * w)),
            ((18.5 * side, 26, 13), (6.5 * w, 11, 9 * w)),
            ((22 * side, 44, 8), (3.5 * w, 13, 4.5 * w)),
            ((30 * side, 8, -14), (3.0 * w, 13, 3.5 * w)),
        ):
            found |= ellipsoid(p, centre, axes, wobble)
    found |= ellipsoid(p, (0, -2, 3), (2.0 * s, 13, 9), wobble)
    found |= ellipsoid(p, (0, 36, -30), (5.5 * s, 5.5, 8), wobble)
    return found


def _midline(p: Field, depth: Field, person: Person) -> tuple[Mask, Mask]:
    x = np.abs(p[0])
    above = (p[2] > 6.0) | (p[1] < -45) | (p[1] > 50)
    rim = depth < np.where(p[2] > 25, 34.0, 22.0)
    falx = (x < 0.9) & above & rim & (depth > 0) & (p[2] > -12)
    gap = (x < 1.1 + 1.1 * person.atrophy) & above & (depth < 20) & (depth > 0) & (p[2] > -12) & ~falx
    return falx, gap


def _csf_spaces(person: Person, p: Field, depth: Field, folds: Field, rough: Field) -> Mask:
    s = person.atrophy
    sulci = (np.abs(folds) < 0.11 * s + 0.03) & (depth < 10.0 + 6.0 * s) & (depth > 0)
    film = (depth > 0) & (depth < 0.7 + 0.9 * s)
    x, y, z = np.abs(p[0]), p[1], p[2]
    sylvian = (x > 35) & (np.abs(y + 10 - 0.9 * (z - 4) - 3.0 * rough) < 0.9 + 0.9 * s) & (np.abs(z - 4) < 16)
    cistern = ellipsoid(p, (0, -12, -24), (15, 11, 5 + 2 * s), 0.15 * rough)
    brainstem = ellipsoid(p, (0, 10, -30), (13, 11, 40))
    ambient = ellipsoid(p, (0, 11, -14), (18.5, 16.5, 13)) & ~brainstem & (z < -2)
    tentorium = (np.abs(z + 18 - 0.35 * (y - 30)) < 1.4) & (y > 26) & (x > 4)
    spaces: Mask = sulci | film | (sylvian & (depth > 0)) | cistern | ambient | (tentorium & (depth > 0))
    return spaces


def _nuclei(p: Field) -> Mask:
    found = np.zeros(p.shape[1:], bool)
    for side in (1.0, -1.0):
        found |= ellipsoid(p, (11 * side, 7, 8), (8, 14, 9))
        found |= ellipsoid(p, (25 * side, -8, 5), (7.5, 17, 10))
        found |= ellipsoid(p, (14 * side, -22, 14), (4.5, 9, 9))
    return found
