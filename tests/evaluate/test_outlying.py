"""The farthest cases, against scikit-learn's neighbours and the definition of Mahalanobis' distance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from insula.evaluate.outlying import neighbour_distances, of_rows
from insula.infer.similar import directions


def test_distances_are_those_of_scikit_learn_among_other_patients() -> None:
    x = np.random.default_rng(0).normal(1, 0.5, (60, 10)).astype(np.float32)
    z = directions(x, x.mean(axis=0))
    patients = np.array([f"p{i // 2}" for i in range(60)])
    found = neighbour_distances(z, patients)
    for i in range(60):
        others = z[patients != patients[i]].astype(np.float64)
        distance, _ = NearestNeighbors(n_neighbors=5).fit(others).kneighbors(z[i : i + 1].astype(np.float64))
        assert found[i] == pytest.approx(distance.mean(), abs=1e-5)
    assert np.isnan(neighbour_distances(z, np.array(["one"] * 60))).all()
    few = neighbour_distances(z[:3], np.array(["a", "b", "c"]))
    assert few[0] == pytest.approx(np.linalg.norm(z[0] - z[1:3], axis=1).mean(), abs=1e-5)


def test_mahalanobis_is_that_of_the_shrunk_covariance() -> None:
    x = np.random.default_rng(1).normal(1, 0.5, (80, 6)).astype(np.float32)
    found = of_rows(x, directions(x, x.mean(axis=0)), np.arange(80).astype(str))
    wanted = np.sqrt(LedoitWolf().fit(x.astype(np.float64)).mahalanobis(x.astype(np.float64)))
    assert found.mahalanobis == pytest.approx(wanted, rel=1e-4)


def test_planted_outliers_stand_first() -> None:
    g = np.random.default_rng(2)
    x = g.normal(0, 0.1, (200, 8)) + np.array([3.0, *[0.0] * 7])
    x[17] = [0, 0, 3, 0, 0, 0, 0, 0]  # another direction
    x[44] *= 4  # the same direction, farther out
    z = directions(x.astype(np.float32), np.zeros(8))
    found = of_rows(x, z, np.arange(200).astype(str))
    assert set(found.order[:2].tolist()) == {17, 44}
    assert found.neighbours.argmax() == 17
    assert np.sort(found.order).tolist() == list(range(200))
