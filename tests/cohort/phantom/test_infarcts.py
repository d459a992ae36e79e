"""Infarcts lose the insular ribbon and the border of grey and white, and darken with age."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from tests.cohort.phantom.heads import head, shown

from insula.cohort.phantom import infarcts
from insula.cohort.phantom.infarcts import AGES
from insula.cohort.phantom.lesions import Lesion


def middle(age: str, seed: int = 0) -> Lesion:
    """An infarct of the middle cerebral artery on the left."""
    for start in range(seed, seed + 40):
        found = infarcts.infarct(head(0)[0], np.random.default_rng(start), 1, age)
        if (found.mask & infarcts.insula(head(0)[0].points)).any():
            return found
    raise AssertionError


def tissue(found: Lesion) -> np.ndarray:
    where = head(0)[0]
    out: np.ndarray = found.mask & ~where.csf & (where.depth > 4)
    return out


def test_an_infarct_darkens_from_hours_to_months() -> None:
    levels = [float(shown(head(0), found)[tissue(found)].mean()) for found in map(middle, AGES)]
    assert levels == sorted(levels, reverse=True)
    assert 26 < levels[0] < 32
    assert levels[3] < 14


@pytest.mark.parametrize("age", AGES)
def test_grey_and_white_matter_look_alike_inside(age: str) -> None:
    where, found = head(0)[0], middle(age)
    ct = shown(head(0), found)
    grey, white = (ct[tissue(found) & part].mean() for part in (where.grey, ~where.grey))
    healthy = shown(head(0))
    before = healthy[tissue(found) & where.grey].mean() - healthy[tissue(found) & ~where.grey].mean()
    assert before > 4
    assert abs(grey - white) < 2.5


@pytest.mark.parametrize("age", AGES)
def test_the_insular_ribbon_is_lost_on_the_side_of_the_infarct_alone(age: str) -> None:
    where, found = head(0)[0], middle(age)
    ribbon = infarcts.insula(where.points) & ~where.csf & (where.depth > 4)
    ct, plain = shown(head(0), found), shown(head(0))
    left, right = ribbon & (where.points[0] > 0), ribbon & (where.points[0] < 0)
    assert found.side == 1
    assert plain[left].mean() - ct[left].mean() > 3
    np.testing.assert_allclose(ct[right], plain[right], atol=0.5)
    assert plain[right].mean() > 33  # grey matter, thinner than the scanner's blur


def test_a_fresh_infarct_fills_the_sulci_and_an_old_one_widens_the_ventricle() -> None:
    where = head(0)[0]
    swollen = middle("acute")
    sulci = swollen.mask & where.csf & (where.depth > 2)
    assert shown(head(0), swollen)[sulci].mean() > shown(head(0))[sulci].mean() + 3
    beside = binary_dilation(where.ventricles, np.ones((1, 3, 3))) & (where.points[0] > 3) & (where.depth > 14)
    dark = {age: int((shown(head(0), middle(age))[beside] < 18).sum()) for age in AGES}
    plain = int((shown(head(0))[beside] < 18).sum())
    assert dark["chronic"] > 1.1 * plain > 1.1 * dark["hyperacute"] - 0.1 * plain
    assert dark["subacute"] < 0.9 * plain


@pytest.mark.parametrize("age", ["hyperacute", "acute"])
def test_the_mask_is_where_the_scan_changed_and_nowhere_else(age: str) -> None:
    found = middle(age)
    change = shown(head(0), found) - shown(head(0))
    assert np.abs(change[~binary_dilation(found.mask, np.ones((3, 3, 3)), iterations=2)]).max() < 1.0


def test_one_in_five_lies_in_the_posterior_territory_and_all_ages_occur() -> None:
    where = head(0)[0]
    drawn = [infarcts.infarct(where, np.random.default_rng(k)) for k in range(60)]
    behind = [d for d in drawn if where.points[1][d.mask].mean() > 25]
    assert 4 <= len(behind) <= 22
    assert {d.phase for d in drawn} == set(AGES)
    assert not any((d.mask & where.ventricles).any() or (d.mask & (where.depth <= 0)).any() for d in drawn)
