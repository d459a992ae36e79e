from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluate.made_tables import binary, binary_facts

from insula.core.errors import EvaluationError
from insula.evaluate.evidence import Guard
from insula.evaluate.outcome import EvaluationReport, Failure
from insula.evaluate.pooled import pool, with_thresholds, within_folds
from insula.evaluate.run import evaluate_table


def fold(name: str, threshold: float, y: list[int], p: list[float], *optimistic: str) -> EvaluationReport:
    keys = [f"{name}{i}" for i in range(len(y))]
    table = binary(y, p, keys).assign(case=keys)
    failures = (Failure(f"{name}-bad", "unreadable"),)
    return evaluate_table(table, binary_facts(threshold), 20, optimistic, [f"note of {name}", "shared"], failures)


def test_every_row_is_judged_at_the_threshold_of_its_own_bundle() -> None:
    low = fold("a", 0.2, [1, 1, 0, 0], [0.3, 0.25, 0.1, 0.3])
    high = fold("b", 0.8, [1, 1, 0, 0], [0.9, 0.7, 0.3, 0.6])
    got = pool([low, high], {"folds": 2}, 50)
    assert (got.positive.tp, got.positive.fn, got.positive.fp, got.positive.tn) == (3, 1, 1, 3)
    cells = [(r.positive.tp, r.positive.fn, r.positive.fp, r.positive.tn) for r in (low, high)]
    assert cells == [(2, 0, 1, 1), (1, 1, 0, 2)]
    assert got.positive.threshold == pytest.approx(0.5)  # at 0.5 for all, two positives would be missed
    assert got.source == {"folds": 2}
    assert list(got.table["fold"]) == [0] * 4 + [1] * 4


def test_the_pooled_table_gives_the_same_report_once_more() -> None:
    reports = [
        fold("a", 0.2, [1, 1, 0, 0], [0.3, 0.25, 0.1, 0.3]),
        fold("b", 0.8, [1, 1, 0, 0], [0.9, 0.7, 0.3, 0.6]),
    ]
    got = pool(reports, {}, 50)
    pd.testing.assert_frame_equal(got.table[["t_stroke"]], pd.DataFrame({"t_stroke": [0.2] * 4 + [0.8] * 4}))
    assert evaluate_table(got.table, got.facts, 50).patient == got.patient
    np.testing.assert_array_equal(with_thresholds(reports[1])["t_normal"], 0.5)


def test_notes_failures_and_reasons_of_all_folds_are_kept_once() -> None:
    a = fold("a", 0.5, [1, 0], [0.9, 0.1], "3 of 10 patients here were in the training data", "split by picture")
    b = fold("b", 0.5, [1, 0], [0.9, 0.1], "2 of 12 patients here were in the training data", "split by picture")
    got = pool([a, b], {}, 20)
    assert got.optimistic == (
        "patients of the test folds were in the training data of the same fold",
        "split by picture",
    )
    assert got.headline.startswith("Optimistic: patients of the test folds")
    assert [f.case for f in got.failures] == ["a-bad", "b-bad"]
    assert [note for note in got.notes if note == "shared"] == ["shared"]
    assert {"note of a", "note of b"} < set(got.notes)


def test_a_case_that_two_folds_predicted_is_refused() -> None:
    one = fold("a", 0.5, [1, 0], [0.9, 0.1])
    with pytest.raises(EvaluationError, match="stand twice"):
        pool([one, one], {}, 20)


def test_no_fold_is_no_report() -> None:
    with pytest.raises(EvaluationError, match="no fold to pool"):
        pool([], {})


def test_folds_of_other_classes_are_refused() -> None:
    one = fold("a", 0.5, [1, 0], [0.9, 0.1])
    other = fold("b", 0.5, [1, 0], [0.9, 0.1])
    renamed = other.table.rename(columns={"p_stroke": "p_tumour", "y_stroke": "y_tumour"})
    facts = replace(other.facts, classes=("normal", "tumour"), positive="tumour", thresholds={"tumour": 0.5})
    with pytest.raises(EvaluationError, match=r"'p_stroke'.*empty cells"):
        pool([one, replace(other, facts=facts, table=renamed)], {}, 20)


@pytest.mark.parametrize(
    ("reasons", "whole"),
    [
        (
            ("3 of 10 files here were in the training data", "1 of 9 files here were in the training data"),
            "files of the test folds were in the training data of the same fold",
        ),
        (
            (
                "2 of 9 cases here show a picture of the training data (copies count)",
                "1 of 8 cases here show a picture of the training data (copies count)",
            ),
            "cases of the test folds show a picture of the training data of the same fold",
        ),
        (
            (
                "the threshold was chosen on 1 of the 9 patients here",
                "the threshold was chosen on 2 of the 8 patients here",
            ),
            "thresholds were chosen on patients of the same test fold",
        ),
    ],
)
def test_counts_of_single_folds_are_left_out_of_the_reason(reasons: tuple[str, str], whole: str) -> None:
    got = pool([fold(n, 0.5, [1, 0], [0.9, 0.1], r) for n, r in zip("ab", reasons, strict=True)], {}, 20)
    assert got.optimistic == (whole,)


def test_of_each_guard_the_gravest_verdict_stays() -> None:
    a, b, c = (fold(name, 0.5, [1, 0], [0.9, 0.1]) for name in "abc")
    a = replace(a, guards=(Guard("patients", "pass", "none"), Guard("plan", "pass", "first look")))
    b = replace(b, guards=(Guard("patients", "fail", "2 of 9", ("x",)), Guard("files", "cannot tell", "no files")))
    c = replace(c, guards=(Guard("patients", "fail", "1 of 8", ("y",)), Guard("files", "pass", "none")))
    got = pool([a, b, c], {}, 20)
    assert got.guards == (
        Guard("patients", "fail", "in 2 of 3 folds; the first: 2 of 9", ("x", "y")),
        Guard("files", "cannot tell", "in 1 of 3 folds; the first: no files"),
    )


def test_pairs_within_folds_are_told_where_folds_are_calibrated_differently() -> None:
    low = fold("a", 0.2, [1, 1, 0, 0, 1, 0], [0.3, 0.25, 0.1, 0.2, 0.22, 0.24])
    high = fold("b", 0.8, [1, 1, 0, 0, 1, 0], [0.9, 0.7, 0.5, 0.65, 0.95, 0.8])
    got = pool([low, high], {}, 50)
    truth = [r.table.y_stroke.to_numpy(bool) for r in (low, high)]
    areas = [roc_auc_score(y, r.table.p_stroke) for y, r in zip(truth, (low, high), strict=True)]
    pairs = [y.sum() * (~y).sum() for y in truth]
    want = np.average(areas, weights=pairs)
    assert f"of one fold alone the ROC-AUC of stroke is {want:.3f} (95% interval" in got.notes[1]
    assert want > got.positive.figures["roc_auc"].value


def test_a_patient_in_several_folds_leaves_no_pairs_within_folds() -> None:
    table = pd.concat(
        [
            fold("a", 0.5, [1, 0], [0.9, 0.1]).table.assign(fold=i, patient=["x", "y"], case=[f"{i}x", f"{i}y"])
            for i in (0, 1)
        ]
    )
    assert within_folds(table, binary_facts(0.5), 20) == ""
