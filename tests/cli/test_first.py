"""What `insula` alone says, and that each command it names can be typed as it stands."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from insula.cli import first as firsts
from insula.cli.first import first
from insula.cli.main import VERBS, main
from insula.cohort.gaps import asked
from insula.cohort.table import save_notes
from insula.core.recipe import load
from insula.workflows.demo_begun import begin


def commands(text: str) -> list[list[str]]:
    found = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    return [re.split(r"\s{3,}", line)[0].split() for line in found]


def understood(text: str) -> None:
    for words in commands(text):
        if words[0] == "insula":
            command = main.get_command(click.Context(main), words[1])
            assert command is not None, words
            assert command.make_context(words[1], words[2:])
        else:
            assert words[:2] == ["pip", "install"]


def cohort(folder: Path, name: str, level: str) -> None:
    (folder / name).write_text("")
    content = {"format": "insula-cohort", "split_level": level}
    (folder / f"{name}.schema.json").write_text(json.dumps(content))


def bundle(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firsts, "missing", lambda part: ())


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firsts, "missing", lambda part: ("pyarrow",))


@pytest.mark.usefixtures("whole")
def test_an_empty_folder_begins_with_the_demo_or_an_index(tmp_path: Path) -> None:
    text = first(tmp_path)
    understood(text)
    verbs = [words[1] for words in commands(text)]
    assert verbs == ["demo", "index", "check"]
    assert "Research use only" in text


@pytest.mark.usefixtures("light")
def test_the_light_install_says_what_to_add_first(tmp_path: Path) -> None:
    text = first(tmp_path)
    understood(text)
    assert commands(text)[0] == ["pip", "install", "'insula[train]'"]
    assert "--out cohort.csv" in text
    bundle(tmp_path / "runs" / "a" / "bundle")
    text = first(tmp_path)
    understood(text)
    assert {"'insula[serve]'", "'insula[evaluate]'"} <= {words[-1] for words in commands(text) if words[0] == "pip"}


@pytest.mark.usefixtures("whole")
def test_a_cohort_is_checked_and_split_then_trained_on(tmp_path: Path) -> None:
    cohort(tmp_path, "cohort.parquet", "")
    text = first(tmp_path)
    understood(text)
    assert [words[1] for words in commands(text)] == ["check", "split"]
    cohort(tmp_path, "split.parquet", "patient")
    text = first(tmp_path)
    understood(text)
    assert [words[1:3] for words in commands(text)] == [["leaks", "split.parquet"], ["train", "split.parquet"]]


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("name", ["stroke-ct", "of-my-own"])
def test_first_hour_a_recipe_that_the_cohort_was_indexed_for_is_named(tmp_path: Path, name: str) -> None:
    wanted = asked(load("stroke-ct").model_copy(update={"name": name}))
    for level in ("", "patient"):
        cohort(tmp_path, "a.csv", level)
        save_notes(tmp_path / "a.csv", "table", "", (), wanted)
        text = first(tmp_path)
        understood(text)
        assert ("--recipe stroke-ct" in text) == ("recipes: " not in text) == (name == "stroke-ct")
        assert ("--recipe NAME" in text) == (name != "stroke-ct")


@pytest.mark.usefixtures("whole")
def test_a_model_is_judged_and_served(tmp_path: Path) -> None:
    cohort(tmp_path, "split.csv", "patient")
    bundle(tmp_path / "runs" / "first" / "bundle")
    text = first(tmp_path)
    understood(text)
    assert [words[1] for words in commands(text)] == ["predict", "explain", "evaluate", "audit", "serve"]
    assert "insula evaluate runs/first/bundle split.csv --out runs/first/report" in text


@pytest.mark.usefixtures("whole")
def test_a_demo_is_opened_in_the_dashboard(tmp_path: Path) -> None:
    bundle(tmp_path / "runs" / "demo" / "bundle")
    (tmp_path / "runs" / "demo" / "demo.json").write_text("{}")
    text = first(tmp_path)
    understood(text)
    assert "insula demo --serve --out runs/demo" in text


@pytest.mark.usefixtures("whole")
def test_a_demo_that_was_stopped_is_named_with_the_command_that_goes_on(tmp_path: Path) -> None:
    begin(tmp_path / "runs" / "demo", "stroke-ct", 30, ("train.epochs=2",), lambda line: None)
    text = first(tmp_path)
    understood(text)
    command = "insula demo --out runs/demo --recipe stroke-ct --patients 30 --set train.epochs=2"
    assert [" ".join(words) for words in commands(text)] == [command]
    (tmp_path / "runs" / "demo" / "demo.json").write_text("{}")
    assert "not finished" not in first(tmp_path)
    (tmp_path / "runs" / "demo" / "demo.json").unlink()
    (tmp_path / "runs" / "demo" / "demo-begun.json").write_text("[]")
    assert "insula demo --out runs/demo   makes it anew" in first(tmp_path)


@pytest.mark.usefixtures("whole")
def test_a_training_that_was_stopped_is_named_unless_a_model_came_after_it(tmp_path: Path) -> None:
    cohort(tmp_path, "split.csv", "patient")
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "trained-on.json").write_text("{}")
    text = first(tmp_path)
    understood(text)
    command = "insula train split.csv --recipe runs/first/recipe.yaml --out runs/first --resume"
    assert [" ".join(words) for words in commands(text)] == [command]
    os.utime(run / "trained-on.json", (1, 1))
    bundle(tmp_path / "runs" / "second" / "bundle")
    assert "'runs/second/bundle' is a trained model" in first(tmp_path)
    os.utime(tmp_path / "runs" / "second" / "bundle" / "manifest.json", (0, 0))
    assert "'runs/first' is a training that is not finished" in first(tmp_path)
    (run / "weights.safetensors").write_text("")
    assert "not finished" not in first(tmp_path)


@pytest.mark.usefixtures("whole")
def test_what_is_no_cohort_or_damaged_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.schema.json").write_text("[1]")
    (tmp_path / "b.schema.json").write_text("{")
    (tmp_path / "gone.csv.schema.json").write_text(json.dumps({"format": "insula-cohort", "split_level": ""}))
    assert [words[1] for words in commands(first(tmp_path))] == ["demo", "index", "check"]


def test_insula_alone_says_it_and_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    got = CliRunner().invoke(main, [], catch_exceptions=False)
    assert got.exit_code == 0
    assert got.output.rstrip() == first(tmp_path)
    for text in (got.output, first(tmp_path)):
        assert len(text.splitlines()) < 20
        assert max(map(len, text.splitlines())) <= 130
    assert "first" not in VERBS
