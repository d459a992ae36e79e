from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import roc_auc_score

from insula.evaluate import chance
from insula.evaluate.evidence import Permutation
from insula.metrics.intervals import Figure


def test_the_permutation_test_agrees_with_scipys() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) < 16
    p = np.round(rng.random(40) + 0.25 * y, 1)  # with ties
    got = chance.permutation(y, p, 4000, 1)
    assert got.roc_auc == pytest.approx(roc_auc_score(y, p))
    want = permutation_test(
        (p[y], p[~y]),
        lambda a, b: roc_auc_score(np.arange(40) < 16, np.concatenate([a, b])),
        permutation_type="independent",
        alternative="greater",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    )
    assert got.p_value == pytest.approx(want.pvalue, abs=0.015)
    low, high = np.quantile(want.null_distribution, [0.025, 0.975])
    assert got.low == pytest.approx(low, abs=0.02)
    assert got.high == pytest.approx(high, abs=0.02)


def test_few_patients_can_be_shuffled_in_few_ways() -> None:
    got = chance.permutation([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 20000, 0)
    assert got.p_value == pytest.approx(1 / 6, abs=0.01)  # 1 of 4-choose-2 orders is as good
    assert (got.low, got.high) == (0.0, 1.0)


def test_one_class_is_no_test() -> None:
    assert chance.permutation([1, 1], [0.1, 0.2]) == Permutation(None, None, None, None, 0)


@pytest.mark.parametrize(
    ("value", "interval", "verdict"),
    [(0.52, (0.41, 0.63), "pass"), (0.7, (0.58, 0.8), "fail"), (0.3, (0.2, 0.4), "fail"), (0.5, None, "cannot tell")],
)
def test_a_run_on_shuffled_labels_must_look_like_chance(
    value: float, interval: tuple[float, float] | None, verdict: str
) -> None:
    found = chance.guard(Figure(value, interval, "", 10, 10, 5, "" if interval else "too few"))
    assert (found.name, found.verdict) == ("chance", verdict)
    assert math.isfinite(value)
