"""A cohort from Python is the one that the verbs make, and what is judged on it is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import insula as ins
from insula.cli.main import main
from insula.core.errors import CohortError, MissingPartError, SplitError, UsageError
from insula.core.recipe import Recipe, dump


def run(*words: object) -> str:
    got = CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)
    assert got.exit_code == 0, got.output
    return got.stdout


@pytest.fixture
def recipe(question: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump(question))
    return path


def test_the_tables_are_those_of_index_and_split_to_the_byte(
    cohort: ins.Cohort, scans: Path, question: Recipe, recipe: Path, tmp_path: Path
) -> None:
    run("index", scans, "--recipe", recipe, "--out", tmp_path / "verb.csv")
    run("split", tmp_path / "verb.csv", "--recipe", recipe, "--out", tmp_path / "verb-split.csv")
    written = cohort.write(tmp_path / "api.csv")
    parted = ins.Cohort.read(tmp_path / "api.csv").split(question).write(tmp_path / "api-split.csv")
    for name in ("", "-split"):
        for end in (".csv", ".csv.schema.json", ".csv.aside.json"):
            ours, theirs = tmp_path / f"api{name}{end}", tmp_path / f"verb{name}{end}"
            assert ours.read_bytes() == theirs.read_bytes(), ours.name
    assert (written.table, parted.table) == (tmp_path / "api.csv", tmp_path / "api-split.csv")
    assert ins.Cohort.read(tmp_path / "api-split.csv") == parted


def test_a_step_gives_a_new_cohort_and_leaves_the_old(cohort: ins.Cohort, question: Recipe) -> None:
    parted = cohort.split(question)
    assert {case.split for case in cohort.cases} == {""}
    assert {case.split for case in parted.cases} == {"train", "val", "test"}
    assert repr(cohort) == "Cohort(12 cases, patients: 12)"
    assert repr(parted) == "Cohort(12 cases, patients: 12, split by patient)"
    age = cohort.cases[0].attributes["age"]
    held = cohort.split(question, hold_out=f"age={age}")
    assert {case.attributes["age"] for case in held.cases if case.split == "test"} == {age}
    with pytest.raises(UsageError, match="hold_out keeps patients whole"):
        cohort.split(question, hold_out=f"age={age}", level="picture")
    with pytest.raises(SplitError, match="three shares"):
        cohort.split(question, fractions=(1, 1, 1))


def test_leaks_and_frame(cohort: ins.Cohort, question: Recipe) -> None:
    parted = cohort.split(question)
    assert parted.leaks().verdict == "pass"
    table = parted.frame()
    assert list(table.columns[:4]) == ["case", "patient", "split", "answer"]
    assert set(table["answer"]) == {"normal", "stroke"}
    assert "age" in table.columns


def test_a_recipe_of_several_inputs_wants_a_role(scans: Path) -> None:
    with pytest.raises(UsageError, match="role="):
        ins.Cohort.from_folder(scans, "brain-tumour-fusion")
    with pytest.raises(CohortError):
        ins.Cohort.read(scans / "nothing.csv")


def test_recipes_are_changed_by_keys(question: Recipe) -> None:
    changed = ins.recipe("stroke-ct", {"train.epochs": 3, "model.pretrained": False, "model.encoder": "simple_cnn"})
    assert (changed.train.epochs, changed.model.pretrained, changed.model.encoder) == (3, False, "simple_cnn")
    assert ins.recipe(question, {"seed": 9}).seed == 9
    assert ins.recipe(question) == question
    assert "stroke-ct" in ins.recipes()
    with pytest.raises(ins.InsulaError, match=r"train\.epoch"):
        ins.recipe("stroke-ct", {"train.epoch": 3})
    with pytest.raises(UsageError, match="give a number"):
        ins.recipe("stroke-ct", {"train.epochs": object()})


def test_an_evaluation_is_that_of_the_verb_and_counts_its_look(
    cohort: ins.Cohort, model: ins.Model, bundle: Path, tmp_path: Path
) -> None:
    cohort.write(tmp_path / "api" / "cohort.csv")
    cohort.write(tmp_path / "verb" / "cohort.csv")
    report = model.evaluate(tmp_path / "api" / "cohort.csv", tmp_path / "a", split="all", baselines=False, gallery=0)
    words = ("--split", "all", "--no-baselines", "--gallery", 0)
    run("evaluate", bundle, tmp_path / "verb" / "cohort.csv", "--out", tmp_path / "b", *words)
    ours, theirs = (json.loads((tmp_path / one / "report.json").read_text()) for one in ("a", "b"))
    assert ours["patient"] == theirs["patient"]
    assert ours["headline"] == theirs["headline"]
    told = ours["patient"]["classes"]["stroke"]["figures"]["roc_auc"]
    assert report.patient.classes["stroke"].figures["roc_auc"].value == told["value"]
    assert (tmp_path / "api" / "cohort.csv.looks.jsonl").is_file()
    assert (tmp_path / "a" / "report.html").is_file()


def test_a_cohort_in_memory_is_judged_without_a_file(
    cohort: ins.Cohort, model: ins.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = model.evaluate(cohort, split="all", baselines=False)
    assert report.patient.classes["stroke"].figures["roc_auc"].value >= 0
    assert not list(tmp_path.glob("*.looks.jsonl"))


def test_an_audit_is_written_and_gives_its_verdict(cohort: ins.Cohort, model: ins.Model, tmp_path: Path) -> None:
    report = model.audit(cohort, tmp_path / "audit", split="all", checks=["calibration"], replicates=50, sanity=False)
    assert [part.name for part in report.parts] == ["calibration"]
    assert report.verdict in ("pass", "fail", "cannot tell")
    assert {"audit.html", "audit.json"} <= {path.name for path in (tmp_path / "audit").iterdir()}


def test_what_a_part_is_missing_for_is_said_before_any_work(
    cohort: ins.Cohort, model: ins.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.core.parts.missing", lambda part: ("gone",))
    for step in (
        lambda: cohort.train("stroke-ct", tmp_path / "run"),
        lambda: model.evaluate(cohort),
        lambda: model.audit(cohort, tmp_path / "audit"),
        cohort.frame,
    ):
        with pytest.raises(MissingPartError, match="pip install"):
            step()
    assert not (tmp_path / "run").exists()
