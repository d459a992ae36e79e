"""Smaller networks out of a bundle: what they are, what is told of them, how they go on, and when they are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback
from safetensors.numpy import load_file
from tests.cli.test_evaluate import insula
from tests.made_arrays import cohort, recipe

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort import table
from insula.core.errors import BundleError, ExportError, UsageError
from insula.core.types import Cohort
from insula.export.cost import Cost
from insula.export.ensemble import of_seeds
from insula.export.finish import finish
from insula.export.int8 import to_int8
from insula.infer.predict import Predictor
from insula.train.fit import fit
from insula.train.run import Run
from insula.workflows import optimise
from insula.workflows.optimise import WAY, Way, Where, smaller, student, tuned

pytestmark = [pytest.mark.train, pytest.mark.slow]
Made = tuple[Run, Cohort, Bundle, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("optimise")
    people = cohort(root, 30)
    run = fit(people, recipe("model.pool=attention"), root / "run", root / "cache")
    bundle, _ = finish(run, people, root / "bundle")
    return run, people, bundle, root


def where(made: Made, said: list[str] | None = None) -> Where:
    return Where(made[3] / "cache", made[0].prepared, 1, 1.0, say=(said if said is not None else []).append)


def test_fewer_channels_make_a_smaller_bundle_that_its_weights_alone_rebuild(made: Made, tmp_path: Path) -> None:
    _, people, bundle, _ = made
    said: list[str] = []
    found, cost = smaller(bundle, people, Way("channels", 0.5, 2), where(made, said), tmp_path / "b")
    again = load(tmp_path / "b")
    assert again.id == found.id != bundle.id
    told = again.metrics["optimised"]
    assert told["method"] == "channels"
    assert told["parameters"] < 0.5 * told["parameters_before"]
    assert told["bytes"] == cost.size == (tmp_path / "b/model.onnx").stat().st_size
    gone = 4 * (told["parameters_before"] - told["parameters"])
    assert told["bytes_before"] - told["bytes"] == pytest.approx(gone, rel=0.1)
    assert again.provenance["optimised_from"] == bundle.id
    assert "## Made smaller" in (tmp_path / "b/model-card.md").read_text()
    assert "parameters of the encoder stay" in said[-1]
    assert again.metrics["training"]["start"].startswith(f"Bundle {bundle.id} with ")
    assert again.metrics["training"]["epochs"] == 2
    case = people.of_split("val")[0]
    assert np.isfinite(list(Predictor(again).case(case, Path(people.root)).probabilities)).all()
    integers, less = to_int8(again, people, made[0].prepared, tmp_path / "b8", max_loss=1.0)
    assert less.size < cost.size
    assert integers.metrics["optimised"]["made_from"]["method"] == "channels"


def test_weights_that_were_set_to_zero_are_zero_in_the_bundle(made: Made, tmp_path: Path) -> None:
    _, people, bundle, _ = made
    said: list[str] = []
    _, cost = smaller(bundle, people, Way("weights", 0.25, 2), where(made, said), tmp_path / "b")
    tensors = load_file(tmp_path / "b/weights.safetensors")
    inner = [value for name, value in tensors.items() if name.startswith("encoders.") and value.ndim > 1]
    zeros = sum(int((value == 0).sum()) for value in inner)
    total = sum(value.size for value in inner)
    assert cost.facts == {"keep": 0.25, "epochs": 2, "zeros": zeros, "weights": total}
    assert zeros == pytest.approx(0.75 * total, abs=2)
    assert "makes no file smaller and nothing faster" in said[-1]
    assert cost.size == pytest.approx(cost.size_before, rel=0.02)
    before = load_file(made[3] / "bundle/weights.safetensors")
    assert any((tensors[name] != value).any() for name, value in before.items() if name.startswith("heads."))


def test_a_student_is_taught_by_the_average_of_an_ensemble(made: Made, tmp_path: Path) -> None:
    run, people, _, root = made
    other = fit(people, recipe("model.pool=attention", "seed=9"), tmp_path / "two", root / "cache")
    both, _ = of_seeds([run, other], people, tmp_path / "both")
    way = Way("distil", overrides=("model.pool=mean", "train.epochs=2"))
    found, cost = smaller(both, people, way, where(made), tmp_path / "b")
    assert cost.facts == {"teachers": 2, "encoder": "simple_cnn"}
    assert cost.size < 0.7 * cost.size_before
    assert (found.recipe.model.members, str(found.recipe.model.pool)) == (1, "mean")
    assert (found.recipe.train.epochs, found.recipe.train.distil.weight) == (2, 0.7)
    assert "train_loss_teacher" in (tmp_path / "b.run/curves/metrics.csv").read_text().splitlines()[0]
    with pytest.raises(ExportError, match="averages 2 networks; teach one small network"):
        smaller(both, people, Way("channels"), where(made), tmp_path / "c")


class _Killed(Callback):
    def on_train_epoch_start(self, trainer: object, pl_module: object) -> None:
        if getattr(trainer, "current_epoch", 0) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["channels", "weights"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    _, people, bundle, _ = made
    way = Way(method, 0.5, 3)
    smaller(bundle, people, way, where(made), tmp_path / "whole")
    whole = fit

    def stopped(*args: object, **more: object) -> Run:
        more["callbacks"] = [*more["callbacks"], _Killed()]  # type: ignore[misc]
        return whole(*args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(optimise, "fit", stopped)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            smaller(bundle, people, way, where(made), tmp_path / "b")
    assert not (tmp_path / "b").exists()
    smaller(bundle, people, way, where(made), tmp_path / "b")
    ours, theirs = (load_file(tmp_path / f"{name}/weights.safetensors") for name in ("b", "whole"))
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value)


def test_a_finished_run_is_not_trained_again_and_another_one_is_not_taken_for_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, people, bundle, _ = made
    way = Way("channels", 0.5, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Cost, "worst", 0.3)
        with pytest.raises(ExportError, match=r"may lose 0\.3000 of ROC-AUC"):
            smaller(bundle, people, way, replace(where(made), max_loss=0.1), tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert json.loads((tmp_path / "b.run" / WAY).read_text())["keep"] == 0.5
    with pytest.raises(ExportError, match="another bundle, cohort or way"):
        smaller(bundle, people, Way("channels", 0.25, 1), where(made), tmp_path / "b")
    with monkeypatch.context() as patch:
        patch.setattr(optimise, "fit", None)
        smaller(bundle, people, way, where(made), tmp_path / "b")
    with pytest.raises(UsageError, match="is there already and holds a bundle"):
        smaller(bundle, people, way, where(made), tmp_path / "b")
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "c.run").mkdir()
    with pytest.raises(ExportError, match="no run of this kind"):
        smaller(bundle, people, way, where(made), tmp_path / "c")


def test_a_bundle_in_integers_is_no_start(made: Made, tmp_path: Path) -> None:
    run, people, bundle, _ = made
    integers, _ = to_int8(bundle, people, run.prepared, tmp_path / "b8", max_loss=1.0)
    with pytest.raises(BundleError, match="answers by another graph than its weights give"):
        smaller(integers, people, Way("channels", 0.5, 1), where(made), tmp_path / "b")
    assert not (tmp_path / "b.run").exists()


def test_the_tuning_and_the_student_s_recipe(made: Made) -> None:
    before = recipe("train.stages=[{train: head, epochs: 2}]", "train.hard_negatives.rounds=1")
    after = tuned(before, Way("channels", 0.5, 4, 0.1))
    assert (after.train.epochs, after.train.patience, after.train.stages) == (4, 4, ())
    assert after.train.lr == pytest.approx(0.1 * before.train.lr)
    assert after.train.hard_negatives.rounds == 0
    assert after.model == before.model
    with pytest.raises(UsageError, match="the teacher's own network"):
        student(before, ("train.epochs=2",))
    with pytest.raises(UsageError, match=r"model\.members is 3"):
        student(before, ("model.members=3",))


def test_the_verb_makes_them_and_refuses_what_a_method_does_not_read(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, people, _, root = made
    table.save(people, tmp_path / "cohort.parquet")
    asked = ("optimise", root / "bundle", tmp_path / "cohort.parquet", "--out", tmp_path / "b")
    assert insula(monkeypatch, *asked, "--method", "distil", "--keep", "0.5") == UsageError.exit_code
    assert "--keep has no use with --method distil" in capsys.readouterr().err
    assert insula(monkeypatch, *asked, "--set", "model.pool=mean") == UsageError.exit_code
    assert "--set has no use with --method int8" in capsys.readouterr().err
    assert insula(monkeypatch, *asked, "--method", "weights", "--weights", "7") == UsageError.exit_code
    assert "--weights has no use with --method weights" in capsys.readouterr().err
    more = ("--epochs", "1", "--max-loss", "1", "--cache", root / "cache", "--json")
    assert insula(monkeypatch, *asked, "--method", "channels", *more) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["bundle_id"]) == ("channels", load(tmp_path / "b").id)


@pytest.mark.parametrize("method", ["int8", "channels"])
def test_the_verb_looks_at_its_goal_before_any_work(
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
) -> None:
    _, people, bundle, root = made
    table.save(people, tmp_path / "cohort.parquet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    shutil.copytree(root / "bundle", tmp_path / "older")
    (tmp_path / "c.run").mkdir()
    monkeypatch.setattr("insula.prep.cache.build_all", None)  # the first step of the work
    goals = {
        tmp_path / "mine": "holds other things; give --out a new folder",
        tmp_path / "older": "holds a bundle, which would be replaced; remove it, or give --out another folder",
        root / "bundle": "is the bundle that the new one is made of",
        root / "bundle/int8": "is in the bundle that the new one is made of",
    }
    for out, why in goals.items():
        words = ("optimise", root / "bundle", tmp_path / "cohort.parquet", "--out", out, "--method", method)
        assert insula(monkeypatch, *words) == UsageError.exit_code
        assert why in capsys.readouterr().err
    if method == "channels":
        words = ("optimise", root / "bundle", tmp_path / "cohort.parquet", "--out", tmp_path / "c", "--method", method)
        assert insula(monkeypatch, *words) == ExportError.exit_code
        assert "no run of this kind" in capsys.readouterr().err
    assert load(tmp_path / "older").id == bundle.id
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
