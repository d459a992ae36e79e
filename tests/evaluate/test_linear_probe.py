"""The probe is scikit-learn's ridge regression on other patients, and its area scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from insula.evaluate.linear_probe import COMPONENTS, FOLDS, RIDGE, components, judge, smoother


def made(patients: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), g.integers(1, 5, patients))
    codes = g.integers(0, 3, patients)[owner]
    x = g.normal(0, 1, (patients, 6))[owner] + g.normal(0, 0.3, (len(owner), 6))
    x[:, 0] += codes
    return x, codes.astype(np.intp), np.array([f"p{o:02}" for o in owner])


def test_scores_are_those_of_ridge_on_other_patients() -> None:
    x, codes, owners = made()
    _, owner, count = np.unique(owners, return_inverse=True, return_counts=True)
    fold = (np.random.default_rng(7).permutation(len(count)) % FOLDS)[owner]
    y = (codes == 1).astype(np.float64)
    weight = 1.0 / count[owner]
    wanted = np.empty(len(y))
    for f in range(FOLDS):
        held = fold == f
        model = Ridge(RIDGE).fit(x[~held], y[~held], sample_weight=weight[~held])
        wanted[held] = model.predict(x[held]) - np.average(y[~held], weights=weight[~held])
    assert smoother(x, owners, 7) @ y == pytest.approx(wanted, abs=1e-10)


def test_no_row_is_scored_by_its_own_patient() -> None:
    x, _, owners = made()
    matrix = smoother(x, owners, 1)
    assert not matrix[owners[:, None] == owners[None, :]].any()
    assert matrix.sum(axis=1) == pytest.approx(np.zeros(len(x)), abs=1e-12)  # a constant label scores nothing


def test_the_area_is_scikit_learns() -> None:
    x, codes, owners = made()
    matrix = smoother(x, owners, 0)
    found = judge(matrix, codes, owners, 3, None, [codes[None]], 100, 0)
    wanted = np.mean([roc_auc_score(codes == g, matrix @ (codes == g)) for g in range(3)])
    assert found.auc.value == pytest.approx(wanted, abs=1e-12)
    assert found.p_value == 1.0  # the only other labelling is the same one
    two = np.minimum(codes, 1)
    strata = (np.arange(len(codes)) % 2).astype(np.intp)
    inside = judge(matrix, two, owners, 2, strata, [np.roll(two, 5)[None]], 100, 0)
    score, above, pairs = matrix @ two, 0.0, 0.0
    for s in (0, 1):
        y = two[strata == s]
        count = float(y.sum() * (1 - y).sum())
        above += roc_auc_score(y, score[strata == s]) * count
        pairs += count
    assert inside.auc.value == pytest.approx(above / pairs, abs=1e-12)


def test_pairs_that_do_not_exist_give_no_area() -> None:
    x, codes, owners = made()
    two = np.minimum(codes, 1)
    found = judge(smoother(x, owners, 0), two, owners, 2, two, [two[None]], 50, 0)
    assert np.isnan(found.auc.value)
    assert np.isnan(found.p_value)
    assert "no two cases" in found.auc.reason


def test_components_are_those_of_pca_and_no_more_than_patients_allow() -> None:
    z = np.random.default_rng(0).normal(0, 1, (100, 200)) * np.linspace(3, 0.1, 200)
    found = components(z, [str(i) for i in range(100)])
    wanted = PCA(20, whiten=True).fit_transform(z)
    assert found.shape == (100, 20)
    assert np.abs(found) == pytest.approx(np.abs(wanted), abs=1e-6)
    assert components(z, ["a"] * 50 + ["b"] * 50).shape == (100, 1)
    assert components(np.repeat(z, 8, axis=0), [str(i) for i in range(800)]).shape[1] == COMPONENTS
