"""What `insula` alone says, and that each command it names can be typed as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from insula.cli import first as firsts
from insula.cli.first import first
from insula.cli.main import VERBS, main


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
