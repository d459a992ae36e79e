from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from sklearn.calibration import calibration_curve

from insula.core.errors import EvaluationError
from insula.metrics import calibration
from insula.metrics.probabilities import Kind, from_logits


def calibrated(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels whose observed shares are exactly the probabilities, so that the best temperature is 1."""
    if kind == "multilabel":
        shares = {0.2: (1, 5), 0.5: (2, 4), 0.9: (9, 10)}
        z = np.concatenate([np.full((n, 1), logit(p)) for p, (_, n) in shares.items()])
        y = np.concatenate([np.arange(n)[:, None] < hits for hits, n in shares.values()])
        return z, y
    counts = np.array([[5, 3, 2], [1, 1, 8], [2, 6, 2]])
    z = np.repeat(np.log(counts / 10), 10, axis=0)
    y = np.concatenate([np.eye(3, dtype=bool)[np.repeat(np.arange(3), row)] for row in counts])
    return z, y


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("k", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_the_factor_that_made_the_logits_overconfident(kind: Kind, k: float) -> None:
    z, y = calibrated(kind)
    assert calibration.fit_temperature(k * z, y, kind) == pytest.approx(k, rel=1e-4)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("margin", [0.1, 2.0, 40.0, 1000.0])
def test_classes_without_one_error_leave_the_probabilities_alone(kind: Kind, margin: float) -> None:
    y = np.eye(3, dtype=bool)[np.arange(30) % 3]
    z = np.where(y, margin, -margin) + np.random.default_rng(0).uniform(-0.05, 0.05, y.shape)
    assert calibration.fit_temperature(z, y, kind) == 1.0


def test_one_error_among_many_keeps_the_temperature_from_1() -> None:
    z, y = np.array([[3.0], [3.0], [-3.0], [3.0]]), np.array([[True], [True], [False], [False]])
    fitted = calibration.fit_temperature(z, y, "multilabel")
    assert from_logits([3.0], fitted, "multilabel")[0] == pytest.approx(0.75, abs=1e-4)  # three of four are right


@pytest.mark.parametrize(
    ("z", "y", "said"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), "equal tables"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one row"),
        (np.array([[np.nan, 0.0]]), np.array([[1, 0]]), "not finite"),
        (np.zeros((1, 2)), np.array([[1, 1]]), "several of the exclusive classes"),
        (np.zeros((1, 2)), np.array([[0, 0]]), "no or several"),
    ],
)
def test_what_cannot_be_fitted_is_refused(z: np.ndarray, y: np.ndarray, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        calibration.fit_temperature(z, y, "multiclass")


def test_the_calibration_error_of_four_cases_worked_by_hand() -> None:
    y, p = [0, 1, 1, 1], [0.1, 0.2, 0.8, 0.9]
    # two bins: |(0 - 0.1) + (1 - 0.2)| = 0.7 and |(1 - 0.8) + (1 - 0.9)| = 0.3, over 4 cases
    assert calibration.ece(y, p, count=2) == pytest.approx([0.25])
    # the second case left out and the first taken twice: 0.2 and 0.3, over 4
    assert calibration.ece(y, p, np.array([[2.0, 0.0, 1.0, 1.0]]), count=2) == pytest.approx([0.125])


def test_the_points_are_those_of_scikit_learns_quantile_bins() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(200)
    y = rng.random(200) < p**2
    got = calibration.reliability(y, p, count=10)
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    assert got.count == (20,) * 10
    np.testing.assert_allclose(got.predicted, predicted)
    np.testing.assert_allclose(got.observed, observed)
    assert sum(got.positives) == y.sum()
    assert calibration.ece(y, p, count=10)[0] == pytest.approx(np.abs(observed - predicted).mean())


@pytest.mark.parametrize(
    ("n", "expected"), [(1, 2), (8, 2), (18, 3), (60, 4), (200, 6), (857, 9), (858, 10), (9999, 10)]
)
def test_few_cases_are_put_in_few_bins(n: int, expected: int) -> None:
    assert calibration.bin_count(n) == expected
    if n > 1:
        points = calibration.reliability(np.arange(n) % 2, np.arange(n) / n)
        assert len(points.count) == expected
        assert max(points.count) - min(points.count) <= 1


def test_few_bins_bring_the_error_of_few_cases_nearer_to_the_truth() -> None:
    """A calibrated model has an error of 0; what is shown for it is chance, and ten bins hold more of that."""
    rng = np.random.default_rng(8)
    few, ten = [], []
    for _ in range(200):
        p = rng.uniform(0.05, 0.95, 18)
        y = rng.random(18) < p
        few.append(calibration.ece(y, p)[0])
        ten.append(calibration.ece(y, p, count=10)[0])
    assert np.mean(few) < 0.6 * np.mean(ten)


def test_equal_probabilities_share_a_bin_and_no_bin_is_empty() -> None:
    p = np.array([0.2] * 7 + [0.6, 0.7, 0.8])
    index = calibration.bins(p, 5)
    assert len(set(index[:7])) == 1
    assert set(np.diff(np.unique(index))) == {1}
    assert calibration.reliability(np.ones(10), p, 5).count[0] == 7


def scattered(true: float, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of ten bins and their replicates, around true gaps that add up to `true`."""
    noise = 0.3 / np.sqrt(rows)
    gap = np.tile([true / 10, -true / 10], 5) + noise * rng.normal(size=10)
    return gap, gap + noise * rng.normal(size=(1000, 10))


@pytest.mark.parametrize(("true", "lost"), [(0.0, 150), (0.1, 50), (0.4, 0)])
def test_the_interval_of_the_calibration_error_holds_the_truth_where_percentiles_do_not(true: float, lost: int) -> None:
    rng = np.random.default_rng(3)
    held, plain = 0, 0
    for _ in range(200):
        gap, replicates = scattered(true, 100, rng)
        low, high = calibration.ece_ends(gap, replicates) or (np.nan, np.nan)
        held += low <= true <= high
        a, b = np.quantile(np.abs(replicates).sum(axis=1), [0.025, 0.975])
        plain += a <= true <= b
    assert held >= 178
    assert 200 - plain >= lost  # by percentiles, the more so the smaller the error is


def test_the_interval_of_a_large_calibration_error_excludes_0_and_undefined_replicates_are_left_out() -> None:
    gap, replicates = scattered(1.0, 400, np.random.default_rng(0))
    low, high = calibration.ece_ends(gap, replicates) or (np.nan, np.nan)
    assert 0.5 < low < np.abs(gap).sum() < high < 1.5
    replicates[:400] = np.nan
    some = calibration.ece_ends(gap, replicates)
    assert some == pytest.approx((low, high), abs=0.05)
    replicates[:600] = np.nan
    assert calibration.ece_ends(gap, replicates) is None


def test_an_error_below_what_chance_would_show_reaches_down_to_0() -> None:
    gap, replicates = scattered(0.0, 100, np.random.default_rng(0))
    low, high = calibration.ece_ends(gap * 0.01, replicates - gap) or (np.nan, np.nan)
    assert low == 0.0
    assert high >= 0.0
