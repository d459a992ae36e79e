"""Deletion and insertion on a network whose answer is a sum over the pixels, where every point of a curve is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from insula.core.types import FloatArray
from insula.evaluate.curves import BLUR, covered, of_case
from insula.evaluate.localisation import grown_map
from insula.infer.feed import Views
from insula.metrics import maps


def made(seed: int = 0, slices: int = 3, side: int = 16) -> FloatArray:
    return np.random.default_rng(seed).random((slices, 2, side, side)).astype(np.float32)


class Linear:
    """A weighted sum of all pixels of all scans, as a network that knows every pixel's worth."""

    def __init__(self, *weights: FloatArray) -> None:
        self.weights = weights
        self.asked = 0

    def __call__(self, views: Views) -> float:
        self.asked += 1
        bags = [bag for scans in views.values() for bag in scans]
        return float(sum((w.astype(np.float64) * bag).sum() for w, bag in zip(self.weights, bags, strict=True)))


def test_a_cover_is_each_slices_own_blurred_picture() -> None:
    array = made(side=24)
    found = covered(array)
    wanted = cv2.GaussianBlur(array[1, 1], (0, 0), 24 / BLUR, borderType=cv2.BORDER_REPLICATE)
    assert found[1, 1] == pytest.approx(wanted)
    assert found.shape == array.shape
    assert covered(np.full((1, 1, 8, 8), 0.3, np.float32)) == pytest.approx(0.3)


def test_every_point_is_the_brute_force_one() -> None:
    array = made()
    weights = np.random.default_rng(1).normal(0, 1, array.shape).astype(np.float32)
    heat = np.random.default_rng(2).random((3, 16, 16)).astype(np.float32)
    ask = Linear(weights)
    found = of_case({"ct": (array,)}, {"ct": heat}, ask, steps=6, draws=1)
    assert ask.asked == 2 + 2 * 2 * 5
    worth = (weights * (covered(array) - array)).sum(axis=1).ravel().astype(np.float64)  # what covering a pixel changes
    places = np.argsort(-heat.ravel(), kind="stable")
    whole = ask({"ct": (array,)})
    for share, gone, shown in zip(found.shares, found.deletion, found.insertion, strict=True):
        count = round(share * worth.size)
        assert gone == pytest.approx(whole + worth[places[:count]].sum(), abs=1e-3)
        assert shown == pytest.approx(whole + worth[places[count:]].sum(), abs=1e-3)
    assert found.deletion[0] == found.insertion[-1] == found.deletion_random[0]
    assert found.deletion[-1] == found.insertion[0] == found.insertion_random[0]


def test_the_order_of_the_pixels_own_worth_beats_a_lot_and_its_reverse_loses() -> None:
    array = made(4)
    weights = np.random.default_rng(5).normal(0, 1, array.shape).astype(np.float32)
    worth = (weights * (array - covered(array))).sum(axis=1)
    views, ask = {"ct": (array,)}, Linear(weights)
    best = of_case(views, {"ct": worth - worth.min()}, ask).areas()
    worst = of_case(views, {"ct": worth.max() - worth}, ask).areas()
    assert best["deletion"] < best["deletion_random"] < worst["deletion"]
    assert best["insertion"] > best["insertion_random"] > worst["insertion"]
    span = best["deletion_random"] - best["deletion"]
    assert worst["deletion"] - worst["deletion_random"] == pytest.approx(span, rel=0.3)


def test_a_coarse_map_grows_as_the_localisation_grows_it() -> None:
    array, heat = made(6), np.random.default_rng(7).random((3, 4, 4)).astype(np.float32)
    weights = np.random.default_rng(8).normal(0, 1, array.shape).astype(np.float32)
    coarse = of_case({"ct": (array,)}, {"ct": heat}, Linear(weights), steps=4, draws=1)
    fine = of_case({"ct": (array,)}, {"ct": grown_map(heat, (16, 16))}, Linear(weights), steps=4, draws=1)
    assert coarse.deletion == pytest.approx(fine.deletion)


def test_pixels_of_several_scans_stand_in_one_order() -> None:
    a, b, c = made(1, 2), made(2, 1), made(3, 2, 8)
    heat = {"ct": np.zeros((2, 4, 4), np.float32), "ct.2": np.zeros((1, 4, 4), np.float32)}
    heat["mri"] = np.ones((2, 4, 4), np.float32)
    ask = Linear(np.zeros_like(a), np.zeros_like(b), (c - covered(c)).astype(np.float32))
    found = of_case({"ct": (a, b), "mri": (c,)}, heat, ask, steps=4)
    hot = 2 * 8 * 8 / (3 * 16 * 16 + 2 * 8 * 8)  # share of the scan that holds all heat, and all that counts
    after = found.shares >= hot
    assert found.deletion[after] == pytest.approx(found.deletion[-1])
    assert (found.deletion[~after] > found.deletion[-1] + 1e-3).all()


def test_covering_air_gains_nobody_anything() -> None:
    array = made(9)
    array[1:] = 0.0  # two of three slices are air
    heat = np.zeros((3, 4, 4), np.float32)
    heat[0, 0, 0] = 1.0
    found = of_case({"ct": (array,)}, {"ct": heat}, Linear(np.ones_like(array)), draws=3)
    full = found.shares >= 1 / 3  # what changes comes first, among equal heat and in a random order
    for curve in (found.deletion, found.deletion_random):
        assert curve[full] == pytest.approx(curve[-1], abs=1e-3)
    for curve in (found.insertion, found.insertion_random):
        assert curve[full] == pytest.approx(curve[-1], abs=1e-3)


def test_without_heat_the_curves_are_not_defined_and_the_random_ones_are() -> None:
    array = made()
    found = of_case({"ct": (array,)}, {"ct": np.zeros((3, 4, 4), np.float32)}, Linear(np.ones_like(array)), steps=3)
    assert np.isnan([*found.deletion, *found.insertion, found.areas()["deletion"]]).all()
    assert np.isfinite([*found.deletion_random, found.areas()["insertion_random"]]).all()
    assert maps.area(found.shares, found.deletion_random) == found.areas()["deletion_random"]
