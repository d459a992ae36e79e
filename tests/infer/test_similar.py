"""Exact search: the rows that scikit-learn and double precision find, ties and left-out rows included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from insula.core.errors import UsageError
from insula.infer.similar import directions, nearest, searchable


def features(n: int, size: int, seed: int, middle: float = 1.0) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(middle, 0.5, (n, size)), 0).astype(np.float32)


@pytest.mark.parametrize(("n", "size", "middle"), [(5000, 64, 1.0), (3000, 700, 0.2), (2000, 32, 1000.0)])
def test_the_rows_are_those_of_scikit_learn(n: int, size: int, middle: float, tmp_path: Path) -> None:
    rows = features(n, size, 1, middle)
    np.save(tmp_path / "rows.npy", rows)
    centre = rows.mean(axis=0, dtype=np.float64)
    among = searchable(np.load(tmp_path / "rows.npy", mmap_mode="r"), centre)
    centred = rows.astype(np.float64) - centre
    brute = NearestNeighbors(n_neighbors=12, algorithm="brute", metric="cosine").fit(centred)
    for query in features(20, size, 2, middle):
        found = nearest(among, query, 12)
        distance, order = brute.kneighbors((query.astype(np.float64) - centre)[None])
        assert found.rows.tolist() == order[0].tolist()
        assert found.likeness == pytest.approx(1 - distance[0], abs=1e-12)


def test_of_equal_rows_the_lower_one_comes_first_and_all_are_found() -> None:
    rows = features(300, 16, 3)
    rows[[7, 90, 200, 250]] = rows[40]
    rows[120] = 2 * rows[40] - rows.mean(axis=0)  # the same direction, seen from the centre
    among = searchable(rows, np.zeros(16))
    assert nearest(among, rows[40], 5).rows.tolist() == [7, 40, 90, 200, 250]
    assert nearest(among, rows[40], 3).rows.tolist() == [7, 40, 90]
    assert nearest(among, 5 * rows[40], 5).likeness == pytest.approx(np.ones(5), abs=1e-7)


def test_differences_below_single_precision_are_seen() -> None:
    rows = np.zeros((50, 8), np.float32)
    rows[:, 0] = 1.0
    rows[:, 1] = np.linspace(0.0, 1e-4, 50, dtype=np.float32)[np.random.default_rng(0).permutation(50)]
    found = nearest(searchable(rows, np.zeros(8)), np.eye(8)[0], 50)
    assert found.rows.tolist() == np.argsort(rows[:, 1], kind="stable").tolist()
    assert len(set((rows / np.linalg.norm(rows, axis=1, keepdims=True))[:, 0].tolist())) == 1  # in single they tie


def test_left_out_rows_and_rows_without_direction_are_never_found() -> None:
    rows = features(40, 8, 4)
    centre = rows.mean(axis=0, dtype=np.float64)
    rows[3] = centre = rows[3].astype(np.float64)
    among = searchable(rows, centre)
    out = np.zeros(40, bool)
    out[10:20] = True
    found = nearest(among, rows[12], 100, out)
    assert sorted(found.rows.tolist()) == [i for i in range(40) if i != 3 and not 10 <= i < 20]
    assert (np.diff(found.likeness) <= 0).all()
    assert len(nearest(among, rows[12], 5, np.ones(40, bool)).rows) == 0
    with pytest.raises(UsageError, match="no direction"):
        nearest(among, rows[3])


def test_a_query_of_another_network_is_refused() -> None:
    among = searchable(features(9, 8, 5), np.zeros(8))
    for query in (np.ones(9), np.full(8, np.nan)):
        with pytest.raises(UsageError, match="finite numbers"):
            nearest(among, query)
    with pytest.raises(UsageError, match="do not belong together"):
        searchable(features(9, 8, 5), np.zeros(7))


def test_products_of_directions_are_likenesses() -> None:
    rows, centre = features(30, 8, 6), np.full(8, 0.7)
    z = directions(rows, centre)
    found = nearest(searchable(rows, centre), rows[4], 30)
    assert (z @ z[4])[found.rows] == pytest.approx(found.likeness, abs=1e-6)
    assert directions(np.full((1, 8), 0.7, np.float32), np.full(8, np.float32(0.7))).tolist() == [[0.0] * 8]
