from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics import decision_curve as dc
from insula.metrics import intervals


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10), st.integers(0, 3)), min_size=1, max_size=20),
    st.floats(0.01, 0.99),
)
def test_net_benefit_is_counted_over_the_rows_as_they_stand(rows: list[tuple[bool, int, int]], t: float) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 10
    times = np.array([r[2] for r in rows])
    truth, chance = np.repeat(y, times), np.repeat(p, times)
    got = dc.net_benefit(y, p, [t], times[None].astype(float))[0, 0]
    if len(truth) == 0:
        assert np.isnan(got)
        return
    tp, fp = (truth & (chance >= t)).sum(), (~truth & (chance >= t)).sum()
    assert got == pytest.approx(tp / len(truth) - fp / len(truth) * t / (1 - t))
    everyone = dc.treat_all(y, [t], times[None].astype(float))[0, 0]
    assert everyone == pytest.approx(truth.mean() - (1 - truth.mean()) * t / (1 - t))


def test_the_published_example_of_biopsies() -> None:
    # Vickers, van Calster and Steyerberg, BMJ 352:i6, 2016: 1,000 men, 75 of 200 treated... as counts of TP and FP
    y = np.repeat([True, True, False, False], [55, 20, 470, 455])
    p = np.repeat([0.9, 0.01, 0.9, 0.01], [55, 20, 470, 455])
    got = dc.net_benefit(y, p, [0.1], cl.once(1000))
    assert got[0, 0] == pytest.approx(0.055 - 0.47 / 9)


def test_the_curve_has_the_bands_of_the_row_by_row_bootstrap() -> None:
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 40, 90)
    y = rng.random(90) < 0.4
    p = np.clip(0.3 * y + 0.7 * rng.random(90), 0, 1)
    got = dc.curve(y, p, patients, (0.1, 0.5), replicates=300, seed=2)
    spread = np.concatenate([dc.net_benefit(y, p, [0.1, 0.5], w) for w in intervals.replicates(patients, 300, 2)])
    np.testing.assert_allclose([got.low, got.high], np.quantile(spread, [0.025, 0.975], axis=0))
    everyone = np.concatenate([dc.treat_all(y, [0.1, 0.5], w) for w in intervals.replicates(patients, 300, 2)])
    np.testing.assert_allclose([got.all_low, got.all_high], np.quantile(everyone, [0.025, 0.975], axis=0))
    gains = spread - np.maximum(everyone, 0.0)
    np.testing.assert_allclose([got.gain_low, got.gain_high], np.quantile(gains, [0.025, 0.975], axis=0))
    np.testing.assert_allclose(got.gain, np.array(got.model) - np.maximum(got.treat_all, 0.0))
    np.testing.assert_allclose(got.model, dc.net_benefit(y, p, [0.1, 0.5], cl.once(90))[0])
    np.testing.assert_allclose(got.standardised, np.array(got.model) / y.mean())
    assert (got.n, got.events, got.patients) == (90, y.sum(), len(np.unique(patients)))


def test_a_perfect_model_reaches_the_prevalence_and_beats_treating_all() -> None:
    y = np.arange(50) % 5 == 0
    got = dc.curve(y, y.astype(float), np.arange(50), (0.2, 0.6), replicates=200)
    assert got.model == pytest.approx((0.2, 0.2))
    assert got.standardised == pytest.approx((1.0, 1.0))
    assert got.treat_all == pytest.approx((0.0, 0.2 - 0.8 * 1.5))
    assert min(got.gain_low) > 0


def test_bad_thresholds_and_lists_are_refused() -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        dc.net_benefit(np.array([True]), np.array([0.5]), [1.0], cl.once(1))
    with pytest.raises(EvaluationError, match="equally long"):
        dc.curve([True], [0.1, 0.2], ["a"])
