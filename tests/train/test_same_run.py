from dataclasses import replace
from pathlib import Path

import pytest
from tests.made_arrays import cohort, recipe

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.types import Cohort
from insula.train.fit import fit
from insula.train.same_run import CASES, RECIPE, begin

pytestmark = pytest.mark.train


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Cohort]:
    table = cohort(tmp_path)
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", recipe(), table, resume=False)
    return tmp_path / "run", table


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_run_goes_on_with_more_epochs_patience_and_another_policy(begun: tuple[Path, Cohort]) -> None:
    folder, table = begun
    asked = recipe("train.epochs=9", "train.patience=7", "policy.passes=11", "audit.label_noise=0.1")
    begin(folder, asked, table, resume=True)
    assert recipes.load(folder / RECIPE) == asked


def test_what_people_read_for_a_class_makes_no_other_run(begun: tuple[Path, Cohort]) -> None:
    folder, table = begun
    target, label = recipe().target_name, recipe().target.classes[0]
    asked = recipe(f"targets.{target}.words={{{label}: something}}")
    begin(folder, asked, table, resume=True)
    assert recipes.load(folder / RECIPE).target.say(label) == "something"


@pytest.mark.parametrize("change", ["train.lr=0.5", "seed=9", "model.dropout=0.41", "train.batch=3"])
def test_another_recipe_is_refused_and_the_folder_left_as_it_is(begun: tuple[Path, Cohort], change: str) -> None:
    folder, table = begun
    before = state(folder)
    with pytest.raises(TrainingError, match=f"was begun with {change.split('=')[0]} = .* another --out"):
        begin(folder, recipe(change), table, resume=True)
    assert state(folder) == before


def test_other_splits_patients_or_labels_are_refused(begun: tuple[Path, Cohort]) -> None:
    folder, table = begun
    before = state(folder)
    train = next(case for case in table.cases if case.split == "train")
    target = recipe().target_name
    other = next(name for name in recipe().target.classes if (name,) != train.labels[target])
    for changed in (
        replace(train, split="test"),
        replace(train, patient="somebody else"),
        replace(train, labels={target: (other,)}),
    ):
        cases = tuple(changed if case is train else case for case in table.cases)
        with pytest.raises(TrainingError, match="other train and val cases"):
            begin(folder, recipe(), replace(table, cases=cases), resume=True)
    with pytest.raises(TrainingError, match="other train and val cases"):
        begin(folder, recipe(), table, resume=True, shuffled=True)
    assert state(folder) == before


def test_further_test_cases_and_columns_that_are_not_read_are_no_other_cohort(begun: tuple[Path, Cohort]) -> None:
    folder, table = begun
    more = replace(table.cases[0], key="new", patient="new", split="test")
    named = tuple(replace(case, attributes={**case.attributes, "room": "3"}) for case in table.cases)
    begin(folder, recipe(), replace(table, cases=(*named, more)), resume=True)


def test_a_run_from_before_the_cases_were_written_down_goes_on(begun: tuple[Path, Cohort]) -> None:
    folder, table = begun
    (folder / CASES).unlink()
    begin(folder, recipe(), table, resume=True)
    assert (folder / CASES).is_file()


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainingError, match="sees no GPU here"):
        fit(cohort(tmp_path), recipe(), tmp_path / "run", tmp_path / "cache", accelerator="gpu")
    assert not (tmp_path / "run").exists()
