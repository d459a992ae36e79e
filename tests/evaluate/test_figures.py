from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from tests.evaluate.made_tables import CLASSES, LABELS, binary, binary_facts, facts, table

from insula.evaluate.figures import level
from insula.evaluate.outcome import Level
from insula.evaluate.table import frame, sample
from insula.metrics import calibration_slope, interval_choice, proportion
from insula.metrics.interval_choice import Evidence
from insula.metrics.intervals import replicates


def judged(made: pd.DataFrame, kind: str = "multiclass", count: int = 50) -> Level:
    return level("case", sample(made, facts(kind)), facts(kind), count)


def answered(made: pd.DataFrame) -> np.ndarray:
    """The class of each row, from the table alone: malignant from 0.35 on, otherwise the larger of the other two."""
    others = np.where(made["p_healthy"] >= made["p_benign"], "healthy", "benign")
    return np.where(made["p_malignant"] >= 0.35, "malignant", others)


def test_figures_over_exclusive_classes_are_those_of_scikit_learn() -> None:
    made = table()
    got = judged(made)
    y = made[[f"y_{n}" for n in CLASSES]].to_numpy()
    p = made[[f"p_{n}" for n in CLASSES]].to_numpy()
    true, called = np.array(CLASSES)[y.argmax(axis=1)], answered(made)
    want = {
        "accuracy": sk.accuracy_score(true, called),
        "balanced_accuracy": sk.balanced_accuracy_score(true, called),
        "mcc": sk.matthews_corrcoef(true, called),
        "kappa": sk.cohen_kappa_score(true, called),
        "log_loss": sk.log_loss(y.argmax(axis=1), p),
        "brier": sk.brier_score_loss(y.argmax(axis=1), p, scale_by_half=False, labels=[0, 1, 2]),
    }
    assert {name: got.overall[name].value for name in want} == pytest.approx(want)
    np.testing.assert_array_equal(got.confusion, sk.confusion_matrix(true, called, labels=CLASSES))
    macro = {
        "roc_auc": sk.roc_auc_score(y, p, average="macro"),
        "pr_auc": sk.average_precision_score(y, p, average="macro"),
        "f1": sk.f1_score(true, called, average="macro"),
        "sensitivity": sk.recall_score(true, called, average="macro"),
        "ppv": sk.precision_score(true, called, average="macro"),
    }
    assert {name: got.macro[name].value for name in macro} == pytest.approx(macro)
    assert (got.rows, got.patients, got.replicates) == (len(made), made["patient"].nunique(), 50)
    assert [got.classes[name].threshold for name in CLASSES] == [None, None, 0.35]


def test_figures_of_labels_are_those_of_scikit_learn_at_each_threshold() -> None:
    made = table("multilabel")
    got = judged(made, "multilabel")
    right = np.ones(len(made), dtype=bool)
    for name in LABELS:
        y, p = made[f"y_{name}"].to_numpy(), made[f"p_{name}"].to_numpy()
        called = p >= facts("multilabel").thresholds[name]
        right &= y == called
        found = got.classes[name]
        cells = [[found.tn, found.fp], [found.fn, found.tp]]
        np.testing.assert_array_equal(cells, sk.confusion_matrix(y, called))
        assert found.figures["roc_auc"].value == pytest.approx(sk.roc_auc_score(y, p))
        assert found.figures["f1"].value == pytest.approx(sk.f1_score(y, called))
        assert found.figures["brier"].value == pytest.approx(sk.brier_score_loss(y, p))
    assert got.overall["accuracy"].value == pytest.approx(right.mean())
    assert got.confusion is None


def test_the_error_behind_an_interval_is_that_of_a_loop_that_leaves_patients_out_and_asks_scikit_learn() -> None:
    made = table()
    got = judged(made, count=80).classes["malignant"].figures
    y, p, patients = (made[name].to_numpy() for name in ("y_malignant", "p_malignant", "patient"))
    kept = [patients != patient for patient in np.unique(patients)]
    rarest = min(len(np.unique(patients[y])), len(np.unique(patients[~y])))
    left = {
        "roc_auc": [sk.roc_auc_score(y[rows], p[rows]) for rows in kept],
        "brier": [sk.brier_score_loss(y[rows], p[rows]) for rows in kept],
        "f1": [sk.f1_score(y[rows], p[rows] >= 0.35) for rows in kept],
    }
    for name, values in left.items():
        evidence = Evidence(got[name].value, np.zeros(9), np.array(values), len(kept), len(y), rarest)
        assert got[name].interval == pytest.approx(interval_choice.ends(interval_choice.of(name), evidence))
    assert got["roc_auc"].method == "Wilson's form, jackknife"


def test_the_replicates_are_those_of_a_loop_that_draws_whole_patients_and_asks_scikit_learn() -> None:
    made = table()
    y, p = made["y_malignant"].to_numpy(), made["p_malignant"].to_numpy()
    rates = []
    for weights in np.concatenate(list(replicates(made["patient"], 80, facts().seed))).astype(int):
        x, t, _ = sk.roc_curve(np.repeat(y, weights), np.repeat(p, weights), drop_intermediate=False)
        rates.append(np.interp(np.linspace(0, 1, 101), x, t))
    band = judged(made, count=80).curves.band
    assert band is not None
    np.testing.assert_allclose(band[1:], np.quantile(rates, [0.025, 0.975], axis=0), atol=1e-12)


def test_the_same_seed_gives_the_same_level_and_another_seed_other_intervals() -> None:
    rows = sample(table(), facts())
    first, again = level("case", rows, facts(), 60), level("case", rows, facts(), 60)
    other = level("case", rows, facts(seed=6), 60)
    assert first == again
    assert first.overall["accuracy"].value == other.overall["accuracy"].value
    assert first.overall["accuracy"].interval == other.overall["accuracy"].interval  # it rests on no drawing
    ends = [got.classes["malignant"].figures["ece"].interval for got in (first, other)]
    assert ends[0] != ends[1]


def test_the_counts_behind_a_share_are_its_denominator_and_numerator() -> None:
    made = binary([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.1, 0.7, 0.2, 0.1], ["a", "a", "b", "c", "d", "d"])
    got = level("case", sample(made, binary_facts()), binary_facts(), 50).classes["stroke"].figures
    basis = {name: (f.events, f.n, f.patients) for name, f in got.items()}
    assert basis["sensitivity"] == (2, 3, 2)
    assert basis["specificity"] == (2, 3, 2)
    assert basis["ppv"] == (2, 3, 2)
    assert basis["npv"] == (2, 3, 2)
    assert basis["accuracy"] == (4, 6, 4)
    assert basis["roc_auc"] == (3, 6, 4)


def test_without_one_error_the_intervals_still_have_a_width() -> None:
    made = binary([0] * 20 + [1] * 20, [0.1] * 20 + [0.9] * 20, [f"p{i // 2}" for i in range(40)])
    got = level("case", sample(made, binary_facts()), binary_facts(), 200).classes["stroke"].figures
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        assert got[name].method == "modified Wilson"
        assert got[name].interval == pytest.approx((0.7225, 1.0), abs=5e-5)  # 10 of 10 patients, not 20 of 20 cases
    assert got["roc_auc"].method == "Newcombe"
    assert got["roc_auc"].interval is not None
    assert 0.7 < got["roc_auc"].interval[0] < got["roc_auc"].interval[1] == 1.0
    assert (got["mcc"].value, got["mcc"].interval) == (1.0, None)
    assert "samples agree" in got["mcc"].reason


@pytest.mark.parametrize(
    ("truth", "undefined"),
    [
        (
            0,
            dict.fromkeys(("sensitivity", "pr_auc", "f1", "f2"), "no case is positive")
            | {"roc_auc": "both", "mcc": "the same", "kappa": "the labels are all the same"},
        ),
        (1, {"specificity": "no case is negative", "roc_auc": "both", "mcc": "the same", "kappa": "the same"}),
    ],
)
def test_one_class_alone_gives_reasons_instead_of_numbers(truth: int, undefined: dict[str, str]) -> None:
    made = binary([truth] * 6, [0.1, 0.4, 0.6, 0.7, 0.2, 0.9])
    got = level("case", sample(made, binary_facts()), binary_facts(), 50)
    for name, reason in undefined.items():
        figure = got.classes["stroke"].figures[name]
        assert np.isnan(figure.value)
        assert figure.interval is None
        assert reason in figure.reason
        if name in got.macro:
            assert np.isnan(got.macro[name].value)
            assert got.macro[name].reason.startswith("not defined in every class: ")
    assert np.isnan(got.overall["balanced_accuracy"].value)
    assert (got.classes["stroke"].roc, got.curves.band) == (None, None)


def test_a_figure_that_most_replicates_leave_undefined_has_no_interval() -> None:
    made = frame(["a", "b", "c"], ["p", "q", "r"], np.full((3, 3), 1 / 3), np.eye(3), CLASSES)
    got = judged(made, count=200).overall  # all three patients are drawn in 6 of 27 replicates
    assert got["balanced_accuracy"].value == pytest.approx(1 / 3)
    assert got["balanced_accuracy"].interval is None
    assert "too few patients" in got["balanced_accuracy"].reason
    assert got["accuracy"].interval is not None


def test_a_share_of_nobody_is_undefined_and_any_other_counts_its_own() -> None:
    hit, among = np.array([True, False, True]), np.array([True, True, False])
    patients = np.array(["a", "b", "c"])
    nobody = proportion.figure(hit, np.zeros(3, dtype=bool), patients, "nobody was asked")
    assert (np.isnan(nobody.value), nobody.interval, nobody.reason) == (True, None, "nobody was asked")
    got = proportion.figure(hit, among, patients, "nobody was asked")
    assert (got.value, got.events, got.n, got.patients) == (0.5, 1, 2, 2)


def test_the_corners_of_the_roc_curve_hold_its_whole_area() -> None:
    got = judged(table()).classes["malignant"]
    assert got.roc is not None
    x, t = got.roc
    assert np.trapezoid(t, x) == pytest.approx(got.figures["roc_auc"].value)
    assert (x[0], t[0], x[-1], t[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_the_histogram_counts_every_row_once_by_its_true_class() -> None:
    made = table()
    curves = judged(made).curves
    totals = {name: sum(counts) for name, counts in curves.histogram.items()}
    assert totals == {name: int(made[f"y_{name}"].sum()) for name in CLASSES}
    assert sum(curves.reliability.count) == len(made)
    seen = curves.reliability.observed
    assert all(low <= share <= high for (low, high), share in zip(curves.observed, seen, strict=True))


def test_each_class_has_a_calibration_slope_and_intercept_over_patients() -> None:
    made = table("multilabel", patients=60)
    for name, found in judged(made, "multilabel").classes.items():
        slope, intercept = found.figures["calibration_slope"], found.figures["calibration_intercept"]
        want = calibration_slope.slope(made[f"y_{name}"], made[f"p_{name}"], made["patient"])
        assert slope == want
        assert slope.interval is not None
        assert intercept.interval is not None
        assert (slope.patients, slope.n) == (60, len(made))


def test_ordered_classes_have_their_own_figures_over_all_classes() -> None:
    made = table()
    assert "mean_steps" not in judged(made).overall
    steps = level("case", sample(made, facts()), replace(facts(), kind="ordinal"), 50).overall
    y = made[[f"y_{n}" for n in CLASSES]].to_numpy().argmax(axis=1)
    called = np.array([CLASSES.index(name) for name in answered(made)])
    assert steps["mean_steps"].value == pytest.approx(sk.mean_absolute_error(y, called))
    assert steps["kappa_quadratic"].value == pytest.approx(sk.cohen_kappa_score(y, called, weights="quadratic"))
    assert steps["within_one"].events == (np.abs(y - called) <= 1).sum()


def test_the_number_of_replicates_is_kept_however_many_the_rows() -> None:
    made = binary([0, 1] * 30_000, [0.2, 0.7] * 30_000, [f"p{i % 900}" for i in range(60_000)])
    assert level("case", sample(made, binary_facts()), binary_facts(), 40).replicates == 40


def test_every_interval_that_falls_short_says_so() -> None:
    positive = judged(table()).classes["malignant"].figures
    for name, found in positive.items():
        if found.interval and name in interval_choice.CHOICE:
            assert found.note == interval_choice.CHOICE[name].note, name
    assert "held the truth in 92.5%" in positive["npv"].note
