from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep
from tests.audit.made_groups import ground, nothing_measured, sample, scores

from insula.audit import subgroups
from insula.audit.ground import Ground
from insula.audit.part import Part
from insula.audit.subgroups import Looked
from insula.core.types import Finding, Volume
from insula.metrics.intervals import Figure


def judge(on: Ground) -> Part:
    return subgroups.judge(on, nothing_measured(on))


def of(part: Part, check: str) -> Finding:
    return next(finding for finding in part.findings if finding.check == f"subgroups/{check}")


def failed(part: Part | Looked) -> list[str]:
    return [finding.check for finding in part.findings if finding.verdict == "fail"]


def look(on: Ground) -> Looked:
    return subgroups.look(on, nothing_measured(on))


def test_a_planted_group_is_found_and_named_first() -> None:
    part = judge(sample(1, fails=lambda who: who["sex"] == "F"))
    assert part.findings[0].check == "subgroups/sex=F/sensitivity"
    assert part.findings[0].verdict == "fail"
    assert part.findings[0].interval is not None
    assert part.findings[0].interval[0] > 0.1
    assert "lower" in part.findings[0].evidence
    assert part.notes[0].startswith("Worst of")
    assert not any("sex=M" in check for check in failed(part))


def test_planted_scanners_are_found_in_nine_of_ten_samples() -> None:
    found = [failed(look(sample(seed, fails=lambda who: who["scanner"] == "S1"))) for seed in range(10)]
    assert sum("subgroups/scanner=S1/sensitivity" in checks for checks in found) >= 9


def test_a_model_that_treats_all_alike_fails_nothing_in_19_of_20_samples() -> None:
    parts = [look(sample(seed)) for seed in range(20)]
    assert sum(not failed(part) for part in parts) >= 19
    assert {finding.verdict for part in parts for finding in part.findings} <= {"pass", "cannot tell", "fail"}


def test_without_a_margin_it_still_fails_nothing_in_19_of_20_samples() -> None:
    """Limits of 0: only the correction for the number of comparisons holds false alarms down."""
    none: dict[str, Any] = {"sensitivity": 0.0, "specificity": 0.0, "roc_auc": 0.0, "calibration": 0.0}
    assert sum(not failed(look(sample(seed, n=200, **none))) for seed in range(100, 120)) >= 19


def test_few_cases_are_never_a_pass() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(200) % 2 == 0
    who = [{"site": "small" if i < 30 else "large"} for i in range(200)]
    part = judge(ground(y, scores(y, rng), who))
    for figure in ("sensitivity", "specificity", "roc_auc", "calibration"):
        finding = of(part, f"site=small/{figure}")
        assert finding.verdict == "cannot tell"
        assert math.isnan(finding.value)
        assert finding.interval is None
        assert "not enough cases: 15 " in finding.evidence
        assert "not enough cases" in of(part, f"site=large/{figure}").evidence
    row = next(row for row in part.tables[0].rows if row[0] == "site=small")
    assert row[1:3] == (30, 15)
    assert "not enough cases" in row


def test_positives_are_enough_for_sensitivity_alone() -> None:
    rng = np.random.default_rng(3)
    y = np.array([True] * 30 + [False] * 5 + [True] * 60 + [False] * 60)
    who = [{"site": "A" if i < 35 else "B"} for i in range(len(y))]
    part = judge(ground(y, scores(y, rng), who))
    assert not math.isnan(of(part, "site=A/sensitivity").value)
    assert math.isnan(of(part, "site=A/specificity").value)
    assert "5 negatives" in of(part, "site=A/roc_auc").evidence


def test_the_value_is_what_all_others_have_more() -> None:
    y = np.array([True] * 60 + [False] * 60)
    p = np.array([0.9] * 12 + [0.1] * 18 + [0.9] * 27 + [0.1] * 3 + [0.2] * 60)
    who = [{"site": "A" if i % 60 < 30 else "B"} for i in range(120)]
    part = judge(ground(y, p, who))
    found = of(part, "site=A/sensitivity")
    assert found.value == pytest.approx(0.5)
    expected = confint_proportions_2indep(27, 30, 12, 30, method="newcomb", compare="diff")
    assert found.interval == pytest.approx(expected, abs=1e-9)
    assert of(part, "site=B/sensitivity").value == pytest.approx(-0.5)
    assert of(part, "site=B/sensitivity").verdict == "pass"
    row = next(row for row in part.tables[1].rows if row[0] == "site=A")
    assert isinstance(row[1], Figure)
    assert row[1].value == pytest.approx(-0.5)


def test_several_cases_of_a_patient_count_once() -> None:
    rng = np.random.default_rng(5)
    y = np.repeat(rng.random(100) < 0.5, 3)
    owners = [f"p{i // 3:03}" for i in range(300)]
    who = [{"sex": "FM"[i // 3 % 2], "site": "AB"[i % 2 if i < 30 else i // 150]} for i in range(300)]
    part = judge(ground(y, scores(y, rng), who, owners, events=5))
    counts = {row[0]: row[1] for row in part.tables[0].rows}
    assert counts["all"] == 100
    assert counts["sex=F"] == counts["sex=M"] == 50
    assert counts["site=several"] == 10


def test_patients_of_whom_nothing_is_known_are_a_group_that_may_fail() -> None:
    rng = np.random.default_rng(6)
    y = np.arange(300) % 2 == 0
    unknown = np.arange(300) % 3 == 0
    who = [{"sex": "" if unknown[i] else "FM"[i % 5 % 2]} for i in range(300)]
    assert "subgroups/sex=not known/sensitivity" in failed(judge(ground(y, scores(y, rng, unknown), who)))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_more_classes_are_judged_by_the_positive_one(kind: str) -> None:
    rng = np.random.default_rng(7)
    y = np.arange(300) % 2 == 0
    who = [{"sex": "FM"[i // 2 % 2]} for i in range(300)]
    missed = np.arange(300) // 2 % 2 == 0
    part = judge(ground(y, scores(y, rng, missed), who, kind=kind))
    assert part.findings[0].check == "subgroups/sex=F/sensitivity"
    assert part.findings[0].verdict == "fail"


def test_the_group_that_is_off_is_named_for_calibration_not_the_others() -> None:
    rng = np.random.default_rng(8)
    n = 600
    x = rng.random(n)
    off = np.arange(n) % 3 == 0
    y = rng.random(n) < np.where(off, x**3, x)
    part = judge(ground(y, x, [{"site": "C" if o else "AB"[i % 2]} for i, o in enumerate(off)]))
    checks = [check for check in failed(part) if "calibration" in check]
    assert checks == ["subgroups/site=C/calibration"]
    assert of(part, "site=C/calibration").value == pytest.approx(0.25, abs=0.06)  # the mean of x - x³
    assert "+0.0" in of(part, "site=C/calibration").evidence


def test_the_gap_between_groups_stands_beside_what_chance_brings() -> None:
    part = judge(sample(11, by=("scanner",)))
    table = next(table for table in part.tables if table.title.startswith("Between"))
    for row in table.rows:
        assert row[0] == "scanner"
        assert isinstance(row[3], Figure)
        assert row[3].interval is not None
        low, high = row[3].interval
        assert low - 1e-9 <= row[3].value <= high + 1e-9
        assert isinstance(row[4], float)
    differences = [row for row in table.rows if "by" not in str(row[2])]
    assert all(isinstance(row[4], float) and row[4] > 0.03 for row in differences)


def test_the_threshold_table_tells_who_does_not_reach_the_aim() -> None:
    part = judge(sample(1, n=400, fails=lambda who: who["sex"] == "F", by=("sex",)))
    table = next(table for table in part.tables if table.title.startswith("At the threshold"))
    rows = {row[0]: row for row in table.rows}
    assert rows["sex=F"][2] == "no"
    assert rows["sex=M"][2] in ("yes", "cannot tell")
    assert isinstance(rows["sex=F"][3], float)
    assert rows["sex=F"][3] < 0.3
    assert "a sensitivity of 0.8" in table.note


def test_a_cohort_without_columns_says_so() -> None:
    y = np.arange(60) % 2 == 0
    part = judge(ground(y, scores(y, np.random.default_rng(0)), [{}] * 60))
    assert part.findings == ()
    assert part.tables == ()
    assert "nothing can be said" in part.notes[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("by", ("sex",)),
        ("age", (50,)),
        ("events", 60),
        ("roc_auc", None),
        ("sensitivity", 0.01),
        ("specificity", None),
        ("calibration", 0.5),
        ("intersections", False),
    ],
)
def test_every_key_changes_what_is_found(key: str, value: Any) -> None:
    on, changed = sample(4), sample(4, **{key: value})
    assert repr(look(on).findings) != repr(look(changed).findings)


def test_a_figure_without_a_limit_is_measured_and_not_judged() -> None:
    part = judge(sample(1, fails=lambda who: who["sex"] == "F", sensitivity=None))
    found = of(part, "sex=F/sensitivity")
    assert found.value > 0.3
    assert math.isnan(found.limit)
    assert found.verdict == "cannot tell"


def test_a_column_that_does_not_exist_is_told() -> None:
    found = of(judge(sample(1, by=("sex", "race"))), "race")
    assert found.verdict == "cannot tell"
    assert "audit.subgroups.by" in found.evidence


def test_image_quality_is_measured_and_makes_groups() -> None:
    rng = np.random.default_rng(9)
    y = np.arange(240) % 2 == 0
    noise = rng.uniform(2.0, 30.0, 240)
    on = ground(y, scores(y, rng, noise > 20), [{}] * 240)
    table = nothing_measured(on)
    assert subgroups.CHECK.measure is not None
    array = np.full((1, 3, 64, 64), 40.0, np.float32)
    for scale in (2.0, 12.0):
        noisy = array + rng.normal(0, scale, array.shape).astype(np.float32)
        scan = Volume(noisy, np.diag([1.0, 1.0, 3.0, 1.0]), "HU", "CT", "made")
        measured = subgroups.CHECK.measure(on, on.cases[0], {"ct": (scan,)})
        assert measured["subgroups/noise"] == pytest.approx(scale, rel=0.15)
    air = Volume(array * 0 - 1000, np.eye(4), "HU", "CT", "made")
    assert math.isnan(subgroups.CHECK.measure(on, on.cases[0], {"ct": (air,)})["subgroups/noise"])
    table["subgroups/noise"] = noise
    part = subgroups.judge(on, table)
    assert part.findings[0].check.startswith("subgroups/noise=above")
    assert part.findings[0].verdict == "fail"


def test_quality_is_not_measured_where_no_group_uses_it() -> None:
    assert subgroups.CHECK.measure is not None
    on = sample(1, n=60, by=("sex",))
    assert subgroups.CHECK.measure(on, on.cases[0], {}) == {}


@pytest.mark.parametrize("always", [0.1, 0.9])
def test_a_model_with_one_answer_for_all_fails_nobody(always: float) -> None:
    y = np.arange(200) % 2 == 0
    part = judge(ground(y, np.full(200, always), [{"sex": "FM"[i // 2 % 2]} for i in range(200)]))
    assert failed(part) == []
    rows = {row[2]: row[3] for row in part.tables[2].rows}
    parity = rows["called positive, smallest by largest"]
    assert isinstance(parity, Figure)
    assert math.isnan(parity.value) == (always < 0.5)
