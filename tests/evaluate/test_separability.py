"""Figures of groups against scikit-learn, and shuffles that find nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, davies_bouldin_score, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from insula.evaluate.feature_groups import Grouping
from insula.evaluate.separability import ground, judge, leave_patient_out, scores


def rows(
    n: int = 90, size: int = 12, apart: float = 1.5, seed: int = 0, each: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n // each), each)
    codes = (owner % 3).astype(np.intp)
    z = g.normal(0, 1, (n // each, size))[owner] + g.normal(0, 0.5, (n, size))
    z[np.arange(n), codes] += apart
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z.astype(np.float32), codes, np.array([f"p{o:02}" for o in owner])


def test_silhouette_and_davies_bouldin_are_scikit_learns() -> None:
    z, codes, patients = rows()
    on = ground(z, patients)
    labellings = [codes, np.roll(codes, 1), np.arange(90) % 3, np.where(np.arange(90) == 4, 2, np.arange(90) % 2)]
    found = scores(on.products, on.distances, np.stack(labellings), 3)
    wanted = [(silhouette_score(z, c), davies_bouldin_score(z, c)) for c in labellings]
    np.testing.assert_allclose(found.T, wanted, atol=2e-4)


def test_an_empty_group_gives_no_figure() -> None:
    z, _, patients = rows()
    on = ground(z, patients)
    assert np.isnan(scores(on.products, on.distances, np.zeros((1, 90), np.intp), 2)).all()


def test_neighbours_are_of_other_patients_as_scikit_learn_finds_them() -> None:
    z, codes, patients = rows()
    found = leave_patient_out(z @ z.T, codes, patients)
    wanted = np.empty(90, np.intp)
    for patient in np.unique(patients):
        own = patients == patient
        model = KNeighborsClassifier(5, weights=lambda d: np.tile(1.0 + 1e-3 * 2.0 ** -np.arange(5), (len(d), 1))).fit(
            z[~own], codes[~own]
        )
        wanted[own] = model.predict(z[own])
    assert accuracy_score(wanted, found) == 1.0
    assert leave_patient_out(z @ z.T, codes, np.array(["one"] * 90)).tolist() == [-1] * 90


def test_classes_that_lie_apart_are_told_apart() -> None:
    z, codes, patients = rows(apart=6.0)
    found = judge(ground(z, patients), Grouping("class", ("a", "b", "c"), codes), None, shuffles=199)
    assert found.values == {"a": 30, "b": 30, "c": 30}
    assert found.patients == 30
    assert found.most == pytest.approx(1 / 3)
    assert found.silhouette.p_value == found.davies_bouldin.p_value == found.probe.p_value == 1 / 200
    assert found.probe.auc.value > 0.9
    assert found.neighbours.value > 0.9
    assert found.neighbours.interval is not None
    assert found.neighbours.interval[0] > found.most
    assert found.within is None


def test_chance_is_found_to_be_chance() -> None:
    p_values = []
    for seed in range(40):
        z, _, patients = rows(apart=0.0, seed=seed)
        codes = np.repeat(np.random.default_rng(seed).integers(0, 2, 30), 3)
        found = judge(ground(z, patients), Grouping("x", ("a", "b"), codes), None, replicates=20, shuffles=99)
        p_values.append([found.silhouette.p_value, found.davies_bouldin.p_value, found.probe.p_value])
    share = (np.array(p_values) <= 0.05).mean(axis=0)
    assert (share <= 0.175).all()  # 7 of 40, which 5% exceed once in two hundred times
    assert 0.35 < np.mean(p_values) < 0.65


def test_shuffles_of_pictures_would_have_found_the_patients_instead() -> None:
    z, _, patients = rows(apart=0.0, seed=3, each=6)
    codes = np.repeat(np.random.default_rng(5).integers(0, 2, 15), 6)
    whole = judge(ground(z, patients), Grouping("x", ("a", "b"), codes), None, replicates=20, shuffles=199)
    alone = judge(
        ground(z, np.arange(90).astype(str)), Grouping("x", ("a", "b"), codes), None, replicates=20, shuffles=199
    )
    assert alone.neighbours.value > 0.9 > whole.neighbours.value  # its own other pictures are the nearest
    assert alone.probe.auc.value > whole.probe.auc.value


def test_a_column_that_goes_along_with_the_class_is_nothing_within_it() -> None:
    g = np.random.default_rng(8)
    z, _, patients = rows(n=240, apart=0.0, seed=8)
    classes = np.repeat(g.integers(0, 2, 80), 3)
    scanner = np.where(np.repeat(g.random(80), 3) < 0.85, classes, 1 - classes)
    z[:, 0] += 1.0 * classes
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    label = Grouping("class", ("a", "b"), classes)
    with_class = judge(ground(z, patients), Grouping("scanner", ("x", "y"), scanner), label, shuffles=199)
    assert with_class.probe.p_value <= 0.05
    assert with_class.within is not None
    assert with_class.within.p_value > 0.05
    z[:, 1] += 1.5 * scanner
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    by_itself = judge(ground(z, patients), Grouping("scanner", ("x", "y"), scanner), label, shuffles=199)
    assert by_itself.within is not None
    assert by_itself.within.p_value <= 0.05


def test_rows_in_no_group_take_no_part() -> None:
    z, codes, patients = rows(apart=3.0)
    some = np.where(codes == 2, -1, codes)
    on = ground(z, patients)
    found = judge(on, Grouping("x", ("a", "b"), some), None, replicates=50, shuffles=19)
    kept = some >= 0
    assert found.silhouette.value == pytest.approx(silhouette_score(z[kept], some[kept]), abs=1e-4)
    assert found.patients == 20
    assert found.neighbours.n == 60
