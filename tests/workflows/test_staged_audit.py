"""A staged audit from the plan to the page: its rule, its stops, what it refuses, what it never looks at."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.workflows import made_staged
from tests.workflows.made_staged import ASKED, CutError, Events

from insula.bundle.load import load
from insula.core.errors import CohortError, TrainingError, UsageError
from insula.core.types import Cohort
from insula.evaluate import looks
from insula.train import hard_negatives
from insula.train.sampling import EpochSampler, Hard
from insula.workflows import staged_hard, staged_page, staged_plan
from insula.workflows.staged_audit import Staged

pytestmark = [pytest.mark.train, pytest.mark.slow]
Whole = tuple[Staged, Cohort, Events]


@pytest.fixture(autouse=True)
def own_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(looks.VARIABLE, "")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A staged audit that nothing stopped, its cohort, and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(looks.VARIABLE, "")
        root = tmp_path_factory.mktemp("whole")
        table, events = made_staged.cohort(root), Events()
        return made_staged.run(table, root / "out", events), table, events


def weights(folder: Path) -> dict[str, str]:
    return {
        path.parent.parent.name: json.loads(path.read_text())["weights_sha256"]
        for path in sorted(folder.glob("stages/*/run/run.json"))
    }


def figures(held: Any) -> list[Any]:
    """What must not depend on when a stage was made."""
    names = ("name", "dropout", "hard_negatives", "counts", "figures", "verdict", "failed", "change", "standing")
    return [{name: row[name] for name in names} for row in held["stages"]]


def test_every_stage_keeps_its_network_its_report_and_its_audit(whole: Whole) -> None:
    found, _, _ = whole
    assert [row["name"] for row in found.held["stages"]] == ["baseline", "hard-negatives", "dropout-0.9"]
    for row in found.held["stages"]:
        home = found.folder / "stages" / row["name"]
        assert load(home / "bundle").id == row["bundle"]
        assert load(home / "bundle").recipe.model.dropout == row["dropout"]
        report = json.loads((home / "evaluation/report.json").read_text())
        assert report["source"]["split"] == "val"
        assert report["patient"]["classes"]["malignant"]["fp"] == row["counts"]["fp"]
        assert json.loads((home / "audit/audit.json").read_text())["verdict"] == row["verdict"]
    audited = json.loads((found.folder / "test/audit/audit.json").read_text())
    assert audited["facts"]["split"] == "test"
    assert audited["facts"]["checks"] == ["evidence", "baselines", "calibration", "labels"]


def test_the_false_positives_of_the_baseline_are_listed_with_the_file_to_look_at(whole: Whole) -> None:
    found, table, _ = whole
    home = found.folder / "stages/hard-negatives"
    rows = list(csv.DictReader((home / "false-positives.csv").read_text().splitlines()))
    cases = {case.key: case for case in table.cases}
    assert 0 < len(rows) == found.held["stages"][1]["hard_negatives"]
    for row in rows:
        case = cases[row["case"]]
        assert (case.split, row["patient"], row["look at"]) == ("train", case.patient, case.scans["mri"].paths[0])
        assert case.labels["tumour"] != ("malignant",)
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    listed = list(csv.DictReader((home / hard_negatives.FILE).read_text().splitlines()))
    assert [line["input"].split()[0] for line in listed] == [row["case"] for row in rows]
    made = weights(found.folder)
    assert len(set(made.values())) == 3  # neither the list nor the dropout is without effect


def test_the_test_split_is_opened_once_and_by_the_chosen_bundle_alone(whole: Whole) -> None:
    found, table, _ = whole
    record = (looks.beside(found.folder.parent / "cohort.csv")).read_text().splitlines()
    assert sum('"kind": "look"' in line or '"kind":"look"' in line for line in record) == 1
    tested = pd.read_parquet(found.folder / "test/evaluation/cases.parquet")
    assert set(tested["case"]) == {case.key for case in table.of_split("test")}
    chosen = next(row for row in found.held["stages"] if row["name"] == found.held["chosen"])
    assert found.held["test"]["bundle"] == chosen["bundle"]
    for path in found.folder.glob("stages/*/evaluation/cases.parquet"):
        assert set(pd.read_parquet(path)["case"]) == {case.key for case in table.of_split("val")}


def test_the_choice_is_the_one_of_the_rule_and_was_planned_before(whole: Whole) -> None:
    found, _, _ = whole
    plan = json.loads((found.folder / "plan.json").read_text())
    assert plan["primary"] == "specificity"  # the operating point fixes the sensitivity
    assert plan["stages"] == [row["name"] for row in found.held["stages"]]
    first = min(path.stat().st_mtime_ns for path in found.folder.glob("stages/*/run/recipe.yaml"))
    assert (found.folder / "plan.json").stat().st_mtime_ns < first
    rows = found.held["stages"]
    open_ = [row for row in rows if not set(row["failed"]) - set(rows[0]["failed"])]
    best = max(open_, key=lambda row: row["figures"]["specificity"]["value"])
    tied = [row for row in open_ if row["standing"]["tied"]]
    assert best in tied
    assert found.held["chosen"] == tied[0]["name"]
    assert json.loads((found.folder / "choice.json").read_text())["stage"] == tied[0]["name"]


def test_the_log_tells_every_patient_of_val_and_test(whole: Whole) -> None:
    found, table, _ = whole
    log = pd.read_csv(found.folder / "patients.csv", keep_default_na=False)
    assert pd.read_parquet(found.folder / "patients.parquet").columns.tolist() == log.columns.tolist()
    patients = {split: {c.patient for c in table.of_split(split)} for split in ("val", "test")}
    assert {split: set(rows["patient"]) for split, rows in log.groupby("split")} == patients
    val = log[log["split"] == "val"]
    for row in found.held["stages"]:
        called = val[f"{row['name']} answer"] == "malignant"
        assert ((val["truth"] == "malignant") & called).sum() == row["counts"]["tp"]
        assert ((val["truth"] != "malignant") & called).sum() == row["counts"]["fp"]
        assert ((val[f"{row['name']} right"] == "right") == ((val["truth"] == "malignant") == called)).all()
        if row["change"]:
            change, positive = val[f"{row['name']} change"], val["truth"] == "malignant"
            for part, test in ((positive, "found"), (~positive, "alarms")):
                assert (change[part] == "right now").sum() == row["change"][test]["only_first"]
                assert (change[part] == "wrong now").sum() == row["change"][test]["only_second"]
    tested = log[log["split"] == "test"]
    told = {row["name"]: int((tested[f"{row['name']} answer"] != "").sum()) for row in found.held["stages"]}
    assert told == {name: len(tested) * (name == found.held["chosen"]) for name in told}


def test_the_page_has_every_stage_the_rule_and_the_test(whole: Whole) -> None:
    found, _, _ = whole
    page = (found.folder / "staged.html").read_text()
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)
    for row in found.held["stages"]:
        assert f">{row['title']}" in page
    assert found.held["plan"]["tie"] in page
    assert staged_page.rate(found.held["test"]["figures"]["sensitivity"]) in page
    assert page.count("</svg>") >= 3  # the sweep and its legend
    assert staged_page.render(json.loads((found.folder / "staged.json").read_text())) == page


def test_one_that_is_stopped_again_and_again_ends_like_one_that_was_not(whole: Whole, tmp_path: Path) -> None:
    found, table, events = whole
    draw = random.Random(0)
    lines: list[str] = []
    for _ in range(40):
        cut = Events(draw.randint(3, events.seen // 2))
        try:
            again = made_staged.run(table, tmp_path / "out", cut)
            break
        except CutError:
            lines += cut.lines
    else:
        raise AssertionError("it never came to its end")
    assert len([line for line in lines if "] training" in line]) >= 2  # it was stopped within several stages
    assert weights(again.folder) == weights(found.folder)
    assert (again.folder / "patients.csv").read_bytes() == (found.folder / "patients.csv").read_bytes()
    assert figures(again.held) == figures(found.held)
    assert again.held["chosen"] == found.held["chosen"]


def test_a_finished_one_trains_and_looks_at_nothing_again(whole: Whole) -> None:
    found, table, _ = whole
    before = {path: path.stat().st_mtime_ns for path in found.folder.rglob("*.ckpt")}
    events = Events()
    again = made_staged.run(table, found.folder, events)
    assert not [line for line in events.lines if "training" in line or "evaluating" in line]
    assert {path: path.stat().st_mtime_ns for path in found.folder.rglob("*.ckpt")} == before
    assert figures(again.held) == figures(found.held)


def test_nothing_else_is_chosen_once_the_test_was_looked_at(whole: Whole, tmp_path: Path) -> None:
    found, table, _ = whole
    shutil.copytree(found.folder, tmp_path / "out")
    path = tmp_path / "out/test/test.json"
    path.write_text(path.read_text().replace(found.held["test"]["bundle"], "0" * 16))
    with pytest.raises(UsageError, match="nothing is chosen after a test"):
        made_staged.run(table, tmp_path / "out")


def test_a_stage_whose_bundle_was_exchanged_is_refused(whole: Whole, tmp_path: Path) -> None:
    found, table, _ = whole
    shutil.copytree(found.folder, tmp_path / "out")
    home = tmp_path / "out/stages"
    shutil.rmtree(home / "hard-negatives/bundle")
    shutil.copytree(home / "baseline/bundle", home / "hard-negatives/bundle")
    with pytest.raises(TrainingError, match="not the bundle"):
        made_staged.run(table, tmp_path / "out")


def test_a_changed_plan_is_refused_and_nothing_is_touched(whole: Whole, tmp_path: Path) -> None:
    found, table, _ = whole
    held = (found.folder / "plan.json").read_bytes()
    for changed, name in (
        ({"asked": replace(ASKED, primary="f2")}, "primary"),
        ({"asked": replace(ASKED, dropouts=(0.5,))}, "dropouts"),
        ({"asked": replace(ASKED, checks=("labels",))}, "checks"),
        ({"question": made_staged.recipe("train.lr=0.5")}, "recipe_sha256"),
    ):
        with pytest.raises(UsageError, match=f"differs .*{name}"):
            made_staged.run(table, found.folder, **changed)
    case = table.cases[0]
    other = replace(table, cases=(replace(case, labels={"tumour": ("benign",)}), *table.cases[1:]))
    with pytest.raises(UsageError, match="cohort_sha256"):
        made_staged.run(other, found.folder)
    assert (found.folder / "plan.json").read_bytes() == held
    (tmp_path / "out" / "stages").mkdir(parents=True)
    with pytest.raises(UsageError, match="by which rule"):
        made_staged.run(table, tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="no staged audit"):
        made_staged.run(table, tmp_path / "other")


@pytest.mark.parametrize(
    ("asked", "settings", "said"),
    [
        (replace(ASKED, checks=("auras",)), (), "auras"),
        (replace(ASKED, checks=("evidence",)), (), "leave them out"),
        (replace(ASKED, dropouts=(1.0,)), (), "dropout of 1"),
        (replace(ASKED, primary="beauty"), (), "'beauty' cannot choose"),
        (replace(ASKED, primary="cost"), (), "no cost to choose by"),
        (ASKED, ("model.members=3",), "single networks"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    asked: staged_plan.Asked, settings: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    table = made_staged.cohort(tmp_path, 8)
    with pytest.raises(UsageError, match=said):
        made_staged.run(table, tmp_path / "out", asked=asked, question=made_staged.recipe(*settings))
    assert not (tmp_path / "out").exists()


def test_a_cohort_without_a_test_split_is_refused(tmp_path: Path) -> None:
    table = made_staged.cohort(tmp_path, 8)
    table = replace(table, cases=tuple(case for case in table.cases if case.split != "test"))
    with pytest.raises(CohortError, match="split 'test'"):
        made_staged.run(table, tmp_path / "out")


def test_without_false_positives_the_sweep_is_held_against_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Hard(np.zeros(0, np.int64), np.zeros(0))
    monkeypatch.setattr(hard_negatives, "find", lambda *_: nothing)
    found = made_staged.run(made_staged.cohort(tmp_path), tmp_path / "out")
    assert [(row["name"], row["before"]) for row in found.held["stages"]] == [
        ("baseline", ""),
        ("dropout-0.9", "baseline"),
    ]
    assert found.held["stages"][1]["hard_negatives"] == 0
    assert "nothing to draw from" in (found.folder / "staged.html").read_text()
    assert "0.2 (baseline" in staged_page.story(found.held)[2]
    assert (found.folder / "stages/hard-negatives/false-positives.csv").read_text().count("\n") == 1


def test_the_list_is_drawn_from_in_the_last_epochs_alone() -> None:
    sampler = EpochSampler([f"p{i}" for i in range(8)], 0, 4)
    trainer = SimpleNamespace(train_dataloader=SimpleNamespace(sampler=sampler), current_epoch=1)
    drawn = staged_hard.Drawn(Hard(np.array([5]), np.array([0.9])), 0.5, 2)
    drawn.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    assert sorted(sampler.order()) == list(range(8))
    trainer.current_epoch = 2
    drawn.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    assert sampler.order().tolist().count(5) >= 4


def test_all_stages_train_the_same_epochs_and_the_recipe_says_how_many() -> None:
    question = made_staged.recipe(
        "train.stages=[{train: head, epochs: 2}, {train: all, epochs: 3, lr: 0.002}]",
        "train.hard_negatives={rounds: 2, share: 0.4, epochs: 4}",
    )
    for one in staged_plan.candidates(question, ASKED):
        section = staged_plan.of_candidate(question, one).train
        assert section.hard_negatives.rounds == 0
        assert [(s.train, s.epochs, s.lr) for s in section.stages] == [
            ("head", 2, question.train.lr),
            ("all", 3, 0.002),
            ("all", 4, 0.002),
            ("all", 4, 0.002),
        ]
    assert staged_plan.stages_of(question.train)[-1].stop == 5
    assert staged_plan.rounds_of(made_staged.recipe().train).rounds == 1
