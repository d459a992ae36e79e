from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_sample_weight

from insula.metrics import classification as cl

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

N, CLASSES = 60, 3
_RNG = np.random.default_rng(3)
Y = _RNG.random(N) < 0.35
P = np.clip(np.round(0.3 * Y + 0.7 * _RNG.random(N), 1), 0.1, 0.9)  # one decimal: many ties
CALLED = P >= 0.5
WEIGHTS = np.vstack([np.ones(N), _RNG.integers(0, 4, (3, N))])  # the sample, and replicates that leave rows out

TRUE = _RNG.integers(0, CLASSES, N)
ANSWER = np.where(_RNG.random(N) < 0.6, TRUE, _RNG.integers(0, CLASSES, N))
P3 = _RNG.dirichlet(np.ones(CLASSES), N)
Y3 = np.eye(CLASSES, dtype=bool)[TRUE]


def each(reference: Callable[..., float], *given: Any, **options: Any) -> list[float]:
    return [float(reference(*given, sample_weight=w, **options)) for w in WEIGHTS]


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (cl.roc_auc, sk.roc_auc_score),
        (cl.average_precision, sk.average_precision_score),
        (cl.brier, sk.brier_score_loss),
        (cl.log_loss, sk.log_loss),
    ],
)
def test_scores_with_ties_and_weights_are_those_of_scikit_learn(
    ours: Callable[[Bools, Floats, Floats], Floats], reference: Callable[..., float]
) -> None:
    np.testing.assert_allclose(ours(Y, P, WEIGHTS), each(reference, Y, P), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "reference", "options"),
    [
        ("accuracy", sk.accuracy_score, {}),
        ("sensitivity", sk.recall_score, {}),
        ("specificity", sk.recall_score, {"pos_label": False}),
        ("ppv", sk.precision_score, {}),
        ("npv", sk.precision_score, {"pos_label": False}),
        ("f1", sk.f1_score, {}),
        ("f2", sk.fbeta_score, {"beta": 2}),
        ("mcc", sk.matthews_corrcoef, {}),
        ("kappa", sk.cohen_kappa_score, {}),
    ],
)
def test_figures_of_the_two_by_two_table_are_those_of_scikit_learn(
    name: str, reference: Callable[..., float], options: dict[str, Any]
) -> None:
    got = cl.table_figures(cl.counts(Y, CALLED, WEIGHTS))[name]
    np.testing.assert_allclose(got, each(reference, Y, CALLED, **options), rtol=1e-12)


def test_the_confusion_matrix_has_the_truth_in_its_rows() -> None:
    got = cl.confusion(TRUE, ANSWER, CLASSES, WEIGHTS)
    for matrix, w in zip(got, WEIGHTS, strict=True):
        np.testing.assert_array_equal(matrix, sk.confusion_matrix(TRUE, ANSWER, sample_weight=w))
    for ours, reference in (
        (cl.kappa, sk.cohen_kappa_score),
        (cl.mcc, sk.matthews_corrcoef),
        (cl.accuracy, sk.accuracy_score),
    ):
        np.testing.assert_allclose(ours(got), each(reference, TRUE, ANSWER), rtol=1e-12)


def test_scores_over_exclusive_classes_are_those_of_scikit_learn() -> None:
    np.testing.assert_allclose(cl.log_loss_classes(Y3, P3, WEIGHTS), each(sk.log_loss, TRUE, P3), rtol=1e-12)
    np.testing.assert_allclose(
        cl.brier(Y3, P3, WEIGHTS), each(sk.brier_score_loss, TRUE, P3, scale_by_half=False), rtol=1e-12
    )
    balanced = compute_sample_weight("balanced", TRUE)
    want = sk.log_loss(TRUE, P3, sample_weight=balanced)
    np.testing.assert_allclose(cl.log_loss_balanced(Y3, P3, cl.once(N)), [want], rtol=1e-12)


def test_the_roc_curve_is_that_of_scikit_learn() -> None:
    fpr, tpr = cl.roc_curve(Y, P, cl.once(N))
    want = sk.roc_curve(Y, P, drop_intermediate=False)
    np.testing.assert_allclose(fpr[0], want[0])
    np.testing.assert_allclose(tpr[0], want[1])


def test_equal_scores_count_half_and_taken_together() -> None:
    y, p = np.array([True, False, True, False]), np.full(4, 0.3)
    assert cl.roc_auc(y, p, cl.once(4))[0] == 0.5
    assert cl.average_precision(y, p, cl.once(4))[0] == 0.5


@pytest.mark.parametrize(
    ("truth", "undefined", "defined"),
    [
        (False, {"roc_auc", "pr_auc", "sensitivity", "mcc", "kappa", "f1", "f2"}, {"specificity", "ppv", "npv"}),
        (True, {"roc_auc", "specificity", "mcc", "kappa"}, {"pr_auc", "sensitivity", "f1", "f2"}),
    ],
)
def test_with_one_class_only_what_has_a_meaning_has_a_value(
    truth: bool, undefined: set[str], defined: set[str]
) -> None:
    y = np.full(N, truth)
    got = cl.table_figures(cl.counts(y, CALLED, WEIGHTS)) | {
        "roc_auc": cl.roc_auc(y, P, WEIGHTS),
        "pr_auc": cl.average_precision(y, P, WEIGHTS),
    }
    assert all(np.isnan(got[name]).all() for name in undefined)
    assert all(np.isfinite(got[name]).all() for name in defined)


def test_a_replicate_without_positives_is_undefined_and_leaves_its_neighbour_alone() -> None:
    weights = np.stack([(~Y).astype(float), np.ones(N)])
    got = cl.roc_auc(Y, P, weights)
    assert np.isnan(got[0])
    assert got[1] == pytest.approx(sk.roc_auc_score(Y, P))
    assert np.isnan(cl.log_loss_balanced(Y3, P3, (TRUE != 2)[None].astype(float))).all()


def test_kappa_is_undefined_where_the_truth_does_not_vary_and_only_then() -> None:
    assert np.isnan(cl.kappa(np.array([[[300_000.0, 0.0], [0.0, 0.0]]])))[0]
    assert np.isnan(cl.kappa(np.array([[[20.0, 10.0], [0.0, 0.0]]])))[0]
    assert cl.kappa(np.array([[[20.0, 0.0], [10.0, 0.0]]]))[0] == 0.0  # a model that gives one answer earns its 0
    # one rare case among many leaves chance agreement a hair below 1
    assert cl.kappa(np.array([[[299_999.0, 0.0], [0.0, 1.0]]]))[0] == pytest.approx(1.0)


def test_a_certain_and_wrong_probability_costs_much_but_not_everything() -> None:
    y, p = np.array([True, False]), np.array([0.0, 0.0])
    got = float(cl.log_loss(y, p, cl.once(2))[0])
    assert got == pytest.approx(sk.log_loss(y, p))
    assert 15 < got < 20


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=1, max_size=14))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # scikit-learn's, about a single class
def test_on_any_rows_every_figure_is_scikit_learns_or_undefined(rows: list[tuple[bool, int, bool, int]]) -> None:
    y, called = np.array([r[0] for r in rows]), np.array([r[2] for r in rows])
    p, times = np.array([r[1] for r in rows]) / 6, np.array([r[3] for r in rows])
    weights = times[None].astype(float)
    got = {name: float(v[0]) for name, v in cl.table_figures(cl.counts(y, called, weights)).items()}
    got |= {"brier": float(cl.brier(y, p, weights)[0]), "log_loss": float(cl.log_loss(y, p, weights)[0])}
    truth, score, answer = (np.repeat(v, times) for v in (y, p, called))
    if len(truth) == 0:
        assert np.isnan(list(got.values())).all()
        return
    want = {
        "accuracy": sk.accuracy_score(truth, answer),
        "brier": np.mean((score - truth) ** 2),
        "log_loss": sk.log_loss(truth, score, labels=[False, True]),
        "sensitivity": sk.recall_score(truth, answer, zero_division=np.nan),
        "specificity": sk.recall_score(truth, answer, pos_label=False, zero_division=np.nan),
        "ppv": sk.precision_score(truth, answer, zero_division=np.nan),
        "npv": sk.precision_score(truth, answer, pos_label=False, zero_division=np.nan),
        "f1": sk.f1_score(truth, answer) if truth.any() else np.nan,
        "f2": sk.fbeta_score(truth, answer, beta=2) if truth.any() else np.nan,
    }
    both = len(np.unique(truth)) == 2 and len(np.unique(answer)) == 2
    want["mcc"] = sk.matthews_corrcoef(truth, answer) if both else np.nan
    varied = len(np.unique(truth)) == 2
    want["kappa"] = sk.cohen_kappa_score(truth, answer, labels=[False, True]) if varied else np.nan
    assert got == pytest.approx(want, abs=1e-9, nan_ok=True)
