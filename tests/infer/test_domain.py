from __future__ import annotations

import numpy as np
import pytest

from insula.core.errors import EvaluationError
from insula.infer.domain import baseline, distance, median_distance, neighbour_distance, neighbours, score


def test_the_precision_is_ledoit_and_wolfs() -> None:
    from sklearn.covariance import LedoitWolf

    x = np.random.default_rng(0).normal(size=(40, 8)) @ np.random.default_rng(1).normal(size=(8, 8)) + 3.0
    mean, precision = baseline(x)
    fitted = LedoitWolf().fit(x)
    np.testing.assert_allclose(mean, fitted.location_)
    np.testing.assert_allclose(precision, fitted.precision_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        [distance(row, mean, precision) ** 2 for row in x[:5]], fitted.mahalanobis(x[:5]), rtol=1e-3
    )


def test_more_features_than_cases_and_dead_features_stay_finite() -> None:
    x = np.zeros((10, 50))
    x[:, :5] = np.random.default_rng(0).normal(size=(10, 5))
    mean, precision = baseline(x)
    near, far = distance(x[0], mean, precision), distance(x[0] + 100.0, mean, precision)
    assert np.isfinite(precision).all()
    assert 0 < near < far


def test_embeddings_all_alike_stay_finite() -> None:
    mean, precision = baseline(np.ones((5, 3)))
    assert np.isfinite(precision).all()
    assert distance(np.ones(3), mean, precision) == 0.0


def test_the_score_is_the_share_of_validation_distances_at_most_this_one() -> None:
    distances = np.array([1.0, 2.0, 2.0, 4.0])
    assert [score(d, distances) for d in (0.5, 1.0, 2.0, 3.9, 4.0, 9.0)] == [0.0, 0.25, 0.75, 0.75, 1.0, 1.0]


def test_one_embedding_gives_no_baseline() -> None:
    with pytest.raises(EvaluationError, match="at least two"):
        baseline(np.ones((1, 3)))


def test_a_case_of_many_strange_inputs_is_not_typical_because_they_cancel() -> None:
    mean, precision = np.zeros(2), np.eye(2)
    assert median_distance(np.array([[8.0, 0.0], [-8.0, 0.0], [0.0, 8.0]]), mean, precision) == 8.0
    assert median_distance(np.array([[3.0, 4.0]]), mean, precision) == 5.0


def test_the_distance_to_the_fifth_nearest_is_scikit_learns() -> None:
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    g = np.random.default_rng(0)
    train, seen = g.normal(size=(60, 8)), g.normal(size=(7, 8)) * 3.0
    rows = neighbours(train)
    assert rows.dtype == np.float16
    found, _ = NearestNeighbors(n_neighbors=5).fit(normalize(train)).kneighbors(normalize(seen))
    each = [neighbour_distance(one[None], rows) for one in seen]
    np.testing.assert_allclose(each, found[:, 4], atol=2e-3)
    assert neighbour_distance(seen, rows) == pytest.approx(np.median(found[:, 4]), abs=2e-3)


def test_few_rows_and_dead_embeddings_have_neighbours_too() -> None:
    rows = neighbours(np.eye(4)[:3])
    assert neighbour_distance(np.array([[5.0, 0.0, 0.0, 0.0]]), rows) == pytest.approx(np.sqrt(2), abs=1e-3)
    assert np.isfinite(neighbour_distance(np.zeros((2, 4)), neighbours(np.zeros((3, 4)))))


def test_of_many_rows_two_thousand_are_kept_from_first_to_last() -> None:
    x = np.stack([np.cos(np.linspace(0, 3, 9001)), np.sin(np.linspace(0, 3, 9001))], axis=1)
    rows = neighbours(x)
    assert rows.shape == (2000, 2)
    np.testing.assert_allclose(rows[[0, -1]], x[[0, -1]], atol=1e-3)


@pytest.mark.parametrize("features", [3, 128, 300])
def test_a_distance_from_half_the_matrix_is_that_of_the_whole(features: int) -> None:
    x = np.random.default_rng(0).normal(size=(40, features))
    mean, precision = baseline(x)
    np.testing.assert_array_equal(precision, precision.T)
    offset = x[0] + 0.5 - mean
    assert distance(x[0] + 0.5, mean, precision) == pytest.approx(np.sqrt(offset @ precision @ offset), rel=1e-12)
