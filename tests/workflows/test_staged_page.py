"""The summary of a staged audit: its sentences, its numbers, one sheet of paper."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripts import staged_audit_page

from insula.core.recipe import OperatingPoint
from insula.evaluate.outcome import LIMITS, plain
from insula.metrics import proportion
from insula.workflows import staged_page, staged_rule
from insula.workflows.staged_rule import Answered, Judged

POINT = OperatingPoint(youden=True)
KEYS = np.array([f"p{i:03}" for i in range(200)])
Y = np.arange(200) < 100
LONG = "subgroups/site=a_site_with_a_long_name/sensitivity"
STAGES: dict[str, tuple[str, float, str, int, int, tuple[str, ...]]] = {
    "baseline": ("Baseline", 0.2, "", 8, 30, ()),
    "hard-negatives": ("Hard negatives", 0.2, "baseline", 9, 12, ()),
    "dropout-0": ("Dropout 0", 0.0, "hard-negatives", 9, 11, ()),
    "dropout-0.4": ("Dropout 0.4", 0.4, "hard-negatives", 14, 10, ("heat/outside", LONG)),
    "dropout-0.6": ("Dropout 0.6", 0.6, "hard-negatives", 30, 9, (LONG,)),
    "dropout-0.8": ("Dropout 0.8", 0.8, "hard-negatives", 60, 8, ()),
}


def answers(missed: int, alarms: int) -> Answered:
    called = Y.copy()
    called[:missed] = False
    called[100 : 100 + alarms] = True
    return Answered(KEYS, Y, called.astype(float), called)


def counted(rows: Answered) -> dict[str, Any]:
    y, called = rows.y, rows.called
    shares = {"sensitivity": (called, y), "specificity": (~called, ~y), "ppv": (y, called)}
    return {
        "counts": {
            "tp": int((y & called).sum()),
            "fp": int((~y & called).sum()),
            "fn": int((y & ~called).sum()),
            "tn": int((~y & ~called).sum()),
        },
        "figures": {name: proportion.figure(hit, among, KEYS, "none") for name, (hit, among) in shares.items()},
        "primary": staged_rule.primary_figure("youden", rows, POINT, 200, 0),
    }


def held(question: str = "Does it bleed?", skipped: str = "") -> Any:
    """A staged audit of six stages as `staged.json` has it."""
    rows = {name: answers(one[3], one[4]) for name, one in STAGES.items()}
    judged = [Judged(name, rows[name], frozenset(one[5])) for name, one in STAGES.items()]
    standings = {one.name: one for one in staged_rule.standings(judged, "youden", POINT, 500, 0)}
    changes = {n: staged_rule.change(rows[n], rows[one[2]], one[2], 200, 0) for n, one in STAGES.items() if one[2]}
    changes = staged_rule.corrected(changes)
    chosen = staged_rule.chosen(list(standings.values()))
    stages = [
        {
            "name": name,
            "title": title,
            "dropout": dropout,
            "before": before,
            "hard_negatives": 23 if before else 0,
            "verdict": "fail" if failed else "pass",
            "failed": list(failed),
            "change": changes.get(name),
            "standing": standings[name],
            **counted(rows[name]),
        }
        for name, (title, dropout, before, _, _, failed) in STAGES.items()
    ]
    test = {"verdict": "fail", "failed": [LONG], "looks": "This is the first look.", **counted(rows[chosen])}
    plan = {
        "primary": "youden",
        "rule": staged_rule.said("youden", POINT),
        "tie": staged_rule.TIE,
        "written": "2026-11-26T04:18:00+00:00",
        "checks": ["heat", "marks", "exchange", "skull", "subgroups", "calibration", "labels"],
        "patients": {"train": 400, "val": 200, "test": 200},
        "hard_negatives": {"rounds": 1, "share": 0.3, "epochs": 3},
    }
    return plain(
        {
            "recipe": "haemorrhage-ct",
            "question": question,
            "plan": plan,
            "stages": stages,
            "skipped": skipped,
            "chosen": chosen,
            "own_dropout": 0.2,
            "test": test,
            "origin": {"insula": "0"},
        }
    )


def test_the_story_names_what_was_won_and_lost_and_who_was_left_out() -> None:
    baseline, hard, dropout, failures, choice = staged_page.story(held())
    assert baseline == "Baseline: 92 of 100 positives found, 30 of 100 negatives called positive; audit: pass."
    assert hard.startswith("Hard negatives: 23 false positives among the training inputs fill 30% of each batch")
    assert "false positives 30 → 12 of 100 (p < 0.001)" in hard
    assert "positives found 92 → 91 of 100 (p 1.000)" in hard
    assert "0.8: sensitivity 40.0%, precision 83.3% (+0 −51, p < 0.001 for the positives)" in dropout
    assert dropout.index("0: sensitivity") < dropout.index("0.4: sensitivity") < dropout.index("0.8: sensitivity")
    assert failures == f"Audits: what fails is heat/outside in Dropout 0.4; {LONG} in Dropout 0.4, Dropout 0.6."
    error = held()["stages"][1]["standing"]["error"]
    assert choice == (
        "Chosen: Hard negatives, the earliest within one standard error of the best, Dropout 0: 0.790 against "
        f"0.800 in sensitivity + specificity − 1, 0.010 behind with a standard error of {error:.3f}. Left out for "
        "findings that the baseline does not have: Dropout 0.4, Dropout 0.6."
    )
    assert staged_page.lines(held())[-2].startswith("Test: sensitivity 91.0% (84–95%), specificity 88.0%")
    assert staged_page.lines(held())[-1] == LIMITS


def failing(*names: str, more: Mapping[str, tuple[str, ...]] | None = None) -> Any:
    """The same staged audit, in which some findings fail in every stage, and others in the stages of some names."""
    content = held()
    for one in content["stages"]:
        one["failed"] = [*names, *(more or {}).get(one["name"], ())]
        one["evidence"] = dict.fromkeys(one["failed"], f"the slope of {one['title']} is 0.31.")
    return content


def test_what_fails_in_every_stage_is_told_with_its_evidence_and_held_against_none() -> None:
    content = failing("calibration/slope", more={"hard-negatives": ("heat/border",)})
    told = staged_page.failures(content)
    assert told == (
        "Audits: what fails is calibration/slope in every stage (baseline: The slope of Baseline is 0.31); heat/border "
        "in Hard negatives. What fails in the baseline too "
        "(calibration/slope) is not held against a stage."
    )
    assert told in staged_page.render(content)
    assert told in staged_page.lines(content)


def test_what_fails_in_the_baseline_alone_is_held_against_nobody_and_nothing_is_said_of_it() -> None:
    assert staged_page.failures(failing(more={"baseline": ("labels/contradicted",)})) == (
        "Audits: what fails is labels/contradicted in Baseline (baseline: The slope of Baseline is 0.31)."
    )
    assert staged_page.failures(failing()) == "Audits: no finding fails in any stage."


def test_many_failing_findings_are_counted() -> None:
    told = staged_page.failures(failing(more={"baseline": tuple(f"subgroups/g{i}/roc_auc" for i in range(7))}))
    assert "subgroups/g2/roc_auc in Baseline" in told
    assert "subgroups/g3" not in told
    assert "; 4 more in Baseline." in told


def test_the_choice_says_by_what_figure() -> None:
    content = held()
    content["stages"] = content["stages"][:2]
    content["chosen"] = "hard-negatives"
    content["stages"][1]["standing"]["behind"] = 0.0
    assert staged_page.choice(content) == "Chosen: Hard negatives, the best by sensitivity + specificity − 1 (0.790)."
    for one in content["stages"]:
        one["standing"] |= {"value": None, "behind": None}
    content["chosen"] = "baseline"
    assert "Baseline, since no stage that may be chosen has a sensitivity" in staged_page.choice(content)


def test_the_page_of_the_proof_says_what_fails_and_why_one_was_chosen() -> None:
    content = failing("calibration/slope") | {"operating_point": {"youden": True}}
    text = "\n".join(staged_audit_page._stages({"held": content}))
    assert f"{staged_page.failures(content)} {staged_page.choice(content)}" in text
    document = (Path(__file__).parents[2] / "docs/results/staged-audit.md").read_text(encoding="utf-8")
    assert staged_audit_page.SLOPE in document
    assert document.count("What fails in the baseline too (calibration/slope) is not held against a stage.") == 2
    assert "Chosen: Baseline, the earliest within one standard error of the best, Hard negatives: 0.850" in document


def test_numbers_stand_with_their_intervals() -> None:
    one = held()["stages"][0]
    assert staged_page.rate(one["figures"]["sensitivity"]) == "92.0% (85–96%)"
    assert staged_page.alarms(one) == "30 of 100 (22–40%)"
    assert staged_page.against(one, "sensitivity") == "–"
    assert staged_page.rate({"value": math.nan, "interval": None}) == "–"


def test_the_sweep_has_a_point_for_each_dropout_that_was_compared() -> None:
    drawn = staged_page.sweep(held())
    assert drawn is not None
    assert drawn.svg.count("<circle") == 2 * 5  # the baseline is no part of it
    assert [key.text for key in drawn.legend] == ["sensitivity", "precision"]
    content = held()
    content["stages"] = content["stages"][:2]
    assert staged_page.sweep(content) is None
    assert "<figure>" not in staged_page.render(content)


def test_the_page_marks_what_was_chosen_and_escapes_what_others_wrote() -> None:
    page = staged_page.render(held("<script>alert(1)</script>"))
    assert "<script" not in page
    assert re.findall(r'<tr class="used"><th scope="row">([^<]*)<', page) == ["Hard negatives ✓"]
    assert "left out for 2 findings" in page
    assert '<div class="banner">' in page  # the audit of the test fails
    assert not re.search(r'(?:src|href)="', page)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_one_sheet_of_paper() -> None:
    weasyprint = pytest.importorskip("weasyprint")
    pages = (
        weasyprint.HTML(string=staged_page.render(held("Is there a haemorrhage on this head CT? " * 3))).render().pages
    )
    assert len(pages) == 1
    crowded = failing("calibration/slope", "labels/contradicted", more={"dropout-0.8": ("heat/outside", LONG)})
    assert len(weasyprint.HTML(string=staged_page.render(crowded)).render().pages) == 1
