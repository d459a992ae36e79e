from __future__ import annotations

import numpy as np
import pytest
from tests.tiny_bundle import FEATURES, head_graph, model_graph, recipe, weights

from insula.infer.engine import Engine
from insula.infer.sampling import keep_masks, sample

W = weights(1, 2)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.of_graphs(model_graph(W), head_graph(W), recipe(), threads=1)


def test_masks_hold_the_two_values_in_the_right_share_and_keep_the_mean() -> None:
    keep = keep_masks(np.ones(500, np.float32), 400, 0.3, seed=1)
    assert set(np.unique(keep)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert abs((keep == 0).mean() - 0.3) < 0.005
    assert abs(keep.mean() - 1.0) < 0.01


def test_masks_follow_from_the_seed_and_the_embedding_alone() -> None:
    e = np.random.default_rng(0).random(FEATURES).astype(np.float32)
    first = keep_masks(e, 20, 0.5, 3)
    np.testing.assert_array_equal(first, keep_masks(e.copy(), 20, 0.5, 3))
    assert (first != keep_masks(e, 20, 0.5, 4)).any()
    nudged = e.copy()
    nudged[0] = np.nextafter(nudged[0], np.float32(2))
    assert (first != keep_masks(nudged, 20, 0.5, 3)).any()


def test_a_pass_drops_the_same_features_of_all_inputs_of_a_case(engine: Engine) -> None:
    e = np.random.default_rng(1).random((3, FEATURES)).astype(np.float32)
    got = sample(engine, e, 9, 0.4, seed=5)
    assert got.shape == (9, 3, 2)
    keep = keep_masks(e, 9, 0.4, 5)
    for t in range(9):
        np.testing.assert_array_equal(got[t], engine.head(e, np.repeat(keep[t : t + 1], 3, axis=0)))
        np.testing.assert_allclose(got[t], (e * keep[t]) @ W.head.T + W.offset, atol=1e-5)


def test_the_spread_of_a_case_does_not_shrink_with_the_number_of_its_slices(engine: Engine) -> None:
    one = np.random.default_rng(2).random((1, FEATURES)).astype(np.float32)
    alone = sample(engine, one, 200, 0.4, seed=5).mean(axis=1).std(axis=0)
    many = sample(engine, np.repeat(one, 40, axis=0), 200, 0.4, seed=5).mean(axis=1).std(axis=0)
    np.testing.assert_allclose(many, alone, rtol=0.2)


def test_without_dropout_every_pass_is_the_same(engine: Engine) -> None:
    e = np.random.default_rng(1).random((2, FEATURES)).astype(np.float32)
    got = sample(engine, e, 5, 0.0, seed=5)
    assert (got == got[0]).all()
