"""`insula audit --staged`: what it takes, what it refuses, what it prints."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.workflows import made_staged

from insula.cli.main import main
from insula.cohort.table import save
from insula.core import recipe as recipes
from insula.core.errors import MissingPartError, UsageError


def asked(folder: Path, *more: str) -> list[str]:
    (folder / "scans").mkdir(exist_ok=True)
    save(made_staged.cohort(folder / "scans"), folder / "cohort.csv")
    (folder / "recipe.yaml").write_text(recipes.dump(made_staged.recipe()))
    places = ["--out", str(folder / "out"), "--cache", str(folder / "cache")]
    return ["audit", "--staged", str(folder / "recipe.yaml"), str(folder / "cohort.csv"), *places, *more]


def refused(done: Result, said: str) -> bool:
    return isinstance(done.exception, UsageError) and said in str(done.exception)


@pytest.mark.train
def test_a_staged_audit_says_its_story_and_ends_by_the_verdict_of_the_test(tmp_path: Path) -> None:
    few = ["--check", "calibration", "--dropout", "0.2", "--no-sanity", "--replicates", "200"]
    done = CliRunner().invoke(main, asked(tmp_path, *few), catch_exceptions=False)
    held = json.loads((tmp_path / "out/staged.json").read_text())
    assert done.exit_code == (1 if held["test"]["verdict"] == "fail" else 0)
    assert held["plan"]["dropouts"] == [0.2]  # the recipe's own, which is no stage of its own
    assert [row["name"] for row in held["stages"]] in (["baseline", "hard-negatives"], ["baseline"])
    assert "[choice] " in done.output
    assert "\nTest: sensitivity" in done.output
    assert done.output.rstrip().endswith(f"Page: {tmp_path / 'out/staged.html'}")
    again = CliRunner().invoke(main, asked(tmp_path, *few, "--json"), catch_exceptions=False)
    assert again.exit_code == done.exit_code
    assert json.loads(again.stdout)["chosen"] == held["chosen"]
    other = CliRunner().invoke(main, asked(tmp_path, *few, "--set", "train.lr=0.5"))
    assert refused(other, "recipe_sha256")


@pytest.mark.train
def test_a_split_is_not_for_a_staged_audit_to_choose(tmp_path: Path) -> None:
    assert refused(CliRunner().invoke(main, asked(tmp_path, "--split", "val")), "leave out --split val")


def test_paths_and_options_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    two = ["audit", "a", "b", "--out", str(tmp_path / "out")]
    run = CliRunner()
    assert refused(run.invoke(main, [*two, "--staged", "stroke-ct"]), "give COHORT alone")
    assert refused(run.invoke(main, ["audit", "a", "--out", "o"]), "give BUNDLE and COHORT")
    for option in (("--dropout", "0.5"), ("--primary", "f2"), ("--cache", "c")):
        assert refused(run.invoke(main, [*two, *option]), f"{option[0]} is for a staged audit")
    assert run.invoke(main, [*two, "--staged", "stroke-ct", "--dropout", "1"]).exit_code == 2


def test_without_pytorch_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> object:
        return None if name == "torch" else find_spec(name)

    monkeypatch.setattr("insula.cli.training.find_spec", none)
    done = CliRunner().invoke(main, ["audit", "--staged", "stroke-ct", "c.csv", "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, MissingPartError)
