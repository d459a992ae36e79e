from __future__ import annotations

import numpy as np

from insula.infer.overlay import Style
from insula.infer.tile_map import SIDE, tile_map
from insula.scans.slide_tiles import Layout

LAYOUT = Layout(2400, 1200, 400.0, ((0, 0), (1600, 600), (2200, 1000), (-100, 900)))
TILES = [np.full((32, 32, 3), v, np.float32) for v in (0.2, 0.4, 0.6, 0.8)]


def drawn(heat: np.ndarray, numbers: tuple[int, ...] = (0, 1, 2, 3), style: Style | None = None) -> np.ndarray:
    return tile_map(TILES, heat.astype(np.float32), numbers, LAYOUT, 1.0, style or Style())


def test_each_tile_lies_where_it_was_cut_and_glass_is_grey() -> None:
    picture = drawn(np.zeros((4, 2, 2)))
    assert picture.shape[0] == SIDE // 2
    for (y, x), value in {
        (100, 100): 51, (400, 900): 102, (550, 1150): 153, (500, 50): 204, (100, 600): 237, (500, 200): 237,
    }.items():  # fmt: skip
        assert (picture[y, x] == value).all(), (y, x)


def test_heat_is_drawn_on_its_own_tile_alone() -> None:
    heat = np.zeros((2, 2, 2))
    heat[1, 0, 1] = 1.0  # of tile 2, right above
    cold, hot = drawn(np.zeros((2, 2, 2)), (1, 2)), drawn(heat, (1, 2))
    changed = np.abs(cold.astype(int) - hot.astype(int)).sum(2) > 0
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 500
    assert 1100 <= columns.min() < columns.max() < 1200
    warm = np.abs(cold.astype(int) - hot.astype(int)).sum(2)
    assert warm[520, 1190] > warm[590, 1110]


def test_one_value_a_tile_colours_all_of_it() -> None:
    picture = drawn(np.array([0.0, 1.0, 0.0, 0.0])[:, None, None], style=Style(opacity=1.0))
    assert (picture[310:490, 810:990] == [252, 255, 164]).all()
    assert (picture[100, 100] == 51).all()
