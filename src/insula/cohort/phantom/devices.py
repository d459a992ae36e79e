"""Implants in made heads: an aneurysm coil, a surgical clip, a ventricular shunt, with the artefacts that they cause.

The streaks are drawn, not reconstructed: bright and dark spokes from the metal, zero on the mean, fading with distance
and only in slices that the metal meets. They look like photon starvation and beam hardening without claiming to be.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from insula.cohort.phantom.anatomy import Field, Head, Mask, ellipsoid

DEVICES = ("coil", "clip", "shunt")
_HU = {"coil": 3071.0, "clip": 2800.0, "shunt": 420.0}
_STREAKS = {"coil": 75.0, "clip": 38.0, "shunt": 7.0}  # HU at 10 mm
_VALVE_HU = 900.0


def place(head: Head, device: str, g: np.random.Generator) -> tuple[Mask, Mask]:
    """Where a device lies on the head's grid: its metal or plastic, and for a shunt its valve under the scalp."""
    p, side = head.points, float(g.choice((-1, 1)))
    nothing = np.zeros(head.depth.shape, bool)
    if device == "coil":
        centre = (side * float(g.uniform(4, 14)), float(g.uniform(-24, -12)), float(g.uniform(-26, -16)))
        return _at_least_one(head, centre, ellipsoid(p, centre, (float(g.uniform(3.5, 6)),) * 3)), nothing
    if device == "clip":
        centre = (side * float(g.uniform(14, 28)), float(g.uniform(-22, -8)), float(g.uniform(-24, -12)))
        return _at_least_one(head, centre, ellipsoid(p, centre, (4.5, 1.6, 3.5))), nothing
    tip = np.array([side * 10.0, -8.0, 20.0])
    hole = np.array([side * 0.52, 0.45, 0.62]) * np.array(head.person.axes)
    hole = hole / np.linalg.norm(hole / np.array(head.person.axes))  # on the brain's surface
    out = hole * (1.0 + (head.person.skull_mm + 3.0) / np.linalg.norm(hole))
    tube = _tube(p, tip, out, 1.6)
    valve = ellipsoid(p, tuple(float(v) for v in out), (4.0, 6.0, 6.0)) & (head.depth < -head.person.skull_mm)
    return tube, valve


def in_ct(hu: Field, head: Head, device: str, g: np.random.Generator) -> Field:
    """HU (Z, Y, X) with the device and its streaks."""
    body, valve = place(head, device, g)
    strength = _STREAKS[device] * float(g.uniform(0.8, 1.2))
    out = hu.copy()
    for z in np.flatnonzero(body.any((1, 2))):
        out[z] += _spokes(head.points[:, z], body[z], strength, g)
    out = np.where(body, np.maximum(out, _HU[device]), out)
    out = np.where(valve, np.maximum(out, _VALVE_HU), out)
    return np.clip(out, -1024, 3071).astype(np.float32)


def in_mr(signal: Field, head: Head, device: str, g: np.random.Generator) -> Field:
    """Signal (Z, Y, X) with the void of the metal and the bright rim around it; a shunt is a thin dark line."""
    body, valve = place(head, device, g)
    if not (body | valve).any():
        return signal
    spacing = _spacing(head)
    away = distance_transform_edt(~(body | valve), sampling=spacing)
    reach = 6.0 if device != "shunt" else 0.5
    bright = float(np.quantile(signal, 0.99)) * 1.2
    out = np.where((away > reach) & (away < reach + 2.0) & (device != "shunt"), bright, signal)
    return np.where(away <= reach, 0.1 * signal, out).astype(np.float32)


def _spokes(points: Field, body: Mask, strength: float, g: np.random.Generator) -> Field:
    x0, y0 = points[0][body].mean(), points[1][body].mean()
    dx, dy = points[0] - x0, points[1] - y0
    spokes = gaussian_filter1d(g.standard_normal(720), 2.5, mode="wrap")
    spokes += 3.0 * gaussian_filter1d(g.standard_normal(720), 9.0, mode="wrap")
    spokes = (spokes - spokes.mean()) / spokes.std()
    angle = (np.arctan2(dy, dx) / (2 * np.pi) % 1.0) * 720
    value = np.interp(angle, np.arange(721), np.append(spokes, spokes[0]))
    distance = np.maximum(np.hypot(dx, dy), 4.0)
    out: Field = (strength * value * (10.0 / distance) * np.exp(-distance / 70.0)).astype(np.float32)
    return out


def _tube(p: Field, start: np.ndarray, end: np.ndarray, radius: float) -> Mask:
    along = (end - start).astype(np.float32)
    moved = p - start.astype(np.float32).reshape(3, 1, 1, 1)
    share = np.clip(np.tensordot(along, moved, axes=1) / float(along @ along), 0.0, 1.0)
    nearest = along.reshape(3, 1, 1, 1) * share
    inside: Mask = ((moved - nearest) ** 2).sum(0) < max(radius, 0.6 * float(np.abs(np.diff(p[0, 0, 0])).max())) ** 2
    return inside


def _at_least_one(head: Head, centre: tuple[float, float, float], mask: Mask) -> Mask:
    """A thin device between two slices still lies in the nearest voxel."""
    if mask.any():
        return mask
    away = ((head.points - np.array(centre, np.float32).reshape(3, 1, 1, 1)) ** 2).sum(0)
    out = np.zeros_like(mask)
    out[np.unravel_index(int(np.argmin(away)), away.shape)] = True
    return out


def _spacing(head: Head) -> tuple[float, float, float]:
    p = head.points
    z, y, x = (float(np.linalg.norm(np.take(p, 1, a)[:, 0, 0] - np.take(p, 0, a)[:, 0, 0])) for a in (1, 2, 3))
    return z, y, x
