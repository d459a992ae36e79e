from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.evaluate.made_tables import CLASSES, LABELS, binary, binary_facts, facts, table

from insula.core.errors import EvaluationError
from insula.evaluate.facts import answers
from insula.evaluate.table import by_patient, frame, sample


def test_rows_come_back_as_they_went_in() -> None:
    p, y = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [[0, 0, 1], [1, 0, 0]]
    rows = sample(frame(["a", "b"], ["p", "q"], p, y, CLASSES), facts())
    np.testing.assert_array_equal(rows.p, p)
    np.testing.assert_array_equal(rows.y, y)
    assert (list(rows.keys), list(rows.patients)) == (["a", "b"], ["p", "q"])
    np.testing.assert_array_equal(rows.limits, [[0.5, 0.5, 0.35]] * 2)


@pytest.mark.parametrize(
    ("cases", "patients", "p"),
    [(["a"], ["p", "q"], [[0.5, 0.5]]), (["a"], ["p"], [[0.5, 0.3, 0.2]]), (["a", "b"], ["p", "q"], [[0.5, 0.5]])],
)
def test_lists_of_different_lengths_make_no_table(cases: list[str], patients: list[str], p: list[list[float]]) -> None:
    with pytest.raises(EvaluationError, match="do not belong together"):
        frame(cases, patients, p, np.array(p) > 0.4, ("x", "y"))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("p_stroke", 1.2, "1 rows hold probabilities outside 0 to 1"),
        ("p_normal", -0.1, "outside 0 to 1"),
        ("p_stroke", float("nan"), "'p_stroke'.*empty cells"),
        ("y_stroke", float("nan"), "'y_stroke'.*empty cells"),
        ("t_stroke", float("nan"), "'t_stroke'.*empty cells"),
        ("patient", None, "'patient'.*empty cells"),
        ("y_normal", True, "none or several of the exclusive classes"),
        ("y_stroke", False, "none or several of the exclusive classes"),
        ("case", "c000", "stand twice"),
    ],
)
def test_one_bad_cell_is_refused_by_name(column: str, value: Any, said: str) -> None:
    made = binary([0, 1, 1], [0.1, 0.8, 0.7], t_stroke=[0.5] * 3).astype({column: object})
    made.loc[1, column] = value
    with pytest.raises(EvaluationError, match=said):
        sample(made, binary_facts())


@pytest.mark.parametrize("column", ["case", "patient", "p_stroke", "y_normal"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(EvaluationError, match=f"no column '{column}'"):
        sample(binary([0, 1], [0.1, 0.8]).drop(columns=column), binary_facts())


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(EvaluationError, match="is empty"):
        sample(binary([0], [0.1]).iloc[:0], binary_facts())


@pytest.mark.parametrize(("how", "function"), [("mean", "mean"), ("max", "max")])
def test_patients_are_pooled_as_a_group_by_of_the_table(how: str, function: str) -> None:
    made = table("multilabel")
    given = facts("multilabel", aggregate=how)
    rows, mixed = by_patient(sample(made, given), given)
    groups = made.groupby("patient")
    assert list(rows.keys) == list(rows.patients) == sorted(made["patient"].unique())
    np.testing.assert_allclose(rows.p, groups[[f"p_{n}" for n in LABELS]].agg(function))
    np.testing.assert_array_equal(rows.y, groups[[f"y_{n}" for n in LABELS]].max())
    assert mixed == 0


@pytest.mark.parametrize(
    ("cases", "want"),
    [
        (["benign", "benign", "malignant"], "malignant"),
        (["healthy", "benign", "benign"], "benign"),
        (["healthy", "healthy", "benign"], "healthy"),
    ],
)
def test_of_a_patients_different_labels_the_positive_one_counts_else_the_most_frequent(
    cases: list[str], want: str
) -> None:
    y = [[name == label for name in CLASSES] for label in cases]
    made = frame(["a", "b", "c"], ["p"] * 3, np.full((3, 3), 1 / 3), y, CLASSES)
    rows, mixed = by_patient(sample(made, facts()), facts())
    assert [name for name, yes in zip(CLASSES, rows.y[0], strict=True) if yes] == [want]
    assert mixed == 1


def test_a_patient_at_the_threshold_is_positive_however_many_cases_it_has() -> None:
    limit = 0.1  # the mean of three of it is a hair above it
    given = facts("multilabel", thresholds=dict.fromkeys(LABELS, limit), aggregate="max")
    made = frame(["a", "b", "c"], ["p"] * 3, np.full((3, 3), limit), np.ones((3, 3)), LABELS)
    rows, _ = by_patient(sample(made, given), given)
    assert answers(rows.p, given, rows.limits).all()


def test_labels_that_happen_to_sum_to_1_are_no_exclusive_classes() -> None:
    p = [[0.99999, 0.00001, 0.0], [0.0, 0.99999, 0.00001]]
    given = facts("multilabel", aggregate="max")
    made = pd.DataFrame(frame(["a", "b"], ["p", "p"], p, np.ones((2, 3)), LABELS))
    np.testing.assert_allclose(by_patient(sample(made, given), given)[0].p, [[0.99999, 0.99999, 0.00001]])
