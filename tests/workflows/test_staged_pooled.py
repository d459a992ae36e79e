"""Differences of two stages over several seeds, as the page of the proof has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scripts import staged_audit_pooled as pooled
from scripts.staged_audit_pooled import Told

from insula.metrics.compare import paired_bootstrap

N = 120
KEYS = [f"p{i:03}" for i in range(N)]
Y = np.arange(N) < 60
DRAW = np.random.default_rng(4)
EARLIER = DRAW.random((3, N)) < np.where(Y, 0.9, 0.3)
LATER = EARLIER & (DRAW.random((3, N)) < np.where(Y, 0.97, 0.5))


def audit(*called: tuple[str, Any]) -> Told:
    return {"answers": {name: {"patients": KEYS, "y": Y.tolist(), "called": row.tolist()} for name, row in called}}


KEPT = [audit(("a", first), ("b", second)) for first, second in zip(EARLIER, LATER, strict=True)]


def test_the_share_of_false_positives_is_a_mean_over_seeds_with_the_error_of_paired_means() -> None:
    found = pooled.alarms(KEPT, "b", "a")
    of_patients = (LATER[:, ~Y].astype(float) - EARLIER[:, ~Y]).mean(axis=0)
    assert found.gap.second == pytest.approx(EARLIER[:, ~Y].mean())
    assert found.gap.difference.value == pytest.approx(of_patients.mean())
    low, high = found.gap.difference.interval or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(2.0 * of_patients.std(ddof=1) / np.sqrt(60), rel=0.05)
    assert found.sign == -1
    assert found.seeds == pytest.approx((LATER[:, ~Y].mean(axis=1) - EARLIER[:, ~Y].mean(axis=1)).tolist())
    assert found.by_seed == ", ".join(f"−{-100 * gap:.1f}" for gap in found.seeds)


def test_one_group_alone_counts_where_it_is_asked_for() -> None:
    group = {key: i >= 90 for i, key in enumerate(KEYS)}
    assert pooled.alarms(KEPT, "b", "a", group).gap.first == pytest.approx(LATER[:, 90:].mean())


def test_the_sensitivity_is_of_the_positives() -> None:
    found = pooled.found(KEPT, "b", "a")
    assert (found.gap.second, found.gap.first) == pytest.approx((EARLIER[:, Y].mean(), LATER[:, Y].mean()))


def test_the_precision_is_the_mean_of_each_seeds_own() -> None:
    found = pooled.precision(KEPT, "b", "a")
    assert found.gap.first == pytest.approx(np.mean([Y[row].mean() for row in LATER]))
    assert found.sign == 1


def test_youdens_index_weighs_both_classes_alike() -> None:
    found = pooled.youden(KEPT, "b", "a")
    assert found.gap.first == pytest.approx(LATER[:, Y].mean() - LATER[:, ~Y].mean())
    assert found.sign == 1


def test_no_change_has_an_interval_without_a_sign() -> None:
    swapped = [audit(("a", EARLIER[0]), ("b", EARLIER[1]))]
    assert pooled.found(swapped, "b", "a").sign == 0


def test_a_change_says_its_shares_and_ends_with_true_minus_signs() -> None:
    gap = paired_bootstrap(lambda w: 0.1 + 0 * w[:, 0], lambda w: 0.2 + 0 * w[:, 0], KEYS, 60)
    assert str(pooled.Pooled(gap, (-0.1,))) == "20.0% → 10.0%, −10.0 points"
    said = str(pooled.alarms(KEPT, "b", "a"))
    assert said.count("−") == 3
    assert "-" not in said


def test_staged_audits_without_a_stage_are_left_out() -> None:
    assert pooled.with_both([*KEPT, audit(("a", EARLIER[0]))], "b", "a") == KEPT


def test_other_patients_are_not_pooled() -> None:
    other = {"answers": {name: {**one, "patients": KEYS[::-1]} for name, one in KEPT[0]["answers"].items()}}
    with pytest.raises(SystemExit, match="same test patients"):
        pooled.found([*KEPT, other], "b", "a")
