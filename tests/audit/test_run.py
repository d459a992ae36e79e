from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.audit.made_looks import Looks, ground, head, middle, recipe

from insula.audit import run
from insula.audit.ground import Ground
from insula.audit.part import Check, Part
from insula.audit.run import AUDITS, ORDER, audit, find
from insula.core import registry
from insula.core.errors import UnsuitableScanError, UsageError
from insula.core.types import Case, Finding
from insula.evaluate.outcome import Failure
from insula.infer.predict import Scans

N = 6
POSITIVE = [i % 2 == 1 for i in range(N)]
SEEN: list[str] = []


def see(ground: Ground, case: Case, scans: Scans) -> dict[str, float]:
    SEEN.append(case.key)
    return {"see/mean": float(scans["ct"][0].array.mean()), "see/none": math.nan}


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    values = table["see/mean"] if "see/mean" in table else pd.Series(dtype=float)
    told = f"{int(values.notna().sum())} of {len(table)}"
    return Part("see", "Seen", (Finding("see/mean", float(values.mean()), None, 0.0, "pass", told),))


CHECK = Check("see", "Seen", judge, see)


@pytest.fixture
def made() -> Ground:
    SEEN.clear()
    return ground(POSITIVE, [head(i, size=24, slices=1) for i in range(N)], middle)


def stops(after: int) -> Any:
    """Progress that is killed before the case of this number."""

    def through(cases: Sequence[Case]) -> Iterator[Case]:
        for number, case in enumerate(cases):
            if number == after:
                raise KeyboardInterrupt
            yield case

    return through


def test_every_case_is_measured_once_and_stands_in_its_row(made: Ground, tmp_path: Path) -> None:
    report = audit(made, [CHECK], tmp_path)
    assert [f"c{i:02}" for i in range(N)] == SEEN
    looks = made.predictor
    assert isinstance(looks, Looks)
    means = [looks.held[key]["ct"][0].array.mean() for key in SEEN]
    assert report.table["see/mean"].tolist() == pytest.approx(means)
    assert report.table["see/none"].isna().all()
    assert report.table["case"].tolist() == SEEN
    assert report.facts["checks"] == ["see"]
    assert report.facts["patients"] == N
    assert report.facts["positives"] == 3


def test_an_audit_that_was_killed_goes_on_with_the_rest_and_gives_the_same_table(made: Ground, tmp_path: Path) -> None:
    whole = audit(made, [CHECK])
    SEEN.clear()
    with pytest.raises(KeyboardInterrupt):
        audit(made, [CHECK], tmp_path, stops(4))
    assert SEEN == ["c00", "c01", "c02", "c03"]
    SEEN.clear()
    again = audit(made, [CHECK], tmp_path)
    assert SEEN == ["c04", "c05"]
    pd.testing.assert_frame_equal(again.table, whole.table)
    assert again.to_dict() == whole.to_dict()
    SEEN.clear()
    audit(made, [CHECK], tmp_path)
    assert SEEN == []


@pytest.mark.parametrize(
    "change", ["seed", "bundle", "limit", "checks", "networks", "labels", "answers", "paths", "root", "version"]
)
def test_what_a_measure_rests_on_makes_it_anew(
    made: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    audit(made, [CHECK], tmp_path)
    SEEN.clear()
    checks, other = [CHECK], made
    if change == "seed":
        other = replace(made, seed=1)
    elif change == "bundle":
        made.bundle.id = "another"  # type: ignore[misc]
    elif change == "limit":
        made.bundle.recipe = recipe(skull={"roc_auc": 0.06})  # type: ignore[misc]
    elif change == "checks":
        checks = [CHECK, replace(CHECK, name="other")]
    elif change == "networks":
        other = replace(made, drawn=lambda asked: {})
    elif change in ("labels", "answers"):
        shown = made.report.table.copy()
        if change == "labels":
            shown[["y_normal", "y_stroke"]] = shown[["y_stroke", "y_normal"]].to_numpy()
        else:
            shown[["p_normal", "p_stroke"]] = shown[["p_stroke", "p_normal"]].to_numpy()
        other = replace(made, report=replace(made.report, table=shown))
    elif change == "paths":
        moved = replace(made.cases[0], scans={"ct": replace(made.cases[0].scans["ct"], paths=("elsewhere",))})
        other = replace(made, cases=(moved, *made.cases[1:]))
    elif change == "root":
        other = replace(made, cohort=replace(made.cohort, root="/elsewhere"))
    else:
        monkeypatch.setattr(run, "__version__", "0.0.0")
    audit(other, checks, tmp_path)
    assert SEEN[:: len(checks)] == [f"c{i:02}" for i in range(N)]


def test_a_case_that_cannot_be_read_is_an_entry_and_a_row_of_nan_and_is_tried_again(
    made: Ground, tmp_path: Path
) -> None:
    looks = made.predictor
    assert isinstance(looks, Looks)
    looks.unreadable = {"c02"}
    report = audit(made, [CHECK], tmp_path)
    assert [(f.case, f.reason, f.rejected, f.patient) for f in report.failures] == [
        ("c02", "c02 is cut short", False, "c02")
    ]
    assert report.table["see/mean"].isna().tolist() == [i == 2 for i in range(N)]
    assert report.findings[0].evidence == f"{N - 1} of {N}"
    SEEN.clear()
    looks.unreadable = set()
    whole = audit(made, [CHECK], tmp_path)
    assert SEEN == ["c02"]
    assert whole.failures == ()
    assert whole.table["see/mean"].notna().all()


@pytest.mark.parametrize("error", [ValueError("odd"), UnsuitableScanError("odd"), MemoryError(), OSError("odd")])
def test_a_check_that_fails_on_a_case_leaves_what_the_others_measured(made: Ground, error: Exception) -> None:
    def fails(ground: Ground, case: Case, scans: Scans) -> dict[str, float]:
        if case.key == "c03":
            raise error
        return {"odd/one": 1.0}

    odd = Check("odd", "Odd", lambda ground, table: Part("odd", "Odd", ()), fails)
    report = audit(made, [odd, CHECK])
    assert [(f.case, f.reason) for f in report.failures] == [("c03", f"odd: {str(error) or 'MemoryError'}")]
    assert report.table["odd/one"].isna().tolist() == [i == 3 for i in range(N)]
    assert report.table["see/mean"].notna().all()


def test_a_fault_of_the_program_is_not_hidden(made: Ground) -> None:
    def broken(ground: Ground, case: Case, scans: Scans) -> dict[str, float]:
        raise KeyError("a slip")

    with pytest.raises(KeyError, match="a slip"):
        audit(made, [replace(CHECK, measure=broken)])


def test_without_a_check_that_sees_cases_none_is_read(made: Ground, tmp_path: Path) -> None:
    looks = made.predictor
    assert isinstance(looks, Looks)
    report = audit(made, [replace(CHECK, measure=None)], tmp_path / "journal")
    assert (looks.reads, report.table.columns.tolist()) == ([], ["case", "patient"])
    assert not (tmp_path / "journal").exists()


def test_all_checks_run_on_made_cases_and_their_findings_bear_their_names(made: Ground) -> None:
    checks = [check for check in find() if check.name not in ("heat", "baselines", "robustness", "subgroups")]
    report = audit(made, checks)
    assert [part.name for part in report.parts] == [check.name for check in checks]
    assert all(f.check.startswith(f"{part.name}/") for part in report.parts for f in part.findings)
    assert json.loads(json.dumps(report.to_dict()))["kind"] == "audit"


def test_checks_come_in_the_order_of_a_report_whatever_the_order_asked_for() -> None:
    assert [check.name for check in find()] == list(ORDER)
    assert [check.name for check in find(("shift", "evidence", "skull", "shift"))] == ["evidence", "skull", "shift"]
    assert set(AUDITS) == set(ORDER)


def test_an_unknown_check_names_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"There is no audit called 'skul'; known are: background, baselines, .*, subgroups\."
    ):
        find(("skull", "skul"))


def test_others_add_checks_by_an_entry_point(monkeypatch: pytest.MonkeyPatch, made: Ground) -> None:
    monkeypatch.setattr(registry, "_added", lambda kind: {"see": f"{__name__}:CHECK"} if kind == "audit" else {})
    assert [check.name for check in find()] == [*ORDER, "see"]
    assert audit(made, find(("see",))).parts[0].name == "see"


def test_the_verdict_is_that_of_what_is_judged(made: Ground) -> None:
    def of(*findings: tuple[str, float]) -> str:
        part = Part("x", "X", tuple(Finding("x/y", 0.0, None, limit, v, "") for v, limit in findings))  # type: ignore[arg-type]
        return audit(made, [Check("x", "X", lambda ground, table: part)]).verdict

    nan = float("nan")
    assert of(("pass", 0.1), ("fail", 0.1), ("cannot tell", 0.1)) == "fail"
    assert of(("pass", 0.1), ("cannot tell", 0.1)) == "cannot tell"
    assert of(("pass", 0.1), ("cannot tell", nan)) == "pass"  # no limit was set
    assert of(("fail", nan), ("pass", 0.1)) == "fail"  # as a guard of the evaluation
    assert of(("cannot tell", nan)) == of() == "cannot tell"


def test_findings_come_with_what_failed_first_and_json_knows_no_nan(made: Ground) -> None:
    given = [("a", "pass"), ("b", "cannot tell"), ("c", "fail"), ("d", "pass"), ("e", "fail")]
    part = Part("x", "X", tuple(Finding(f"x/{n}", math.nan, None, math.nan, v, "") for n, v in given))  # type: ignore[arg-type]
    report = audit(made, [Check("x", "X", lambda ground, table: part)])
    assert [f.check[-1] for f in report.findings] == ["c", "e", "b", "a", "d"]
    assert [f.check[-1] for f in report.failed] == ["c", "e"]
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["findings"][0]["value"] is None


def test_random_numbers_are_the_same_in_every_run_and_others_for_each_key(made: Ground) -> None:
    first = made.rng("c00", "exchange", 1).random(3)
    assert np.array_equal(first, made.rng("c00", "exchange", 1).random(3))
    others = [
        made.rng("c01", "exchange", 1),
        made.rng("c00", "exchange", 2),
        replace(made, seed=1).rng("c00", "exchange", 1),
    ]
    assert all(not np.array_equal(first, one.random(3)) for one in others)


def test_cases_that_could_not_be_predicted_are_told_beside_those_that_could_not_be_measured(made: Ground) -> None:
    gone = Failure("c99", "cut short", True, "p99")
    report = audit(replace(made, report=replace(made.report, failures=(gone,))), [CHECK])
    assert report.failures == (gone,)
    assert len(report.table) == N
