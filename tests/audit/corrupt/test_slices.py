from __future__ import annotations

import numpy as np
import pytest

from insula.audit.corrupt.slices import SLICES_CUT, SLICES_DROPPED, SLICES_THICKER
from insula.core.types import Volume


def stack(count: int, thick: float = 1.0, modality: str = "CT") -> Volume:
    """Slice k is k everywhere, and lies at 10 + k·thick mm."""
    array = np.broadcast_to(np.arange(count, dtype=np.float32)[None, :, None, None], (1, count, 8, 8))
    affine = np.diag([1.0, 1.0, thick, 1.0])
    affine[2, 3] = 10.0
    return Volume(np.ascontiguousarray(array), affine, "HU", modality, "made")


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("strength", SLICES_DROPPED.strengths)
@pytest.mark.parametrize("count", [2, 3, 30, 41])
def test_the_share_of_slices_is_gone_and_the_others_stay_in_order(strength: float, count: int) -> None:
    found = SLICES_DROPPED(stack(count), strength, rng())
    kept = found.array[0, :, 0, 0]
    assert len(kept) == count - min(max(1, round(strength * count)), count - 1)
    assert (np.diff(kept) > 0).all()
    if len(kept) > 1:
        ends = [(found.affine @ [0, 0, i, 1])[2] for i in (0, len(kept) - 1)]
        assert ends == pytest.approx([10 + kept[0], 10 + kept[-1]])


def test_other_slices_are_lost_for_another_generator_and_tiles_keep_their_place() -> None:
    first, second = (SLICES_DROPPED(stack(30), 0.25, rng(s)).array[0, :, 0, 0] for s in (1, 2))
    assert not np.array_equal(first, second)
    tiles = stack(30, modality="SM")
    assert np.array_equal(SLICES_DROPPED(tiles, 0.5, rng()).affine, tiles.affine)


@pytest.mark.parametrize("strength", SLICES_CUT.strengths)
def test_one_end_is_cut_off_and_the_rest_lies_where_it_lay(strength: float) -> None:
    ends = set()
    for seed in range(12):
        found = SLICES_CUT(stack(40, 2.0), strength, rng(seed))
        kept = found.array[0, :, 0, 0]
        assert len(kept) == 40 - round(strength * 40)
        assert (np.diff(kept) == 1).all()
        assert (found.affine @ [0, 0, 0, 1])[2] == 10 + 2 * kept[0]
        ends.add(bool(kept[0] == 0))
    assert ends == {True, False}


@pytest.mark.parametrize("strength", SLICES_THICKER.strengths)
def test_slices_are_as_thick_as_the_strength_says_and_hold_the_mean_over_it(strength: float) -> None:
    volume = stack(60)
    found = SLICES_THICKER(volume, strength, rng())
    values = found.array[0, :, 0, 0]
    assert len(values) == 60 / strength
    assert found.spacing[2] == pytest.approx(strength)
    places = np.array([(found.affine @ [0, 0, i, 1])[2] for i in range(len(values))])
    np.testing.assert_allclose(values[1:-1], places[1:-1] - 10, atol=1e-3)  # a straight line stays one
    assert values.mean() == pytest.approx(29.5, abs=0.01)


def test_a_scan_of_thick_slices_stays_what_it_is() -> None:
    volume = stack(20, 5.0)
    assert SLICES_THICKER(volume, 5.0, rng()) is volume
    assert SLICES_THICKER(volume, 3.0, rng()) is volume
    assert SLICES_THICKER(volume, 7.5, rng()).array.shape[1] == 13
