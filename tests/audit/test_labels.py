from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from tests.audit import made_groups

from insula.audit.labels import CHECK, contradicted, judge, levelling
from insula.audit.part import Part
from insula.core.recipe_audit import Audit

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def calibrated(seed: int, area: float, n: int = 150) -> tuple[Bools, Floats]:
    """Labels, and probabilities of a model with normal scores of this ROC-AUC that are right."""
    rng = np.random.default_rng(seed)
    apart_by = np.sqrt(2) * norm.ppf(area)
    y = rng.random(n) < 0.5
    p: Floats = expit(apart_by * rng.normal(y * apart_by, 1) - apart_by**2 / 2)
    return y, p


def judged(y: Bools, p: Floats, kind: str = "binary", limit: float | None = 0.03) -> Part:
    made = made_groups.ground(y, p, [{}] * len(y), kind=kind)
    made.bundle.recipe = made.bundle.recipe.model_copy(update={"audit": Audit(label_noise=limit)})  # type: ignore[misc]
    return judge(made, pd.DataFrame())


def test_a_case_counts_as_the_class_whose_own_mean_probability_it_reaches() -> None:
    """By hand, after formula 1 of the paper: thresholds are the mean self-confidence of each label's cases."""
    p = np.array(
        [
            [0.8, 0.1, 0.1],
            [0.6, 0.3, 0.1],
            [0.1, 0.8, 0.1],
            [0.2, 0.6, 0.2],
            [0.75, 0.15, 0.1],
            [0.1, 0.1, 0.8],
            [0.3, 0.3, 0.4],
        ]
    )
    labels = np.array([0, 0, 1, 1, 1, 2, 2])
    # thresholds: 0: 0.7; 1: (0.8 + 0.6 + 0.15) / 3 = 0.517; 2: 0.6
    assert contradicted(np.eye(3, dtype=bool)[labels], p).tolist() == [-1, -1, -1, -1, 0, -1, -1]


def test_of_several_classes_that_are_reached_the_most_probable_counts() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    p = np.array([[0.4, 0.3, 0.3], [0.2, 0.45, 0.35], [0.3, 0.4, 0.3], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3]])
    # thresholds: 0.3, 0.4, 0.3: the last case reaches all three, the second 1 and 2
    assert contradicted(np.eye(3, dtype=bool)[labels], p).tolist() == [-1, 1, -1, 0, 1]


def test_a_class_that_no_case_is_labelled_is_never_counted_as() -> None:
    p = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8]])
    assert contradicted(np.array([[True, False]] * 3), p).tolist() == [-1, -1, -1]


def test_wrong_labels_of_a_good_model_are_found() -> None:
    fails = []
    for seed in range(20):
        y, p = calibrated(seed, 0.995)
        flipped = np.random.default_rng(1000 + seed).random(150) < 0.1
        fails.append(judged(y ^ flipped, p).findings[0].verdict == "fail")
    assert sum(fails) >= 18


def test_wrong_labels_are_found_though_the_model_was_calibrated_on_such() -> None:
    fails = []
    for seed in range(20):
        y, p = calibrated(seed, 0.995)
        flipped = np.random.default_rng(1000 + seed).random(150) < 0.1
        fails.append(judged(y ^ flipped, 0.1 + 0.8 * p).findings[0].verdict == "fail")
    assert sum(fails) >= 18


@pytest.mark.parametrize(("area", "most"), [(0.98, 0), (0.95, 1), (0.9, 3), (0.85, 3), (0.8, 1)])
def test_right_labels_seldom_fail_however_well_the_model_orders_them(area: float, most: int) -> None:
    fails = [judged(*calibrated(seed, area)).findings[0].verdict == "fail" for seed in range(20)]
    assert sum(fails) <= most


def test_a_weak_model_is_told_from_wrong_labels() -> None:
    y, p = calibrated(3, 0.85, 400)
    found = judged(y, p).findings[0]
    assert found.interval is not None
    assert found.interval[0] > 0.03
    assert found.verdict == "cannot tell"
    assert (
        f"as those of any model do that orders the cases with a ROC-AUC of {roc_auc_score(y, p):.3f}" in found.evidence
    )


def test_labels_level_off_by_the_share_that_was_turned_whatever_the_calibration() -> None:
    y, p = calibrated(0, 0.99, 2000)
    y ^= np.random.default_rng(7).random(2000) < 0.1
    sides = np.stack([~y, y], 1)
    found = levelling(sides, np.stack([1 - p, p], 1))
    assert found.rate == pytest.approx(0.1, abs=0.02)
    assert found == levelling(sides, np.stack([1 - p**3, p**3], 1))  # the order alone counts


def test_of_more_classes_each_is_held_against_all_others() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    logits = 4 * np.eye(3)[truth] + rng.normal(0, 1, (900, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    turned = np.where(rng.random(900) < 0.1, (truth + rng.integers(1, 3, 900)) % 3, truth)
    right, wrong = (levelling(np.eye(3, dtype=bool)[labels], p) for labels in (truth, turned))
    assert right.ratio < 3.84 < wrong.ratio
    assert 0.03 < wrong.rate < 0.15
    without = levelling(np.eye(4, dtype=bool)[truth], np.c_[p, np.zeros(900)])
    assert without == right  # a class that nobody is labelled says nothing


def test_whom_to_look_at_comes_surest_first_with_both_classes_by_name() -> None:
    y = np.arange(60) % 2 == 1
    p = np.where(y, 0.8, 0.2) + np.linspace(-0.01, 0.01, 60)
    y[[10, 20, 31]] ^= True
    p[[10, 20, 31]] = [0.1, 0.01, 0.97]
    part = judged(y, p)
    rows = part.tables[0].rows
    assert [row[:3] for row in rows] == [
        ("p0020", "stroke", "normal"),
        ("p0031", "normal", "stroke"),
        ("p0010", "stroke", "normal"),
    ]
    assert [row[3] for row in rows] == pytest.approx([0.99, 0.97, 0.9])
    assert "contradicts the label of 3 of 60 patients" in part.findings[0].evidence


def test_labels_that_stand_together_are_asked_of_the_positive_one() -> None:
    y = np.arange(60) % 2 == 1
    p = np.where(y, 0.8, 0.2) + np.linspace(-0.01, 0.01, 60)
    p[[1, 2]] = [0.05, 0.97]
    part = judged(y, p, "multilabel")
    assert [row[:3] for row in part.tables[0].rows] == [
        ("p0002", "not stroke", "stroke"),
        ("p0001", "stroke", "not stroke"),
    ]


def test_without_a_contradiction_there_is_no_table_and_a_lone_class_does_not_fail() -> None:
    y = np.arange(200) % 2 == 1
    part = judged(y, np.where(y, 0.8, 0.2))
    assert (part.tables, part.findings[0].verdict) == ((), "pass")
    assert judged(np.ones(30, bool), np.linspace(0.2, 0.9, 30)).findings[0].value == 0.0
    assert judged(np.arange(40) % 2 == 1, np.full(40, 0.5)).findings[0].verdict != "fail"


def test_the_limit_of_the_recipe_is_held() -> None:
    y, p = calibrated(0, 0.995)
    y ^= np.random.default_rng(5).random(150) < 0.1
    limits: list[Any] = [0.03, 0.4, None]
    assert [judged(y, p, limit=limit).findings[0].verdict for limit in limits] == ["fail", "pass", "cannot tell"]
    assert CHECK.measure is None
