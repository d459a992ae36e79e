from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.datasets import load_rossi
from lifelines.utils import concordance_index

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics import survival

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=14
)


@settings(max_examples=1000, deadline=None)
@given(ROWS)
def test_concordance_is_that_of_lifelines(rows: list[tuple[int, bool, int, int]]) -> None:
    time, event, risk, times = (np.array(column) for column in zip(*rows, strict=True))
    got = survival.concordance(time, event, risk, np.stack([np.ones(len(time)), times.astype(float)]))
    for value, repeats in zip(got, (np.ones(len(time), dtype=int), times), strict=True):
        t, e, r = (np.repeat(v, repeats) for v in (time, event, risk))
        try:
            want = concordance_index(t, -r, e) if len(t) else float("nan")
        except ZeroDivisionError:
            want = float("nan")
        assert value == pytest.approx(want, nan_ok=True)


def test_blocks_of_replicates_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    time, event, risk = rng.exponential(size=50), rng.random(50) < 0.6, rng.normal(size=50)
    w = rng.integers(0, 3, (40, 50)).astype(float)
    whole = survival.concordance(time, event, risk, w)
    monkeypatch.setattr(survival, "_BLOCK", 100)
    np.testing.assert_array_equal(survival.concordance(time, event, risk, w), whole)


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_baseline_and_survival_are_those_of_a_cox_model_in_lifelines() -> None:
    rossi = load_rossi()
    model = CoxPHFitter().fit(rossi, "week", "arrest")
    risk = model.predict_log_partial_hazard(rossi).to_numpy()
    got = survival.breslow(rossi["week"], rossi["arrest"] == 1, risk)
    want = model.baseline_cumulative_hazard_.iloc[:, 0]
    np.testing.assert_allclose(got.hazard, want.loc[list(got.times)], rtol=1e-9)
    horizons = [10.0, 26.0, 52.0]
    np.testing.assert_allclose(
        survival.survival(got, risk, horizons), model.predict_survival_function(rossi, times=horizons).T, rtol=1e-9
    )
    assert np.isnan(survival.survival(got, risk, [53.0])).all()
    assert (survival.survival(got, risk, [0.0]) == 1.0).all()


def test_a_baseline_needs_an_event_and_survives_large_risks() -> None:
    with pytest.raises(EvaluationError, match="Nobody had the event"):
        survival.breslow([1, 2], [False, False], [0.0, 0.0])
    near = survival.breslow([1, 2, 3], [True, True, True], [0.0, 1.0, 0.5])
    far = survival.breslow([1, 2, 3], [True, True, True], [700.0, 701.0, 700.5])
    np.testing.assert_allclose(np.array(far.hazard) * np.exp(700.0), near.hazard)


def reweighted(t: np.ndarray, e: np.ndarray, s: np.ndarray, horizon: float) -> float:
    """Graf's score one case after another, with the censoring curve of lifelines."""
    # deaths come before censorings of the same time, so a death leaves a hair earlier
    curve = KaplanMeierFitter().fit(np.where(e, t - 1e-6, t), ~e)
    total = 0.0
    for time, event, chance in zip(t, e, s, strict=True):
        if time <= horizon and event:
            total += chance**2 / float(curve.predict(time - 1e-3))
        elif time > horizon:
            total += (1 - chance) ** 2 / float(curve.predict(horizon))
    return total / len(t)


def test_the_brier_score_at_a_horizon_reweights_the_censored() -> None:
    rng = np.random.default_rng(1)
    t, e, s = rng.integers(1, 9, 60).astype(float), rng.random(60) < 0.6, rng.random(60)
    times = rng.integers(0, 3, 60)
    times[t > 6] += 1
    got = survival.brier_at(t, e, s, 5.0, np.stack([np.ones(60), times.astype(float)]))
    want = [reweighted(np.repeat(t, k), np.repeat(e, k), np.repeat(s, k), 5.0) for k in (1, times)]
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_without_censoring_it_is_the_plain_brier_score_and_beyond_follow_up_undefined() -> None:
    t, s = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.5, 0.6, 0.9])
    whole = np.ones(4, dtype=bool)
    assert survival.brier_at(t, whole, s, 2.5, cl.once(4))[0] == pytest.approx(((s - (t > 2.5)) ** 2).mean())
    assert survival.brier_at(t, whole, s, 9.0, cl.once(4))[0] == pytest.approx((s**2).mean())
    assert np.isnan(survival.brier_at(t, [True, True, False, False], s, 9.0, cl.once(4))[0])


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(EvaluationError, match="equally long"):
        survival.concordance([1.0], [True], [1.0, 2.0], cl.once(1))
    with pytest.raises(EvaluationError, match="not finite"):
        survival.concordance([np.nan], [True], [1.0], cl.once(1))


def test_a_frame_of_pandas_gives_what_arrays_give() -> None:
    frame = pd.DataFrame({"t": [3.0, 1.0, 2.0], "e": [True, True, False], "r": [0.1, 0.9, 0.4]})
    assert survival.concordance(frame["t"], frame["e"], frame["r"], cl.once(3))[0] == 1.0
