import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.made_arrays import cohort, recipe

from insula.core.errors import TrainingError
from insula.train.fit import fit, load_run

pytestmark = pytest.mark.train


def test_one_seed_gives_one_set_of_weights_and_another_gives_another(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    runs = [fit(table, recipe(f"seed={s}"), tmp_path / f"run{i}", tmp_path / "cache") for i, s in enumerate((0, 0, 1))]
    assert runs[0].weights_sha256 == runs[1].weights_sha256 != runs[2].weights_sha256
    facts = json.loads((tmp_path / "run0/run.json").read_text())
    assert facts["weights_sha256"] == runs[0].weights_sha256
    assert "random weights" in facts["start"]
    rows = list(csv.DictReader((tmp_path / "run0/curves/metrics.csv").read_text().splitlines()))
    losses = [float(r["val_loss"]) for r in rows if r["val_loss"]]
    assert len(losses) == runs[0].epochs == 3
    assert min(losses) == pytest.approx(runs[0].best_loss)
    assert {p.name for p in (tmp_path / "run0/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_stopped_run_resumes_to_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    whole = fit(table, recipe("train.schedule=constant"), tmp_path / "whole", tmp_path / "cache")
    short = recipe("train.schedule=constant", "train.epochs=2")
    fit(table, short, tmp_path / "broken", tmp_path / "cache")
    resumed = fit(table, recipe("train.schedule=constant"), tmp_path / "broken", tmp_path / "cache", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256


def test_a_run_can_be_opened_again(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    run = fit(table, recipe(), tmp_path / "run", tmp_path / "cache")
    again = load_run(tmp_path / "run", table, tmp_path / "cache")
    assert again.weights_sha256 == run.weights_sha256
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
    with pytest.raises(TrainingError, match="no checkpoint"):
        fit(table, recipe(), tmp_path / "new", tmp_path / "cache", resume=True)
    unsplit = replace(table, cases=tuple(replace(c, split="") for c in table.cases))
    with pytest.raises(TrainingError, match="insula split"):
        fit(unsplit, recipe(), tmp_path / "unsplit", tmp_path / "cache")
    healthy = tuple(c for c in table.cases if c.split == "val" or "healthy" not in c.labels["tumour"])
    with pytest.raises(TrainingError, match="no case of healthy"):
        fit(replace(table, cases=healthy), recipe(), tmp_path / "few", tmp_path / "cache")
    with pytest.raises(TrainingError, match="no finished run"):
        load_run(tmp_path / "nowhere", table, tmp_path / "cache")


@pytest.mark.parametrize(
    "setting",
    [
        "train.optimizer=sgd",
        "train.optimizer=adam",
        "train.lr=0.001",
        "train.weight_decay=0.5",
        "train.schedule=constant",
        "train.warmup_epochs=2",
        "train.clip=0.01",
        "train.label_smoothing=0.2",
        "train.slices=2",
        "train.batch=8",
        "train.augment.flip=0",
        "train.augment.rotate=0",
        "train.augment.shift=0",
        "train.augment.scale=0",
        "train.augment.brightness=0",
        "train.augment.contrast=0",
        "train.augment.noise=0",
        "model.dropout=0",
        "model.pool=mean",
        "model.normalise={mean: [0.1], std: [1.0]}",
    ],
)
def test_every_setting_changes_the_weights(setting: str, tmp_path: Path, plain_run: str) -> None:
    table = cohort(tmp_path, 12)
    run = fit(table, recipe("train.epochs=2", setting), tmp_path / "run", tmp_path / "cache")
    assert run.weights_sha256 != plain_run


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("plain")
    return fit(cohort(root, 12), recipe("train.epochs=2"), root / "run", root / "cache").weights_sha256
