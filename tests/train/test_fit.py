"""Whole runs on small made cohorts."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.made_arrays import cohort, recipe
from tests.train import curves, made_patients

from insula.core.errors import TrainingError
from insula.train.fit import fit
from insula.train.run import load_run

pytestmark = pytest.mark.train
PATIENTS = made_patients.cohort(18)
CACHES = made_patients.prepared(PATIENTS)


def test_one_seed_gives_one_set_of_weights_and_another_gives_another(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    runs = [fit(table, recipe(f"seed={s}"), tmp_path / f"run{i}", tmp_path / "cache") for i, s in enumerate((0, 0, 1))]
    assert runs[0].weights_sha256 == runs[1].weights_sha256 != runs[2].weights_sha256
    facts = json.loads((tmp_path / "run0/run.json").read_text())
    assert facts["weights_sha256"] == runs[0].weights_sha256
    assert "random weights" in facts["start"]
    losses = [line["val_loss"] for line in curves.read(tmp_path / "run0")]
    assert len(losses) == runs[0].epochs == 3
    assert min(losses) == pytest.approx(runs[0].best_loss)
    assert {p.name for p in (tmp_path / "run0/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_finished_run_goes_on_when_its_recipe_asks_for_more_epochs(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    whole = fit(table, recipe("train.schedule=constant"), tmp_path / "whole", tmp_path / "cache")
    short = recipe("train.schedule=constant", "train.epochs=2")
    fit(table, short, tmp_path / "broken", tmp_path / "cache")
    resumed = fit(table, recipe("train.schedule=constant"), tmp_path / "broken", tmp_path / "cache", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert [line["epoch"] for line in curves.read(tmp_path / "broken")] == [0.0, 1.0, 2.0]


def test_a_run_can_be_opened_again(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    run = fit(table, recipe(), tmp_path / "run", tmp_path / "cache")
    again = load_run(tmp_path / "run", table, tmp_path / "cache")
    assert again.weights_sha256 == run.weights_sha256
    assert again.shapes == run.shapes == {"mri": (1, 32, 32)}
    for name, value in load_file(tmp_path / "run/weights.safetensors").items():
        assert torch.equal(again.network.state_dict()[name], value)


def test_early_stopping_stops(tmp_path: Path) -> None:
    settings = recipe("train.epochs=40", "train.patience=1", "train.lr=0.05", "train.warmup_epochs=0")
    run = fit(cohort(tmp_path), settings, tmp_path / "run", tmp_path / "cache")
    assert run.epochs < 40


def test_runs_that_cannot_start_say_why(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    fit(table, recipe("train.epochs=1"), tmp_path / "run", tmp_path / "cache")
    with pytest.raises(TrainingError, match="earlier run"):
        fit(table, recipe(), tmp_path / "run", tmp_path / "cache")
    with pytest.raises(TrainingError, match="no run to resume"):
        fit(table, recipe(), tmp_path / "new", tmp_path / "cache", resume=True)
    unsplit = replace(table, cases=tuple(replace(c, split="") for c in table.cases))
    with pytest.raises(TrainingError, match="insula split"):
        fit(unsplit, recipe(), tmp_path / "unsplit", tmp_path / "cache")
    healthy = tuple(c for c in table.cases if c.split == "val" or "healthy" not in c.labels["tumour"])
    with pytest.raises(TrainingError, match="no case of healthy"):
        fit(replace(table, cases=healthy), recipe(), tmp_path / "few", tmp_path / "cache")
    with pytest.raises(TrainingError, match="no finished run"):
        load_run(tmp_path / "nowhere", table, tmp_path / "cache")


def test_a_loss_that_is_no_number_ends_the_run_and_says_so(tmp_path: Path) -> None:
    wild = made_patients.recipe("train.lr=1.0e+30", "train.warmup_epochs=0", "train.clip=0")
    with pytest.raises(TrainingError, match=r"validation loss became .*lower train\.lr"):
        fit(PATIENTS, wild, tmp_path / "run", tmp_path, prepared=CACHES)


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of two inputs, clinical columns and three targets, with everything that the curves can hold."""
    folder = tmp_path_factory.mktemp("fused") / "run"
    settings = made_patients.recipe("train.stages=[{train: head, epochs: 1}, {train: all, epochs: 2, lr: 0.001}]")
    lines: list[str] = []
    fit(PATIENTS, settings, folder, folder, prepared=CACHES, say=lines.append)
    return folder, lines


def test_the_curves_hold_each_targets_loss_the_rate_and_the_stage(fused: tuple[Path, list[str]]) -> None:
    lines = curves.read(fused[0])
    assert [line["stage"] for line in lines] == [1.0, 2.0, 2.0]
    # three steps an epoch, half an epoch of warm-up in each stage, then half a cosine up to the stage's last step
    assert lines[0]["lr"] == pytest.approx(0.003 * 0.5 * (1 + math.cos(math.pi * (2 - 1.5) / (3 - 1.5))))
    assert lines[2]["lr"] == pytest.approx(0.001 * 0.5 * (1 + math.cos(math.pi * (5 - 1.5) / (6 - 1.5))))
    for line in lines:
        for when in ("train", "val"):
            parts = [line[f"{when}_loss_{name}"] for name in ("tumour", "death", "volume")]
            assert all(math.isfinite(part) and part > 0 for part in parts)
            assert sum(parts) == pytest.approx(line[f"{when}_loss"], rel=1e-5)


def test_the_network_keeps_the_units_of_labels_and_clinical_columns(fused: tuple[Path, list[str]]) -> None:
    weights = load_file(fused[0] / "weights.safetensors")
    train = PATIENTS.of_split("train")
    ml = torch.tensor([float(c.attributes["ml"]) for c in train if "ml" in c.attributes])
    age = torch.tensor([float(c.attributes["age"]) for c in train if c.attributes["age"]])
    assert float(weights["heads.mean_volume"]) == pytest.approx(float(ml.mean()), rel=1e-5)
    assert float(weights["heads.std_volume"]) == pytest.approx(float(ml.std(correction=0)), rel=1e-5)
    assert float(weights["clinical.mean"][0]) == pytest.approx(float(age.mean()), rel=1e-5)
    assert float(weights["clinical.std"][0]) == pytest.approx(float(age.std()), rel=1e-5)


def test_a_run_tells_of_its_start_and_its_stages(fused: tuple[Path, list[str]]) -> None:
    folder, lines = fused
    assert "t1: simple_cnn starts from random weights. t2: simple_cnn" in lines[0]
    assert "12 training inputs, 6 validation inputs of 1×16×16 and 1×16×16." in lines[0]
    assert any("the head alone trains" in line for line in lines)
    assert sum("training loss" in line for line in lines) == 3
    facts = json.loads((folder / "run.json").read_text())
    assert facts["sizes"] == {"t1": [1, 16, 16], "t2": [1, 16, 16]}
    assert facts["processes"] == 1


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_curves_hold_the_share_of_mixing(kind: str, tmp_path: Path) -> None:
    settings = recipe("train.epochs=2", f"train.{kind}=0.4")
    fit(cohort(tmp_path), settings, tmp_path / "run", tmp_path / "cache")
    shares = [line["mix_lambda"] for line in curves.read(tmp_path / "run")]
    assert len(shares) == 2
    assert all(0.0 < share < 1.0 for share in shares)
