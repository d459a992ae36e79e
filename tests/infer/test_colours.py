from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from insula.core.errors import UsageError
from insula.infer import colours

LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


@pytest.mark.parametrize("name", colours.NAMES)
def test_the_colours_are_those_of_the_published_map(name: str) -> None:
    reference = mpl.colormaps[name](LEVELS)[:, :3] * 255
    np.testing.assert_allclose(colours.paint(LEVELS, name), reference, atol=6)


@pytest.mark.parametrize("name", colours.NAMES)
def test_lightness_rises_so_that_no_colour_vision_is_needed(name: str) -> None:
    linear = (colours.paint(LEVELS, name) / 255.0) ** 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1e-4).all()
    assert luminance[-1] - luminance[0] > 0.5
    # seen by an eye without green cones (Machado, Oliveira, Fernandes 2009, deuteranopia): still in order
    deuteranopia = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    seen = np.clip(linear @ deuteranopia.T, 0, 1) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(seen) > -1e-3).all()


def test_levels_beyond_the_ends_and_unknown_maps() -> None:
    ends = colours.paint(np.array([-1.0, 0.0, 1.0, 2.0], np.float32))
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[2], ends[3])
    with pytest.raises(UsageError, match="no colour map 'jet'; known are: inferno, viridis, cividis"):
        colours.paint(LEVELS, "jet")
