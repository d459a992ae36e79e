from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from insula.core.errors import EvaluationError
from insula.metrics import fairness

Made = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64], NDArray[np.intp]]
ONCE = np.ones((1, 300))


def made(groups: int = 3, n: int = 300, seed: int = 4) -> Made:
    rng = np.random.default_rng(seed)
    of = rng.integers(0, groups, n)
    y = rng.random(n) < 0.3 + 0.15 * of
    p = np.round(1 / (1 + np.exp(-(rng.normal(1.5 * y, 1.0) - 0.5 - 0.2 * of))), 2)
    return y, p >= 0.5, p, of


def test_rates_of_a_table_by_hand() -> None:
    found = fairness.rates(np.array([[[6.0, 2.0, 2.0, 10.0], [0.0, 0.0, 5.0, 0.0]]]))
    assert found["prevalence"][0].tolist() == [0.4, 1.0]
    assert found["selection_rate"][0].tolist() == [0.4, 0.0]
    assert found["sensitivity"][0].tolist() == [0.75, 0.0]
    assert found["ppv"][0, 0] == 0.75
    assert np.isnan(found["ppv"][0, 1])
    assert np.isnan(found["specificity"][0, 1])


def test_every_measure_is_that_of_fairlearn() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    y, called, _, of = made()
    mine = fairness.gaps(fairness.tables(y, called, of, 3, ONCE))
    theirs = {
        "demographic_parity_difference": metrics.demographic_parity_difference,
        "demographic_parity_ratio": metrics.demographic_parity_ratio,
        "equal_opportunity_difference": metrics.equal_opportunity_difference,
        "equalised_odds_difference": metrics.equalized_odds_difference,
        "equalised_odds_ratio": metrics.equalized_odds_ratio,
    }
    for name, compute in theirs.items():
        assert mine[name][0] == pytest.approx(compute(y, called, sensitive_features=of), abs=1e-12), name


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_groups_are_those_of_a_metric_frame(weighted: bool) -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    from sklearn.metrics import precision_score

    y, called, p, of = made(seed=8)
    weights = np.random.default_rng(1).integers(0, 4, 300).astype(np.float64) if weighted else np.ones(300)
    mine = fairness.rates(fairness.tables(y, called, of, 3, weights[None]))
    compute = {
        "selection_rate": metrics.selection_rate,
        "sensitivity": metrics.true_positive_rate,
        "specificity": metrics.true_negative_rate,
        "false_positive_rate": metrics.false_positive_rate,
        "ppv": precision_score,
    }
    extra = {name: {"sample_weight": weights} for name in compute}
    frame = metrics.MetricFrame(metrics=compute, y_true=y, y_pred=called, sensitive_features=of, sample_params=extra)
    for name in compute:
        assert mine[name][0] == pytest.approx(frame.by_group[name].to_numpy(dtype=float), abs=1e-12), name
    ppv = fairness.gaps(fairness.tables(y, called, of, 3, weights[None]))["predictive_parity_difference"]
    assert ppv[0] == pytest.approx(frame.difference()["ppv"], abs=1e-12)
    areas = metrics.MetricFrame(
        metrics=roc_auc_score, y_true=y, y_pred=p, sensitive_features=of, sample_params={"sample_weight": weights}
    )
    found = fairness.areas(y, p, of, 3, weights[None])
    assert found[0] == pytest.approx(areas.by_group.to_numpy(dtype=float), abs=1e-12)
    assert fairness.apart(found)[0] == pytest.approx(areas.difference(), abs=1e-12)


def test_areas_of_groups_are_those_of_scikit_learn() -> None:
    y, _, p, of = made()
    found = fairness.areas(y, p, of, 3, ONCE)[0]
    assert found == pytest.approx([roc_auc_score(y[of == g], p[of == g]) for g in range(3)])


def test_weights_are_multiplicities() -> None:
    y, called, p, of = made()
    weights = np.random.default_rng(0).integers(0, 3, (4, 300)).astype(np.float64)
    counted = fairness.tables(y, called, of, 3, weights)
    areas = fairness.areas(y, p, of, 3, weights)
    for r in range(4):
        at = np.repeat(np.arange(300), weights[r].astype(int))
        once = np.ones((1, len(at)))
        assert (counted[r] == fairness.tables(y[at], called[at], of[at], 3, once)[0]).all()
        assert areas[r] == pytest.approx(fairness.areas(y[at], p[at], of[at], 3, once)[0])


def test_a_group_without_a_rate_is_passed_over_and_one_alone_lies_apart_from_nothing() -> None:
    counted = np.array([[[4.0, 1.0, 4.0, 9.0], [0.0, 2.0, 0.0, 8.0], [3.0, 3.0, 1.0, 7.0]]])
    found = fairness.gaps(counted)
    assert found["equal_opportunity_difference"][0] == pytest.approx(0.25)
    assert found["predictive_parity_difference"][0] == pytest.approx(0.8)
    assert np.isnan(fairness.gaps(counted[:, :2])["equal_opportunity_difference"][0])
    assert np.isnan(fairness.gaps(counted[:, :2])["equalised_odds_difference"][0])


def test_no_ratio_where_nobody_is_called() -> None:
    counted = np.array([[[0.0, 0.0, 4.0, 9.0], [0.0, 0.0, 5.0, 8.0]]])
    assert np.isnan(fairness.gaps(counted)["demographic_parity_ratio"][0])
    assert fairness.gaps(counted)["demographic_parity_difference"][0] == 0.0


@pytest.mark.parametrize(("of", "said"), [([0, 1], "belong together"), ([0, 1, 2], "number them anew")])
def test_lists_that_do_not_fit_are_refused(of: list[int], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        fairness.tables([True, False, True], [True, True, False], of, 2, np.ones((1, 3)))
