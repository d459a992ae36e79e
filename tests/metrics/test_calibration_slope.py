from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t
from statsmodels.api import GLM, add_constant, families

from insula.core.errors import EvaluationError
from insula.metrics import calibration_slope

RNG = np.random.default_rng(0)
PATIENTS = RNG.integers(0, 60, 200)
P = RNG.uniform(0.02, 0.98, 200)
Y = RNG.random(200) < expit(-0.5 + 0.7 * logit(P))


def test_slope_and_intercept_are_those_of_statsmodels_with_its_variance_over_clusters() -> None:
    x = logit(P)
    slope = GLM(Y, add_constant(x), family=families.Binomial()).fit()
    intercept = GLM(Y, np.ones(200), offset=x, family=families.Binomial()).fit()
    rarer = min(len(np.unique(PATIENTS[Y])), len(np.unique(PATIENTS[~Y])))
    for got, want in (
        (calibration_slope.slope(Y, P, PATIENTS), slope),
        (calibration_slope.intercept(Y, P, PATIENTS), intercept),
    ):
        assert got.value == pytest.approx(want.params[-1], rel=1e-6)
        groups = np.unique(PATIENTS, return_inverse=True)[1]
        robust = GLM(Y, want.model.exog, offset=x if want is intercept else None, family=families.Binomial()).fit(
            cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
        )
        patients = groups.max() + 1
        error = robust.bse[-1] * np.sqrt(patients / (patients - 1))
        assert got.interval == pytest.approx(
            (got.value - t.ppf(0.975, rarer - 1) * error, got.value + t.ppf(0.975, rarer - 1) * error), rel=1e-5
        )
        assert (got.patients, got.n, got.events) == (patients, 200, Y.sum())


def test_shares_that_are_the_probabilities_have_slope_1_and_intercept_0() -> None:
    p = np.repeat([0.2, 0.5, 0.8], [10, 10, 10])
    y = np.concatenate([np.arange(10) < hits for hits in (2, 5, 8)])
    assert calibration_slope.slope(y, p, np.arange(30)).value == pytest.approx(1.0)
    assert calibration_slope.intercept(y, p, np.arange(30)).value == pytest.approx(0.0, abs=1e-9)
    extreme = expit(2 * logit(p))
    assert calibration_slope.slope(y, extreme, np.arange(30)).value == pytest.approx(0.5)
    shifted = expit(logit(p) + 1)
    assert calibration_slope.intercept(y, shifted, np.arange(30)).value < -0.9


@pytest.mark.parametrize(
    ("y", "p", "reason"),
    [
        ([True, True, True, False, False, False], [0.9, 0.8, 0.7, 0.3, 0.2, 0.1], "separate"),
        ([True, True, True, False, False, False], [0.5] * 6, "all the same"),
        ([True, True, False, False, False, False], [0.9, 0.3, 0.7, 0.3, 0.2, 0.1], "fewer than 3 patients"),
    ],
)
def test_what_has_no_slope_says_why(y: list[bool], p: list[float], reason: str) -> None:
    got = calibration_slope.slope(y, p, np.arange(6))
    assert np.isnan(got.value)
    assert got.interval is None
    assert reason in got.reason


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="equally long"):
        calibration_slope.slope([True], [0.1, 0.2], [1])
