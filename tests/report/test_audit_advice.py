from __future__ import annotations

from typing import Any

import pytest
from tests.report import made_audit
from tests.report.made_audit import found, held, report

from insula.audit.run import ORDER
from insula.report import audit_advice
from insula.report.audit_advice import ADVICE, EMPTY, GRAVITY, NOTHING, OPEN, OTHERWISE, gravest, of_check, steps
from insula.report.audit_words import REASONS


def test_every_check_and_every_reason_has_its_advice() -> None:
    assert set(GRAVITY) == set(ORDER)
    assert set(ORDER) <= set(ADVICE)
    assert set(OPEN) == set(REASONS)
    for said in (*ADVICE.values(), *OPEN.values(), OTHERWISE, NOTHING, EMPTY):
        assert said[0].isupper()
        assert said.endswith(".")
        assert len(said) < 230


@pytest.mark.parametrize(
    ("check", "key"),
    [
        ("evidence/patients", "evidence/patients"),
        ("evidence/plan", "evidence"),
        ("marks/text", "marks/text"),
        ("marks/textile", "marks"),
        ("robustness/slices_cut/roc_auc", "robustness/slices"),
        ("robustness/blur/roc_auc", "robustness"),
        ("subgroups/sex=F/sensitivity", "subgroups"),
        ("shift/scale/A", "shift/scale"),
    ],
)
def test_the_longest_known_beginning_gives_the_advice(check: str, key: str) -> None:
    assert of_check(check) == ADVICE[key]


def test_calibration_of_a_group_and_unknown_checks_have_their_own() -> None:
    assert "probabilities are off" in of_check("subgroups/sex=F/calibration")
    assert of_check("mine/thing") == OTHERWISE
    assert of_check("evidences/x") == OTHERWISE


def test_of_each_kind_the_gravest_comes_before_the_second_of_any() -> None:
    some = [
        found("shift/prevalence", value=9.0, limit=2.0),
        *(found(f"subgroups/g{i}/roc_auc", value=0.2 + i / 100, limit=0.1) for i in range(20)),
        found("evidence/split", value=float("nan"), ends=None, limit=float("nan")),
        found("mine/thing", value=5.0, limit=0.0),
    ]
    failed: list[Any] = held(report(tuple(some)))["findings"]
    named = [one["check"] for one in gravest(failed)]
    assert named == [
        "evidence/split", "subgroups/g19/roc_auc", "shift/prevalence", "mine/thing", "subgroups/g18/roc_auc",
    ]  # fmt: skip
    assert len(gravest(failed, 100)) == len(some)


def test_a_guard_that_names_what_was_trained_on_comes_before_one_that_cannot_know() -> None:
    names = {"split": 0.0, "patients": 0.0, "files": 20.0, "pictures": 20.0}
    some = [found(f"evidence/{n}", value=v, ends=None, limit=float("nan")) for n, v in names.items()]
    failed: list[Any] = held(report(tuple(some)))["findings"]
    assert [one["check"].partition("/")[2] for one in gravest(failed)] == ["pictures", "files", "patients", "split"]


def test_each_step_is_told_once_and_failures_come_before_what_is_open() -> None:
    found = steps(held(report()))
    assert found[:2] == [ADVICE["evidence/patients"], ADVICE["baselines/border"]]
    assert len(found) == len(set(found)) == 5
    assert found[-1] == OPEN["chance"]
    assert steps(held(made_audit.crowded(verdict="fail"))) == [ADVICE["subgroups"]]


def test_without_a_failure_there_is_still_something_to_do() -> None:
    assert steps(held(made_audit.empty())) == [EMPTY]
    assert steps(held(report((found("skull/changed", "pass"),)))) == [NOTHING]
    assert audit_advice.gravest([]) == []
