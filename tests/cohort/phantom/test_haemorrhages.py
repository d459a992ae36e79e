"""Each of the five haemorrhages has the shape and the place by which it is told on a real CT."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label
from scipy.spatial import ConvexHull
from tests.cohort.phantom.heads import head, shown

from insula.cohort.phantom import lesions
from insula.cohort.phantom.lesions import HAEMORRHAGES, Lesion

NUMBERS = (0, 1)


def made(kind: str, number: int, side: int = 1, seed: int = 0) -> Lesion:
    return lesions.haemorrhage(head(number)[0], kind, np.random.default_rng((seed, number)), side)


def solidity(mask: np.ndarray) -> float:
    """Share of its convex hull that a shape fills: 1 for a lens, less for a crescent."""
    corners = np.argwhere(mask)
    outline = np.concatenate([corners + d for d in ((0, 0), (0, 1), (1, 0), (1, 1))])
    return float(mask.sum() / ConvexHull(outline).volume)


def largest_slice(mask: np.ndarray) -> np.ndarray:
    found: np.ndarray = mask[int(mask.sum((1, 2)).argmax())]
    return found


@pytest.mark.parametrize("number", NUMBERS)
def test_an_epidural_is_a_lens_against_the_inner_table_on_one_side(number: int) -> None:
    where = head(number)[0]
    found = made("epidural", number)
    assert label(found.mask, np.ones((3, 3, 3)))[1] == 1
    assert solidity(largest_slice(found.mask)) > 0.8
    assert where.depth[found.mask].min() < 2.0
    assert 10 < where.depth[found.mask].max() < 25
    assert np.mean(where.points[0][found.mask] * found.side > 0) > 0.999
    # thick in the middle and thin at its ends: every point's way to the bone leads through blood
    deep = found.mask & (where.depth > 6)
    rim = (where.depth > 0) & (where.depth < 3) & ~found.mask
    assert not (binary_dilation(deep, np.ones((1, 3, 3))) & rim).any()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_subdural_is_a_crescent_along_the_convexity_longer_than_an_epidural(number: int) -> None:
    where = head(number)[0]
    found, lens = made("subdural", number), made("epidural", number)
    assert where.depth[found.mask].max() < 15
    assert solidity(largest_slice(found.mask)) < solidity(largest_slice(lens.mask)) - 0.05
    assert (where.points[0][found.mask] * found.side > 4).all()  # it ends at the falx
    length = {k: np.ptp(where.points[1][s.mask & (where.depth < 4)]) for k, s in (("sub", found), ("epi", lens))}
    assert length["sub"] > length["epi"] + 15


@pytest.mark.parametrize("number", NUMBERS)
def test_subarachnoid_blood_fills_sulci_and_the_basal_cistern_and_spares_the_brain(number: int) -> None:
    where = head(number)[0]
    found = made("subarachnoid", number)
    x, y, z = where.points
    cistern = (np.abs(x) < 16) & (np.abs(y + 12) < 12) & (np.abs(z + 24) < 8)
    assert (found.mask & cistern).any()
    cortical = found.mask & ~cistern
    sulci = (np.abs(where.folds) < 0.3) | where.csf
    assert sulci[cortical].all()
    assert where.depth[cortical & ~where.csf].max() < 20
    assert solidity(largest_slice(cortical)) < 0.6  # threads, no lump
    assert np.mean(where.ventricles[found.mask]) < 0.1


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_intraventricular_blood_lies_in_the_dependent_part_of_the_ventricles(number: int, seed: int) -> None:
    where = head(number)[0]
    found = made("intraventricular", number, seed=seed)
    near = binary_dilation(where.ventricles, np.ones((1, 3, 3)))
    assert (near | ~found.mask).all()
    y = where.points[1]
    beside = where.ventricles & (where.points[0] * found.side > -6) & (where.depth > 12)
    level = y[found.mask].min()
    assert found.mask[beside & (y > level + 3)].mean() > 0.98  # all below the level is blood
    assert y[found.mask].mean() > y[beside].mean()


@pytest.mark.parametrize("number", NUMBERS)
def test_intraparenchymal_blood_lies_within_the_brain_in_a_dark_halo(number: int) -> None:
    place = head(number)
    where = place[0]
    found = made("intraparenchymal", number)
    assert label(found.mask, np.ones((3, 3, 3)))[1] == 1
    assert where.depth[found.mask].min() > 3
    assert solidity(largest_slice(found.mask)) > 0.85
    assert not (found.mask & found.halo).any()
    around = binary_dilation(found.mask, np.ones((1, 3, 3))) & ~found.mask
    assert np.mean(found.halo[around]) > 0.85
    ct, plain = shown(place, found), shown(place)
    brain = binary_erosion(found.halo, np.ones((1, 3, 3))) & ~where.csf & ~where.ventricles
    assert np.mean(ct[brain] - plain[brain]) < -4


@pytest.mark.parametrize("kind", HAEMORRHAGES)
def test_the_mask_is_where_the_scan_changed_and_nowhere_else(kind: str) -> None:
    place = head(0)
    found = made(kind, 0)
    change = shown(place, found) - shown(place)
    reach = binary_dilation(found.mask | found.halo, np.ones((3, 3, 3)), iterations=2)
    assert np.abs(change[~reach]).max() < 1.0
    inner = found.mask & (place[0].depth > 2)
    assert np.median(change[inner]) > 12


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no haemorrhage"):
        lesions.haemorrhage(head(0)[0], "nasal", np.random.default_rng(0))
