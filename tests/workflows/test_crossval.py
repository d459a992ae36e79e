"""Cross-validation with a search inside each fold, with shuffled labels, and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.made_arrays import cohort, recipe

from insula.bundle.load import load
from insula.cli.main import main
from insula.cohort.table import save
from insula.core import recipe as recipes
from insula.core.errors import RecipeError
from insula.workflows.crossval import crossval
from insula.workflows.search import tuner

pytestmark = pytest.mark.train
SPACE = "train.epochs: {choices: [1, 2]}\nmodel.dropout: {choices: [0.0, 0.3]}\n"


def test_each_fold_is_trained_by_the_recipe_that_its_own_search_found(tmp_path: Path) -> None:
    table, question = cohort(tmp_path, 24), recipe()
    (tmp_path / "space.yaml").write_text(SPACE)
    lines: list[str] = []
    tune = tuner(question, tmp_path / "space.yaml", tmp_path / "cache", trials=2, say=lines.append)
    report, _ = crossval(table, question, 2, "patient", tmp_path / "out", tmp_path / "cache", lines.append, tune=tune)
    assert report.source["recipes"] == "searched within each fold's training patients"
    assert not (tmp_path / "out" / "bundle").exists()
    tested = set()
    for i in range(2):
        home = tmp_path / "out" / f"fold-{i}"
        found = json.loads((home / "search" / "search.json").read_text())
        best = recipes.load(str(home / "search" / "best.yaml"))
        assert load(home / "bundle").recipe == best
        assert found["trials"] == 2
        tested.add(found["cases"]["train_patients"] + found["cases"]["val_patients"])
    patients = len({case.patient for case in table.cases})
    assert sum(tested) < 2 * patients  # the test patients of a fold are in no search of it
    assert report.patient.patients == patients
    assert len([line for line in lines if line.startswith("[search] best")]) == 2


def test_a_space_that_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("train.focal: {choices: [0.0, 2.0]}\n")
    with pytest.raises(RecipeError, match="focal"):
        tuner(recipe(), tmp_path / "space.yaml", tmp_path / "cache", trials=2)


@pytest.mark.slow
def test_a_control_run_of_folds_is_judged_as_chance(tmp_path: Path) -> None:
    save(cohort(tmp_path, 24), tmp_path / "c.parquet")
    (tmp_path / "r.yaml").write_text(recipes.dump(recipe("train.epochs=1")))
    words = ["crossval", "c.parquet", "--recipe", "r.yaml", "--folds", "2", "--shuffle-labels", "--json"]
    paths = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    words[1], words[3] = str(tmp_path / "c.parquet"), str(tmp_path / "r.yaml")
    got = CliRunner().invoke(main, [*words, *paths])
    assert got.exit_code == 0, got.output
    report = json.loads(got.stdout)
    assert "chance" in {guard["name"] for guard in report["guards"]}
    for i in range(2):
        assert json.loads((tmp_path / "out" / f"fold-{i}" / "run.json").read_text())["shuffled_labels"] is True
