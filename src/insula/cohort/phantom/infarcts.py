"""Infarcts of made patients by age: from lost grey-white differentiation to a cavity filled with fluid.

The course follows what non-contrast CT is known to show: within hours the insular ribbon and the border between grey
and white matter fade; within a day the territory darkens and its sulci narrow; over the next weeks it is dark with a
sharp edge and swollen; after months it is as dark as fluid, and the ventricle beside it is wide. The levels in HU are
this phantom's own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from insula.cohort.phantom.anatomy import Field, Head, Mask, ellipsoid
from insula.cohort.phantom.lesions import Lesion, cone

AGES = ("hyperacute", "acute", "subacute", "chronic")
_OFTEN = (0.1, 0.3, 0.4, 0.2)
# HU of grey matter, white matter and sulci inside the infarct; None leaves the sulci as they are
LEVELS: dict[str, tuple[float, float, float | None]] = {
    "hyperacute": (30.5, 28.5, None),
    "acute": (25.0, 23.0, 20.0),
    "subacute": (18.0, 17.0, 16.0),
    "chronic": (10.0, 9.0, None),
}
_VENTRICLE_MM = {"subacute": -2.0, "chronic": 3.5}
_POSTERIOR = 0.2


def insula(p: Field) -> Mask:
    """The insular cortex of both sides: a thin layer of grey matter lateral to the lentiform nucleus."""
    found = np.zeros(p.shape[1:], bool)
    for side in (1.0, -1.0):
        centre = (25 * side, -8, 5)
        shell = ellipsoid(p, centre, (13.5, 25, 16)) & ~ellipsoid(p, centre, (10.0, 22, 13))
        found |= shell & (p[0] * side > 32)
    return found


def with_insula(head: Head) -> Head:
    """The head with its insular ribbon drawn as grey matter."""
    ribbon = insula(head.points) & ~head.csf & ~head.ventricles & (head.depth > 0)
    return replace(head, grey=head.grey | ribbon)


def infarct(head: Head, g: np.random.Generator, side: int | None = None, age: str | None = None) -> Lesion:
    """An infarct of the middle or, in one of five, the posterior cerebral artery's territory; phase is its age.

    The middle artery's is a wedge from the insula to the cortex, the whole insular ribbon included. level: HU by which
    this patient's infarct differs from the table.
    """
    where = side if side is not None else int(g.choice((-1, 1)))
    phase = age if age is not None else str(g.choice(AGES, p=_OFTEN))
    p = head.points
    if g.random() < _POSTERIOR:
        tip = np.array([14.0 * where, g.uniform(28, 36), g.uniform(0, 8)])
        axis = np.array([0.55 * where, 1.0, g.uniform(-0.1, 0.3)])
        mask = cone(p, tip, axis, float(g.uniform(30, 40)), 0.1 * head.rough) & (p[0] * where > 2)
    else:
        tip = np.array([26.0 * where, g.uniform(-12, 12), g.uniform(0, 16)])
        axis = np.array([where, g.uniform(-0.5, 0.5), g.uniform(-0.1, 0.35)])
        mask = cone(p, tip, axis, float(g.uniform(36, 50)), 0.1 * head.rough)
        mask |= insula(p) & (p[0] * where > 0)
    mask &= (head.depth > 0) & ~head.ventricles & ~head.falx
    if LEVELS[phase][2] is None:
        mask &= ~head.csf
    return Lesion("infarct", mask, np.zeros_like(mask), where, float(g.uniform(-1.5, 1.5)), phase=phase)


def shade(head: Head, lesion: Lesion, hu: Field) -> Field:
    """HU (Z, Y, X) of the brain with the infarct in it, and with the ventricle beside it narrowed or widened."""
    grey, white, sulci = LEVELS[lesion.phase]
    level = np.where(head.grey, grey, white) + lesion.level + 0.7 * head.rough
    if sulci is not None:
        level = np.where(head.csf, sulci + lesion.level, level)
    out = np.where(lesion.mask, np.minimum(hu, level) if sulci is None else level, hu)
    change = _VENTRICLE_MM.get(lesion.phase, 0.0)
    if change:
        beside = head.points[0] * lesion.side > 1.5
        step = head.points[0, 0, 0]
        pixel = float(np.abs(np.diff(step)).mean())
        inward = change < 0
        rim = np.stack([_rim(v, pixel, abs(change), inward) for v in head.ventricles])
        rim &= beside & ~lesion.mask & (head.depth > 12)
        out = np.where(rim, 29.0 if inward else 7.0, out)
    return out.astype(np.float32)


def _rim(ventricle: Mask, pixel: float, width: float, inward: bool) -> Mask:
    """The layer of this width in mm (a pixel at least) just inside or just outside the ventricle in one slice."""
    if not ventricle.any():
        return np.zeros_like(ventricle)
    away = distance_transform_edt(ventricle if inward else ~ventricle, sampling=pixel)
    rim: Mask = (away > 0) & (away <= max(width, pixel))
    return rim
