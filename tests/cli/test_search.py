from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.made_arrays import SETTINGS, cohort

from insula.cli import search as verb
from insula.cli.main import main
from insula.cohort.table import save
from insula.core import recipe as recipes
from insula.core.errors import MissingPartError, RecipeError, UsageError

pytestmark = pytest.mark.train
SECRET = "tulip-7731"


def asked(folder: Path, *more: str, space: str = "train.lr: {low: 1e-4, high: 1e-2, log: true}") -> list[str]:
    scans = folder / "scans"
    scans.mkdir(exist_ok=True)
    save(cohort(scans, 12), folder / "cohort.csv")
    (folder / "space.yaml").write_text(space)
    settings = [part for setting in (*SETTINGS, "train.epochs=1") for part in ("--set", setting)]
    places = ["--space", str(folder / "space.yaml"), "--out", str(folder / "out"), "--cache", str(folder / "cache")]
    return ["search", str(folder / "cohort.csv"), "--recipe", "brain-tumour", *settings, *places, *more]


def test_a_search_prints_its_trials_and_the_best(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, asked(tmp_path, "--trials", "2", "--metric", "log_loss"), catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0].endswith("search.db: 0 of 2 trials so far.")
    assert [line.partition("]")[0] for line in lines[1:3]] == ["[trial 0, 1/2", "[trial 1, 2/2"]
    assert "biased downwards" in done.output
    data = json.loads(
        CliRunner().invoke(main, asked(tmp_path, "--trials", "3", "--metric", "log_loss", "--json")).stdout
    )
    assert data["counts"]["complete"] == 3
    assert data["direction"] == "minimise"
    best = recipes.load(tmp_path / "out/best.yaml")
    assert best.train.lr == data["best"]["values"]["train.lr"]
    assert Path(data["page"]).is_file()


def test_the_store_may_come_from_the_environment_and_is_shown_without_secrets(tmp_path: Path) -> None:
    environment = {"INSULA_SEARCH_STORE": f"mysql://alice:{SECRET}@here/x"}
    refused = CliRunner().invoke(main, asked(tmp_path), env=environment)
    assert isinstance(refused.exception, UsageError)
    assert "'mysql' cannot be used" in str(refused.exception)
    assert SECRET not in refused.output + str(refused.exception)
    helped = CliRunner().invoke(main, ["search", "--help"], env=environment).output
    assert SECRET not in helped


def test_a_space_that_fits_no_trial_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, asked(tmp_path, space="train.lrr: {low: 1, high: 2}"))
    assert isinstance(done.exception, RecipeError)
    assert "'train.lrr'" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    done = CliRunner().invoke(main, asked(tmp_path))
    assert isinstance(done.exception, MissingPartError)
    assert "insula[train]" in str(done.exception)
