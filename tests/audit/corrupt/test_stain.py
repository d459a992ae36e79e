from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import picture

from insula.audit.corrupt.stain import STAIN


@pytest.mark.parametrize("strength", STAIN.strengths)
@pytest.mark.parametrize("seed", range(4))
def test_the_density_of_each_colour_changes_by_the_strength_and_white_stays_white(strength: float, seed: int) -> None:
    tile = picture(64)
    found = STAIN(tile, strength, np.random.default_rng(seed)).array
    seen = (tile.array > 20) & (tile.array < 230)
    factors = []
    for c in range(3):
        density = -np.log(tile.array[c][seen[c]] / 255)
        changed = -np.log(found[c][seen[c]] / 255)
        ratio = changed / density
        assert ratio.std() < 1e-3
        factors.append(round(float(ratio.mean()), 3))
    assert set(factors) == {round(1 + strength, 3), round(1 - strength, 3)}
    assert (found[tile.array == 255] == 255).all()
