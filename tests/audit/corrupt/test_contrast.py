from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import head, magnitude, picture

from insula.audit.corrupt.contrast import BRIGHTER, DARKER, LESS_CONTRAST, MORE_CONTRAST
from insula.prep.intensity import percentile

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("strength", BRIGHTER.strengths)
def test_brightness_shifts_a_ct_by_a_share_of_80_hu(strength: float) -> None:
    ct = head()
    soft = (ct.array > 0) & (ct.array < 100)
    assert (BRIGHTER(ct, strength, RNG).array - ct.array)[soft] == pytest.approx(80 * strength, abs=1e-3)
    assert (DARKER(ct, strength, RNG).array - ct.array)[soft] == pytest.approx(-80 * strength, abs=1e-3)


@pytest.mark.parametrize("strength", MORE_CONTRAST.strengths)
def test_contrast_grows_about_40_hu(strength: float) -> None:
    ct = head()
    more, less = MORE_CONTRAST(ct, strength, RNG).array, LESS_CONTRAST(ct, strength, RNG).array
    for tissue in (30.0, 38.0, 65.0):
        at = ct.array == tissue
        assert more[at] == pytest.approx(40 + (1 + strength) * (tissue - 40), abs=1e-3)
        assert less[at] == pytest.approx(40 + (1 - strength) * (tissue - 40), abs=1e-3)
    assert more.min() == max(-1024.0, 40 + (1 + strength) * -1040)


def test_a_picture_is_cut_at_its_full_scale_and_black_stays_black_when_it_is_darkened() -> None:
    shown = picture()
    brighter, darker = BRIGHTER(shown, 0.3, RNG).array, DARKER(shown, 0.3, RNG).array
    middle = (shown.array > 80) & (shown.array < 170)
    assert (brighter - shown.array)[middle] == pytest.approx(0.3 * 255, abs=1e-3)
    assert brighter.max() == 255.0
    assert (darker[shown.array == 0] == 0).all()


def test_the_range_of_mr_is_that_of_the_percentile_step_of_each_channel() -> None:
    mr = magnitude(channels=2)
    prepared, changed = percentile(mr).array, BRIGHTER(mr, 0.1, RNG).array - mr.array
    for c in range(2):
        inside = mr.array[c][mr.array[c] > 0]
        low, high = np.percentile(inside, (1, 99))
        assert changed[c] == pytest.approx(0.1 * (high - low), rel=1e-4)
    assert prepared.max() == 1.0
