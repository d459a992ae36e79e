from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests import tiny_bundle
from tests.report.made_report import held, make, plain, record

from insula.bundle.types import Bundle
from insula.evaluate.evidence import Guard, Looks, Plan, Site
from insula.report.checklist.answered import AUTHOR, PART, RECORD, answered, to_dict
from insula.report.checklist.claim import CLAIM
from insula.report.checklist.item import author
from insula.report.checklist.tripod import TRIPOD
from insula.report.record import Record, described

TRIPOD_NUMBERS = [
    *(
        "1",
        "2",
        "3a",
        "3b",
        "3c",
        "4",
        "5a",
        "5b",
        "6a",
        "6b",
        "6c",
        "7",
        "8a",
        "8b",
        "8c",
        "9a",
        "9b",
        "9c",
        "10",
        "11",
    ),
    *("12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17"),
    *("18a", "18b", "18c", "18d", "18e", "18f", "19", "20a", "20b", "20c", "21", "22", "23a", "23b", "24", "25", "26"),
    *("27a", "27b", "27c"),
]
HUMAN = {
    "CLAIM 2024": ("5", "11", "15", "16", "17", "34", "36", "44"),
    "TRIPOD+AI": ("3c", "5b", "8b", "8c", "14", "17", "18a", "18b", "18d", "18e", "19", "25"),
}


@cache
def whole() -> Record:
    """A record with a model, guards, a plan, a site: everything that can be answered."""
    plan = Plan(
        hash="ab" * 32, test_set="cd" * 32, cases=48, patients=24, split="test", models=("m",), target="answer",
        positive="stroke", thresholds={"stroke": 0.4}, aggregate="mean", primary="roc_auc of 'stroke'",
        figures=("roc_auc",), replicates=60, seed=0, time="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    looks = Looks(plan, 1, plan.time, 1, (), "looks.jsonl", True, (), "This is the first look.")
    report = replace(
        plain(),
        guards=(Guard("patients", "pass", "no patient was seen in training"), Guard("chance", "cannot tell", "no run")),
        looks=looks,
        site=Site("internal", "All test patients come from training sites.", {"A": 24}, 24, 24),
        notes=("2 cases without a label for 'answer' were left out.",),
    )
    return held(report)


def with_model(shown: Record, bundle: Bundle) -> Record:
    content = described(bundle.recipe, bundle)
    return {**shown, "model": {**content, "metrics": {"training": {"epochs": 4, "best_val_loss": 0.31}}}}


def by_number(shown: Record, name: str) -> dict[str, Any]:
    items = next(c["items"] for c in answered(shown) if c["name"] == name)
    return {item["number"]: item for item in items}


def test_every_item_is_there_once_in_its_order() -> None:
    assert [item.number for item in CLAIM.items] == [str(n) for n in range(1, 45)]
    assert [item.number for item in TRIPOD.items] == TRIPOD_NUMBERS
    assert len(TRIPOD.items) == 52
    for checklist in (CLAIM, TRIPOD):
        titles = [(item.section, item.title) for item in checklist.items]
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", HUMAN)
def test_what_only_people_know_is_left_to_the_author(name: str, tmp_path: Path) -> None:
    shown = by_number(with_model(whole(), tiny_bundle.make(tmp_path)), name)
    for number in HUMAN[name]:
        assert (shown[number]["status"], shown[number]["answer"]) == (AUTHOR, "")
    assert author(whole()) is None


def test_without_a_model_nothing_is_said_of_one() -> None:
    claim, tripod = by_number(record(), "CLAIM 2024"), by_number(record(), "TRIPOD+AI")
    for number in ("1", "9", "13", "22", "24", "25", "26", "27", "43"):
        assert claim[number]["status"] == AUTHOR, number
    for number in ("7", "9b", "12c", "13", "22", "27a"):
        assert tripod[number]["status"] == AUTHOR, number
    assert tripod["12g"]["status"] == PART


def test_predictions_of_the_bundles_of_folds_are_not_said_to_be_made_elsewhere() -> None:
    bare = {**whole(), "model": None, "source": {"bundles": ["ab12", "cd34"]}}
    text = json.dumps(answered(bare))
    assert "elsewhere" not in text
    assert "By the bundles ab12, cd34, through the same code" in text
    assert "elsewhere" in json.dumps(answered({**bare, "source": {}}))


def test_without_a_plan_a_site_or_readers_nothing_is_said_of_them() -> None:
    claim = by_number(record(), "CLAIM 2024")
    for number in ("18", "30", "32", "33", "42"):
        assert claim[number]["status"] == AUTHOR, number


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("1", "simple_cnn"),
        ("4", "Primary figure, set down beforehand: ROC-AUC of 'stroke'."),
        ("7", "cohort 'somewhere', split 'test'"),
        ("9", "resize"),
        ("12", "2 cases without a label"),
        ("20", "patients: pass, no patient was seen in training"),
        ("21", "24 patients (48 cases), 12 with stroke"),
        ("26", "lowest: 0.310"),
        ("27", "one network"),
        ("33", "Not in this report: All test patients come from training sites."),
        ("39", "missed, all listed"),
        ("42", "Plan abababababab…, written 2026-01-02 03:04 UTC. This is the first look."),
    ],
)
def test_an_answer_is_what_the_record_holds(number: str, said: str, tmp_path: Path) -> None:
    item = by_number(with_model(whole(), tiny_bundle.make(tmp_path)), "CLAIM 2024")[number]
    assert said in item["answer"]
    assert item["status"] == (PART if item["left"] else RECORD)


def test_the_external_item_is_answered_only_where_the_site_is_external() -> None:
    site = {**whole()["site"], "standing": "external", "reason": "No site is shared."}
    shown = {**whole(), "site": site}
    assert by_number(shown, "CLAIM 2024")["33"]["answer"].startswith(shown["headline"])
    assert by_number(shown, "CLAIM 2024")["32"]["status"] == AUTHOR
    assert by_number(whole(), "CLAIM 2024")["32"]["answer"] == whole()["headline"]
    unknown = {**whole(), "site": {**site, "standing": "not known"}}
    assert {by_number(unknown, "CLAIM 2024")[n]["status"] for n in ("32", "33")} == {AUTHOR}


def numbers(content: Any) -> set[str]:
    """Every number of a record in each form in which it can be said."""
    found: set[str] = set()
    if isinstance(content, dict):
        return set().union(*map(numbers, content.values()), *map(numbers, content))
    if isinstance(content, list):
        return {str(len(content))}.union(*map(numbers, content))
    if isinstance(content, bool) or content is None:
        return found
    if isinstance(content, int | float):
        forms = (content, f"{content:,}", f"{content:.4g}")
        return {*map(str, forms), f"{abs(content):.3f}", f"{100 * content:.1f}", f"{content:.0f}"}
    return set(re.findall(r"\d+(?:[.,]\d+)*", content))


@pytest.mark.parametrize("which", ["record", "whole", "model"])
def test_no_answer_holds_a_number_that_the_record_does_not(which: str, tmp_path: Path) -> None:
    choose: dict[str, Callable[[], Record]] = {
        "record": record,
        "whole": whole,
        "model": lambda: with_model(whole(), tiny_bundle.make(tmp_path)),
    }
    shown = choose[which]()
    c = shown["patient"]["classes"]["stroke"]
    known = numbers(json.loads(json.dumps(shown))) | {str(c["tp"] + c["fn"]), "95"}  # 95% intervals
    for checklist in answered(shown):
        for item in checklist["items"]:
            for number in re.findall(r"\d+(?:[.,]\d+)*", item["answer"]):
                assert number in known, (checklist["name"], item["number"], number, item["answer"])


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("any", "subdural")])
def test_any_kind_of_report_can_be_answered(classes: tuple[str, ...]) -> None:
    shown = held(make(classes, "multiclass" if len(classes) == 3 else "multilabel"))
    content = to_dict(shown)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    for checklist in content["checklists"]:
        assert sum(checklist["counts"].values()) == len(checklist["items"])
        assert all(bool(item["answer"]) == (item["status"] != AUTHOR) for item in checklist["items"])
