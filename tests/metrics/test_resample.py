from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from insula.metrics import classification as cl
from insula.metrics import interval_choice, regression, resample
from insula.metrics.interval_choice import Choice, Evidence

RNG = np.random.default_rng(0)
X = RNG.exponential(size=60)
ZERO = np.zeros(60)


def test_a_name_without_a_choice_has_the_bca_interval_of_scipy() -> None:
    got = resample.figure("unheard of", lambda w: regression.bias(ZERO, X, w), np.arange(60), 0, "", 20_000, 1)
    want = bootstrap((X,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    assert got.interval == pytest.approx(tuple(want.confidence_interval), abs=0.01)
    assert got.method == "bootstrap (BCa)"


def test_the_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    left = regression.bias(ZERO, X, resample.left_out(60))
    evidence = Evidence(X.mean(), np.zeros(0), left, 60, 60, 0)
    assert interval_choice.standard_error(evidence) == pytest.approx(X.std(ddof=1) / np.sqrt(60))
    assert resample.left_out(1001).shape == (0, 1001)


def test_above_a_thousand_patients_the_spread_of_the_replicates_is_the_error() -> None:
    x = RNG.normal(size=1500)
    got = resample.figure("bias", lambda w: regression.bias(np.zeros(1500), x, w), np.arange(1500), 0, "", 2000, 1)
    assert got.interval is not None
    error = x.std() / np.sqrt(1500)
    assert got.interval == pytest.approx((x.mean() - 1.96 * error, x.mean() + 1.96 * error), abs=0.1 * error)


def test_students_t_for_a_mean_and_on_the_log_scale() -> None:
    left = regression.bias(ZERO, X, resample.left_out(60))
    evidence = Evidence(float(X.mean()), np.ones(5), left, 60, 60, 10)
    low, high = interval_choice.ends(Choice("plain"), evidence) or (0, 0)
    error = X.std(ddof=1) / np.sqrt(60)
    assert (low, high) == pytest.approx((X.mean() - 2.001 * error, X.mean() + 2.001 * error), rel=1e-3)
    low, high = interval_choice.ends(Choice("log"), evidence) or (0, 0)
    assert np.sqrt(low * high) == pytest.approx(X.mean())
    assert np.log(high / X.mean()) == pytest.approx(2.001 * error / X.mean(), rel=1e-3)
    wider = interval_choice.ends(Choice("log", "rarest"), evidence) or (0, 0)
    assert wider[1] > high


def test_wilsons_form_is_wilsons_interval_for_a_share() -> None:
    hit = np.arange(40) < 10
    left = cl.ratio(10 - hit, np.full(40, 39))
    evidence = Evidence(0.25, np.ones(5), left, 40, 40, 10)
    assert interval_choice.score(0.25, np.sqrt(0.25 * 0.75 / 40), 1.959964) == pytest.approx(
        (0.141869, 0.401939), abs=1e-5
    )
    near = interval_choice.ends(Choice("score"), evidence)
    assert near == pytest.approx((0.1419, 0.4019), abs=0.01)


@pytest.mark.parametrize(
    ("form", "value"), [("auc", 1.0), ("score", 1.0), ("logit", 0.0), ("log", 0.0), ("fisher", 1.0)]
)
def test_a_figure_at_the_end_of_its_scale_has_no_interval_of_no_width(form: interval_choice.Form, value: float) -> None:
    flat = Evidence(value, np.full(9, value), np.full(9, value), 9, 9, 0)
    got = resample.judged(Choice(form), flat, (9, 9, 0))
    assert got.interval is None
    assert "samples agree" in got.reason


def test_an_area_of_1_has_newcombes_interval_where_the_classes_are_known() -> None:
    flat = Evidence(1.0, np.ones(9), np.ones(9), 9, 9, 4)
    got = resample.judged(Choice("auc"), flat, (9, 9, 4))
    assert got.method == "Newcombe"
    assert got.interval is not None
    assert got.interval[0] < 0.9


def test_too_few_patients_are_said_with_the_reason() -> None:
    most = np.array([np.nan, np.nan, 1.0])
    assert (
        "half of the bootstrap" in resample.judged(Choice("log"), Evidence(1.0, most, most, 3, 3, 1), (3, 3, 1)).reason
    )
    one = Evidence(0.5, np.ones(3), most, 3, 3, 1)
    two = Evidence(0.5, np.linspace(0.4, 0.6, 9), np.linspace(0.49, 0.51, 9), 9, 9, 2)
    assert "fewer than 3 patients of a class" in resample.judged(Choice("auc", "rarest"), two, (9, 9, 2)).reason
    assert resample.judged(Choice("auc"), two, (9, 9, 2)).interval is not None
    assert "a single patient decides" in resample.judged(Choice("log"), one, (3, 3, 1)).reason
    nothing = resample.figure("mae", lambda w: np.full(len(w), np.nan), ["a"], 0, "nobody was measured")
    assert (nothing.interval, nothing.reason) == (None, "nobody was measured")


def test_a_note_travels_with_the_figure() -> None:
    evidence = Evidence(0.5, np.linspace(0.4, 0.6, 99), np.linspace(0.49, 0.51, 9), 9, 9, 0)
    assert resample.judged(Choice("log", note="held 91%"), evidence, (9, 9, 0)).note == "held 91%"


def test_a_mean_of_shares_is_no_share() -> None:
    assert interval_choice.of("sensitivity").form == "share"
    assert interval_choice.of("sensitivity", averaged=True).form == "score"
    assert interval_choice.of("roc_auc", averaged=True) == Choice("score", "rarest")
    assert interval_choice.of("brier", averaged=True) == interval_choice.of("brier")
