from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from insula.core.errors import EvaluationError
from insula.metrics import proportion


def test_one_row_a_patient_has_wilsons_interval_of_the_rows() -> None:
    hit, among = np.arange(40) < 12, np.arange(40) < 30
    got = proportion.figure(hit, among, np.arange(40), "none")
    assert got.interval == pytest.approx(proportion_confint(12, 30, method="wilson"))
    assert (got.value, got.events, got.n, got.patients, got.method) == (0.4, 12, 30, 30, "modified Wilson")


def test_copied_rows_are_worth_their_patients_less_students_t() -> None:
    hit = np.arange(30) % 3 == 0
    once = proportion.figure(hit, np.ones(30, bool), np.arange(30), "none")
    copied = proportion.figure(np.repeat(hit, 4), np.ones(120, bool), np.repeat(np.arange(30), 4), "none")
    assert once.interval is not None
    assert copied.interval is not None
    width = [f.interval[1] - f.interval[0] for f in (once, copied) if f.interval]
    assert width[0] < width[1] < 1.1 * width[0]
    assert copied.value == pytest.approx(once.value)
    assert (copied.n, copied.patients) == (120, 30)


def test_rows_that_agree_no_more_within_patients_than_between_keep_their_number() -> None:
    hit = np.tile([True, False], 40)  # every patient is right once and wrong once
    got = proportion.figure(hit, np.ones(80, bool), np.repeat(np.arange(40), 2), "none")
    assert got.interval is not None
    few = proportion_confint(20, 40, method="wilson")
    assert got.interval[0] >= few[0]
    whole = proportion.figure(np.ones(80, bool), np.ones(80, bool), np.repeat(np.arange(40), 2), "none")
    assert whole.interval == pytest.approx(proportion_confint(40, 40, method="wilson"))  # 40 of 40 patients


def test_a_share_of_no_row_says_so_and_unequal_lists_are_refused() -> None:
    got = proportion.figure([True], [False], ["a"], "no row at all")
    assert np.isnan(got.value)
    assert (got.interval, got.reason) == (None, "no row at all")
    with pytest.raises(EvaluationError, match="equal lists"):
        proportion.figure([True], [True, False], ["a"], "")
