import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from tests.made_arrays import SETTINGS, cohort, recipe

from insula.core.errors import RecipeError, TrainingError
from insula.core.recipe import Augment
from insula.core.recipe_pretrain import Pretrain
from insula.core.types import Cohort
from insula.model.encoders import build_encoder
from insula.prep.cache import build
from insula.train.pretrain import Pretrained, pretrain
from insula.train.pretrain_module import Painter

pytestmark = pytest.mark.train
STILL = Augment(flip=0, rotate=0, shift=0, scale=0, brightness=0, contrast=0, noise=0, chance=0)


def run(table: Cohort, root: Path, name: str, seed: int = 0, **more: Any) -> Pretrained:
    options = {k: more.pop(k) for k in ("resume", "callbacks", "say") if k in more}
    section = Pretrain.model_validate({"epochs": 2, "batch": 16, "width": 32, "patch": 8, **more})
    return pretrain(table, recipe(f"seed={seed}"), section, root / name, root / "cache", **options)


class Stop(Callback):
    """Breaks a run off in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, out: Any, batch: Any, index: int) -> None:
        if trainer.current_epoch == self.epoch and index == 1:
            raise InterruptedError


@pytest.mark.parametrize("method", ["vicreg", "masked"])
def test_one_seed_gives_one_encoder_that_training_takes_whole(method: str, tmp_path: Path) -> None:
    table = cohort(tmp_path)
    runs = [run(table, tmp_path, f"run{i}", seed, method=method) for i, seed in enumerate((0, 0, 1))]
    assert runs[0].weights_sha256 == runs[1].weights_sha256 != runs[2].weights_sha256
    assert all(name.startswith("encoder.") for name in load_file(runs[0].file))
    encoder = build_encoder("simple_cnn", 1, str(runs[0].file), (32, 32))
    loaded: Any = encoder.loaded
    assert loaded.taken == loaded.wanted
    for name, value in load_file(runs[0].file).items():
        if name.endswith("num_batches_tracked"):  # a counter, which training begins anew
            continue
        assert torch.equal(encoder.state_dict()[name.removeprefix("encoder.")], value)
    facts = json.loads((tmp_path / "run0/pretrain.json").read_text())
    assert facts["weights_sha256"] == runs[0].weights_sha256
    assert facts["section"]["method"] == method
    assert len(facts["patients"]) == runs[0].patients == 16  # the train split alone
    rows = list(csv.DictReader((tmp_path / "run0/curves/metrics.csv").read_text().splitlines()))
    assert [r["epoch"] for r in rows if r["train_loss"]] == ["0", "1"]
    assert {"train_loss", "spread", "rank", "lr"} <= set(rows[0])
    assert ("invariance" in rows[0]) == (method == "vicreg")


@pytest.mark.parametrize("method", ["vicreg", "masked"])
def test_a_run_that_was_broken_off_resumes_to_the_weights_of_an_unbroken_one(method: str, tmp_path: Path) -> None:
    table = cohort(tmp_path)
    whole = run(table, tmp_path, "whole", method=method, epochs=3)
    with pytest.raises(InterruptedError):
        run(table, tmp_path, "broken", method=method, epochs=3, callbacks=[Stop(1)])
    resumed = run(table, tmp_path, "broken", method=method, epochs=3, resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256


def test_both_methods_learn_what_they_are_asked(tmp_path: Path) -> None:
    """Slices of a patient share a stripe pattern: painting beats the mean, and neighbours come together."""
    table = cohort(tmp_path)
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32]
    for i, case in enumerate(table.cases):
        wave = 0.5 + 0.5 * np.sin((0.2 + 0.04 * i) * (x if i % 2 else y))
        np.save(tmp_path / f"{i}.npy", (wave + rng.normal(0, 0.02, (5, 32, 32))).astype(np.float32))
        assert case.scans["mri"].paths == (f"{i}.npy",)
    settings: dict[str, Any] = {"epochs": 12, "lr": 0.003, "augment": STILL}
    lines: list[str] = []
    masked = run(table, tmp_path, "masked", method="masked", patch=4, say=lines.append, **settings)
    prepared = build(table.of_split("train"), tmp_path, "mri", recipe().inputs["mri"], tmp_path / "cache")
    scaled = (prepared.slices[prepared.rows()] - 0.5) / 0.25
    assert masked.loss < 0.6 * np.abs(scaled - np.median(scaled)).mean()
    assert any("epoch 12/12" in line for line in lines)
    run(table, tmp_path, "pairs", **settings)
    rows = list(csv.DictReader((tmp_path / "pairs/curves/metrics.csv").read_text().splitlines()))
    parts = {k: [float(r[k]) for r in rows if r[k]] for k in ("invariance", "variance", "train_loss")}
    assert parts["train_loss"][-1] < 0.8 * parts["train_loss"][0]
    assert parts["variance"][-1] < parts["variance"][0]


@pytest.mark.parametrize("method", ["vicreg", "masked"])
@pytest.mark.parametrize("encoder", ["resnet18", "vit_tiny_patch16_224"])
def test_convolutional_encoders_and_transformers_are_taken(encoder: str, method: str, tmp_path: Path) -> None:
    table, question = cohort(tmp_path, 12), recipe(f"model.encoder={encoder}")
    section = Pretrain.model_validate({"method": method, "epochs": 1, "batch": 8, "width": 16})
    done = pretrain(table, question, section, tmp_path / "run", tmp_path / "cache")
    loaded: Any = build_encoder(encoder, 1, str(done.file), (32, 32)).loaded
    assert loaded.taken == loaded.wanted
    assert loaded.unused == 0


@pytest.mark.parametrize(("size", "cells"), [((32, 32), (2, 2)), ((30, 20), (4, 3)), ((96, 48), (3, 3))])
def test_cells_paint_the_whole_picture(size: tuple[int, int], cells: tuple[int, int]) -> None:
    painter = Painter(8, 3, size, cells)
    assert painter(torch.rand(2, 8, *cells)).shape == (2, 3, *size)


def test_collapsed_features_stop_the_run(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    for i in range(len(table.cases)):
        np.save(tmp_path / f"{i}.npy", np.tile(np.linspace(0, 1, 32, dtype=np.float32), (4, 32, 1)))
    with pytest.raises(TrainingError, match=r"collapsed: their spread is 0\.00"):
        run(table, tmp_path, "run", augment=STILL)


def test_runs_that_cannot_start_say_why(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    run(table, tmp_path, "run", epochs=1)
    with pytest.raises(TrainingError, match="earlier run"):
        run(table, tmp_path, "run")
    with pytest.raises(TrainingError, match="no run to resume"):
        run(table, tmp_path, "new", resume=True)
    with pytest.raises(TrainingError, match="needs at least 8"):
        run(replace(table, cases=table.cases[:1]), tmp_path, "few")
    with pytest.raises(TrainingError, match="no input 'ct'"):
        pretrain(table, recipe(), Pretrain(), tmp_path / "role", tmp_path / "cache", role="ct")
    volumes = recipe("model.encoder=resnet3d_18")
    with pytest.raises(TrainingError, match="single slices"):
        pretrain(table, volumes, Pretrain(), tmp_path / "volumes", tmp_path / "cache")
    normalised = recipe("model.normalise={mean: [0, 0], std: [1, 1]}")
    with pytest.raises(TrainingError, match="2 values"):
        pretrain(table, normalised, Pretrain(), tmp_path / "values", tmp_path / "cache")


@pytest.mark.parametrize(
    "setting",
    [
        {"method": "masked"},
        {"epochs": 1},
        {"batch": 8},
        {"lr": 0.01},
        {"weight_decay": 1.0},
        {"warmup_epochs": 0},
        {"clip": 0.01},
        {"neighbours": 0},
        {"width": 16},
        {"augment": STILL},
    ],
)
def test_every_setting_changes_the_encoder(setting: dict[str, Any], tmp_path: Path, plain: tuple[str, str]) -> None:
    assert run(cohort(tmp_path, 12), tmp_path, "run", **setting).weights_sha256 != plain[0]


@pytest.mark.parametrize("setting", [{"hide": 0.3}, {"patch": 4}])
def test_every_setting_of_masking_changes_the_encoder(
    setting: dict[str, Any], tmp_path: Path, plain: tuple[str, str]
) -> None:
    assert run(cohort(tmp_path, 12), tmp_path, "run", method="masked", **setting).weights_sha256 != plain[1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("plain")
    table = cohort(root, 12)
    return (
        run(table, root, "pairs").weights_sha256,
        run(table, root, "masked", method="masked").weights_sha256,
    )


def test_views_keep_the_brightness_that_training_allows() -> None:
    training = Augment(brightness=0.02, contrast=0.03, noise=0.01)
    wide = Pretrain().views(training)
    assert (wide.brightness, wide.contrast, wide.noise) == (0.02, 0.03, 0.01)
    assert wide.scale > training.scale
    painted = Pretrain(method="masked").views(training)
    assert (painted.brightness, painted.noise, painted.chance) == (0.0, 0.0, 0.0)
    assert Pretrain(augment=STILL).views(training) == STILL


def test_the_verb_writes_an_encoder_and_says_how_to_start_from_it(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from insula.cli.pretrain import pretrain as verb
    from insula.cohort.table import save

    save(cohort(tmp_path, 12), tmp_path / "cohort.csv")
    sets = [*SETTINGS, "pretrain.epochs=1", "pretrain.batch=8", "pretrain.augment.flip=0"]
    common = [str(tmp_path / "cohort.csv"), "--recipe", "brain-tumour", "--cache", str(tmp_path / "cache")]
    common += [part for setting in sets for part in ("--set", setting)]
    answer = CliRunner().invoke(verb, [*common, "--out", str(tmp_path / "run")], catch_exceptions=False)
    assert answer.exit_code == 0
    assert f"--set model.pretrained={tmp_path / 'run/encoder.safetensors'}" in answer.output
    facts = json.loads((tmp_path / "run/pretrain.json").read_text())
    assert (facts["section"]["epochs"], facts["section"]["augment"]["flip"]) == (1, 0.0)
    with pytest.raises(RecipeError, match=r"pretrain\.epochs. = 0"):
        CliRunner().invoke(verb, [*common, "--out", "x", "--set", "pretrain.epochs=0"], catch_exceptions=False)
