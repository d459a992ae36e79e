from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from insula.core.recipe import Augment
from insula.infer.views import View, feeds, of_recipe, show

ALL = Augment(flip=0.5, rotate=10.0, shift=0.05, scale=0.1)


def signs(views: tuple[View, ...]) -> np.ndarray:
    rows = [(v.mirror, v.turn < 0, v.zoom < 1, v.across < 0, v.down < 0) for v in views]
    return np.array(rows, int)


def test_each_pair_of_changes_meets_in_all_four_ways_equally_often() -> None:
    table = signs(of_recipe(ALL))
    assert table.shape == (8, 5)
    for a, b in itertools.combinations(range(5), 2):
        assert sorted(map(tuple, table[:, [a, b]].tolist())) == sorted([(0, 0), (0, 1), (1, 0), (1, 1)] * 2)


def test_nothing_goes_beyond_what_training_drew() -> None:
    for view in of_recipe(ALL):
        assert abs(view.turn) == 5.0
        assert abs(view.zoom - 1.0) == pytest.approx(0.05)
        assert (abs(view.across), abs(view.down)) == (0.025, 0.025)


@pytest.mark.parametrize(
    ("off", "still"),
    [("flip", "mirror"), ("rotate", "turn"), ("shift", "across"), ("shift", "down"), ("scale", "zoom")],
)
def test_what_training_did_not_do_is_not_done(off: str, still: str) -> None:
    views = of_recipe(ALL.model_copy(update={off: 0.0}))
    assert views
    assert {getattr(view, still) for view in views} == {getattr(View(), still)}


def test_a_single_change_gives_each_of_its_views_once_and_none_gives_none() -> None:
    nothing = Augment(flip=0.0, rotate=0.0, shift=0.0, scale=0.0)
    assert of_recipe(nothing) == ()
    assert of_recipe(nothing.model_copy(update={"flip": 0.5})) == (View(mirror=True),)
    assert set(of_recipe(nothing.model_copy(update={"rotate": 8.0}))) == {View(turn=4.0), View(turn=-4.0)}


def test_the_plain_view_and_the_mirror_are_exact() -> None:
    x = np.random.default_rng(0).random((2, 3, 17, 20), dtype=np.float32)
    np.testing.assert_allclose(show(x, View()), x, atol=1e-6)
    np.testing.assert_allclose(show(x, View(mirror=True)), x[..., ::-1], atol=1e-6)


def test_a_shift_moves_by_a_share_of_the_side() -> None:
    x = np.zeros((1, 1, 20, 40), np.float32)
    x[0, 0, 10, 20] = 1.0
    moved = show(x, View(across=0.1, down=-0.2))
    assert np.argwhere(moved[0, 0] > 0.9).tolist() == [[14, 16]]


@pytest.mark.parametrize("view", [View(turn=90.0), View(turn=-90.0)])
def test_a_quarter_turn_is_numpys(view: View) -> None:
    x = np.random.default_rng(0).random((1, 1, 16, 16), dtype=np.float32)
    want = np.rot90(x, 1 if view.turn > 0 else -1, axes=(2, 3))
    np.testing.assert_allclose(show(x, view), want, atol=1e-4)


def test_what_comes_in_repeats_the_border() -> None:
    x = np.full((1, 1, 12, 12), 0.25, np.float32)
    for view in of_recipe(Augment(flip=0.5, rotate=90.0, shift=0.5, scale=0.5)):
        np.testing.assert_allclose(show(x, view), 0.25, atol=1e-6)


@pytest.mark.train
@pytest.mark.parametrize("size", [(24, 24), (20, 32)])
def test_a_view_is_what_training_makes_of_the_same_change(size: tuple[int, int]) -> None:
    import torch
    import torch.nn.functional as F

    from insula.train.augment_geometry import _coordinates

    h, w = size
    y, x = np.mgrid[0:h, 0:w]
    picture = (0.5 + 0.3 * np.sin(x / 4.0) * np.cos(y / 5.0)).astype(np.float32)[None, None]
    for view in (*of_recipe(ALL), View(mirror=True, turn=17.0, zoom=1.2, across=0.1, down=-0.07)):
        angle, sign = math.radians(view.turn), -1.0 if view.mirror else 1.0
        cos, sin = math.cos(angle) * view.zoom, math.sin(angle) * view.zoom
        matrix = torch.tensor([[[cos * sign, -sin * h / w], [sin * sign * w / h, cos]]])
        at = torch.einsum("nhwj,nij->nhwi", _coordinates(h, w).expand(1, h, w, 2), matrix)
        at = at + 2.0 * torch.tensor([view.across, view.down])
        want = F.grid_sample(torch.from_numpy(picture), at, "bicubic", "border", align_corners=False)
        np.testing.assert_allclose(show(picture, view), want.numpy(), atol=3e-3)  # OpenCV knows 1/32 of a pixel


def test_noise_keeps_most_of_its_size_and_no_value_leaves_the_picture_s_range() -> None:
    x = np.random.default_rng(0).normal(0.5, 0.1, (4, 1, 64, 64)).astype(np.float32)
    for view in of_recipe(ALL):
        seen = show(x, view)
        assert seen.std() > 0.8 * x.std()  # bilinear leaves two thirds
        assert x.min() <= seen.min() <= seen.max() <= x.max()


@pytest.mark.parametrize(
    ("inputs", "slices", "most", "runs"), [(1, 2, 16, [8]), (1, 5, 16, [3, 3, 2]), (3, 9, 16, [1] * 8)]
)
def test_views_go_through_in_batches_of_so_many_slices(inputs: int, slices: int, most: int, runs: list[int]) -> None:
    views = of_recipe(ALL)
    x = np.random.default_rng(0).random((inputs, slices, 1, 8, 8), dtype=np.float32)
    feed = {"ct": x, "ct_mask": np.ones((inputs, 1, slices), np.float32), "clinical": np.full((inputs, 2), np.nan)}
    made = list(feeds(feed, ("ct",), views, most))
    assert [len(one["ct"]) for one in made] == [inputs * count for count in runs]
    whole = np.concatenate([one["ct"] for one in made])
    for v, view in enumerate(views):
        np.testing.assert_array_equal(whole[v * inputs : (v + 1) * inputs], show(x, view))
    assert all(one["ct_mask"].shape == (len(one["ct"]), 1, slices) for one in made)
    assert all(one["clinical"].shape == (len(one["ct"]), 2) for one in made)
