from __future__ import annotations

import numpy as np
import pytest
from tests.tiny_bundle import FEATURES, head_graph, model_graph, recipe, weights

from insula.infer.engine import Engine
from insula.infer.sampling import keep_masks, sample, summary

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


def test_a_batch_of_samples_equals_single_runs_of_the_head_under_the_same_masks(engine: Engine) -> None:
    e = np.random.default_rng(1).random((3, FEATURES)).astype(np.float32)
    got = sample(engine, e, 9, 0.4, seed=5)
    assert got.shape == (9, 3, 2)
    for i in range(3):
        keep = keep_masks(e[i], 9, 0.4, 5)
        for t in range(9):
            one = engine.head(e[i : i + 1], keep[t : t + 1])[0]
            np.testing.assert_array_equal(got[t, i], one)
            np.testing.assert_allclose(one, (e[i] * keep[t]) @ W.head.T + W.offset, atol=1e-5)


def test_without_dropout_every_pass_is_the_same(engine: Engine) -> None:
    e = np.random.default_rng(1).random((2, FEATURES)).astype(np.float32)
    got = sample(engine, e, 5, 0.0, seed=5)
    assert (got == got[0]).all()


def test_summary_of_closed_forms() -> None:
    sure = np.tile([1.0, 0.0], (8, 1))
    assert summary(sure, "multiclass").entropy == 0.0
    split = np.array([[1.0, 0.0], [0.0, 1.0]] * 4)
    both = summary(split, "multiclass")
    assert both.entropy == pytest.approx(np.log(2))
    assert both.mutual_information == pytest.approx(np.log(2))
    np.testing.assert_allclose(both.spread, 0.5)
    torn = summary(np.full((8, 2), 0.5), "multiclass")
    assert torn.entropy == pytest.approx(np.log(2))
    assert torn.mutual_information == pytest.approx(0.0, abs=1e-12)
    labels = summary(np.full((8, 3), 0.5), "multilabel")
    assert labels.entropy == pytest.approx(3 * np.log(2))
