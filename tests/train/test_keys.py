"""Every key of a recipe's `train` and `model` sections changes something that can be seen in a tiny training.

A new key has no entry in the table below, and the first test then fails until somebody says what it does. A key with
choices is tried with all of them. Augmentation is off but for the key that is turned: what differs is its doing.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file
from tests import made_arrays
from tests.train import turned
from tests.train.turned import FILE, Seen, Turn, calls, epochs, losses, parameters, told

from insula.core.errors import TrainingError
from insula.core.recipe import Model, Train
from insula.model.network import Network
from insula.train.distil import Teacher
from insula.train.fit import fit
from insula.workflows.ensemble import train_members

pytestmark = pytest.mark.train
STEEP = ("train.epochs=6", "train.lr=0.05", "train.warmup_epochs=0")
ONE_TARGET = ("targets={tumour: {kind: multiclass, classes: [healthy, benign, malignant], primary: malignant}}",)
HARD = ("train.hard_negatives={rounds: 1, share: 0.5, epochs: 1}", "train.epochs=1", "train.lr=0.0001")  # still wrong

TURNS = {
    "model.encoder": Turn(("simple_cnn", "test_resnet"), ("train.epochs=1",), seen=parameters),
    "model.pretrained": Turn(("false", FILE)),
    "model.normalise.mean": Turn(("[0.5]", "[0.1]")),
    "model.normalise.std": Turn(("[0.25]", "[1.0]")),
    "model.pool": Turn(),
    "model.bags": Turn(),
    "model.dropout": Turn(("0", "0.5")),
    "model.features": Turn(("16", "24"), seen=parameters),
    "model.roles{}.encoder": Turn(
        ("simple_cnn", "test_resnet"), ("train.epochs=1",), "model.roles={t2: {encoder: @}}", parameters
    ),
    "model.roles{}.pretrained": Turn(("false", FILE), form="model.roles={t2: {pretrained: @}}"),
    "model.roles{}.normalise.mean": Turn(
        ("[0.5]", "[0.1]"), form="model.roles={t2: {normalise: {mean: @, std: [0.25]}}}"
    ),
    "model.roles{}.normalise.std": Turn(
        ("[0.25]", "[1.0]"), form="model.roles={t2: {normalise: {mean: [0.5], std: @}}}"
    ),
    "model.roles{}.pool": Turn(form="model.roles={t2: {pool: @}}"),
    "train.epochs": Turn(("1", "2"), seen=epochs),
    "train.batch": Turn(("4", "7")),
    "train.accumulate": Turn(("1", "2")),
    "train.optimizer": Turn(),
    "train.lr": Turn(("0.001", "0.01")),
    "train.momentum": Turn(("0", "0.5", "0.9"), ("train.optimizer=sgd",)),
    "train.weight_decay": Turn(("0", "0.5")),
    "train.schedule": Turn((), (*STEEP, "train.step_epochs=1", "train.plateau_patience=0"), seen=losses),
    "train.warmup_epochs": Turn(("0", "0.5", "2")),
    "train.step_epochs": Turn(("1", "2"), (*STEEP, "train.schedule=step"), seen=losses),
    "train.step_factor": Turn(("0.1", "0.5"), (*STEEP, "train.schedule=step", "train.step_epochs=1"), seen=losses),
    "train.plateau_patience": Turn(("0", "3"), (*STEEP, "train.schedule=plateau"), seen=losses),
    "train.clip": Turn(("0", "0.1")),
    "train.patience": Turn(("1", "3"), ("train.epochs=8", "train.lr=0.05"), seen=epochs),
    "train.class_weights": Turn(("true", "false")),
    "train.focal": Turn(("0", "2")),
    "train.label_smoothing": Turn(("0", "0.2")),
    "train.balance": Turn(),
    "train.ema": Turn(("0", "0.5")),
    "train.checkpoint": Turn(("false", "true"), seen=calls),
    "train.stages[].train": Turn(form="train.stages=[{train: @, epochs: 2}]"),
    "train.stages[].epochs": Turn(("1", "2"), form="train.stages=[{train: all, epochs: @}]", seen=epochs),
    "train.stages[].lr": Turn(("0.001", "0.01"), form="train.stages=[{train: all, epochs: 2, lr: @}]"),
    "train.stages[].blocks": Turn(("1", "3"), form="train.stages=[{train: last_blocks, epochs: 2, blocks: @}]"),
    "train.hard_negatives.rounds": Turn(("0", "1", "2"), HARD, seen=losses),
    "train.hard_negatives.share": Turn(("0.3", "0.9"), HARD, seen=losses),
    "train.hard_negatives.epochs": Turn(("1", "2"), HARD, seen=epochs),
    "train.slices": Turn(("0", "2")),
    "train.modality_dropout": Turn(("0", "0.5")),
    "train.loss_weights": Turn(("{}", "{volume: 0}", "{death: 3}")),
    "train.mixup": Turn(("0", "0.4"), ONE_TARGET),
    "train.cutmix": Turn(("0", "1"), ONE_TARGET),
    "train.augment.flip": Turn(("0", "1")),
    "train.augment.moved": Turn(("0", "1"), ("train.augment.rotate=30",)),
    "train.augment.rotate": Turn(("0", "30")),
    "train.augment.shift": Turn(("0", "0.3")),
    "train.augment.scale": Turn(("0", "0.3")),
    "train.augment.brightness": Turn(("0", "0.3")),
    "train.augment.contrast": Turn(("0", "0.5")),
    "train.augment.noise": Turn(("0", "0.2")),
    "train.augment.elastic": Turn(("0", "0.1")),
    "train.augment.grid": Turn(("0", "0.4")),
    "train.augment.optical": Turn(("0", "0.3")),
    "train.augment.chance": Turn(("0", "1"), ("train.augment.blur=2",)),
    "train.augment.gamma": Turn(("0", "1")),
    "train.augment.blur": Turn(("0", "2")),
    "train.augment.local_contrast": Turn(("0", "1")),
    "train.augment.holes": Turn(("0", "0.4")),
    "train.augment.bias": Turn(("0", "0.6")),
    "train.augment.gibbs": Turn(("0", "0.6")),
    "train.augment.ghost": Turn(("0", "0.6")),
    "train.augment.motion": Turn(("0", "0.2")),
    "train.augment.ring": Turn(("0", "0.5")),
    "train.augment.streak": Turn(("0", "0.5")),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Seen]:
    """A training with these overrides; one that was asked for before is not run again."""
    place = tmp_path_factory.mktemp("keys")
    file = str(turned.weights_file(place / "weights.safetensors"))
    known: dict[tuple[str, ...], Seen] = {}

    def once(*overrides: str) -> Seen:
        if overrides not in known:
            settings = (o.replace(FILE, file) for o in overrides)
            known[overrides] = turned.train(place / f"run-{len(known)}", *settings)
        return known[overrides]

    return once


def test_precision_is_named_and_refused_where_the_machine_has_none(trained: Callable[..., Seen]) -> None:
    auto, single, half = (trained(f"train.precision={name}") for name in ("auto", "fp32", "bf16"))
    assert auto.run.weights_sha256 == single.run.weights_sha256 != half.run.weights_sha256
    assert [told(seen) for seen in (auto, single, half)] == ["32-true", "32-true", "bf16-mixed"]
    assert any("the run is on a CPU" in line for line in auto.lines)
    assert any("as the recipe asks" in line for line in single.lines)
    with pytest.raises(TrainingError, match="fp16 needs a CUDA GPU"):
        trained("train.precision=fp16")


def test_members_are_as_many_trainings_of_other_seeds(tmp_path: Path) -> None:
    settings = made_arrays.recipe("train.epochs=1", "model.members=2")
    runs = train_members(
        made_arrays.cohort(tmp_path, 6), settings, tmp_path / "run", tmp_path / "cache", say=lambda line: None
    )
    assert [run.recipe.seed for run in runs] == [0, 1]
    assert runs[0].weights_sha256 != runs[1].weights_sha256


def test_what_is_learnt_of_a_teacher_goes_by_its_share_and_its_temperature(tmp_path: Path) -> None:
    people = made_arrays.cohort(tmp_path, 6)

    def weights(name: str, *more: str) -> str:
        asked = made_arrays.recipe("train.epochs=1", *more)
        torch.manual_seed(8)
        teacher = Teacher([Network(asked, {"mri": (1, 32, 32)})], asked, asked)
        return fit(people, asked, tmp_path / name, tmp_path / "cache", teacher=teacher).weights_sha256

    settings = ("weight=0", "weight=0.5", "temperature=5", "weight=0")
    found = [weights(f"run-{i}", f"train.distil.{value}") for i, value in enumerate(settings)]
    assert found[0] == found[3]
    assert len(set(found)) == 3


ALONE = {
    "train.distil.weight": test_what_is_learnt_of_a_teacher_goes_by_its_share_and_its_temperature,
    "train.distil.temperature": test_what_is_learnt_of_a_teacher_goes_by_its_share_and_its_temperature,
    "train.precision": test_precision_is_named_and_refused_where_the_machine_has_none,
    "model.members": test_members_are_as_many_trainings_of_other_seeds,
}
CHOICES = {**dict(turned.keys(Train, "train")), **dict(turned.keys(Model, "model"))}


def test_no_key_is_without_a_turn() -> None:
    assert set(CHOICES) == TURNS.keys() | ALONE.keys()


def test_a_key_that_is_new_would_be_found() -> None:
    class Wider(Train):
        wiggle: float = 0.0
        later: tuple[Model, ...] = Field(default=())

    names = dict(turned.keys(Wider, "train"))
    assert "train.wiggle" in names
    assert "train.later[].roles{}.normalise.std" in names
    assert names["train.later[].pool"] == ("mean", "max", "attention", "transformer")


@pytest.mark.parametrize("key", TURNS)
def test_a_turned_key_changes_what_can_be_seen(key: str, trained: Callable[..., Seen]) -> None:
    turn = TURNS[key]
    values = CHOICES[key] or turn.values
    assert len(values) > 1
    form = turn.form or f"{key}=@"
    found = {value: turn.seen(trained(*turn.base, form.replace("@", value, 1))) for value in values}
    assert len(set(found.values())) == len(values), found


def test_the_weights_of_a_file_are_where_training_starts(trained: Callable[..., Seen]) -> None:
    still = ("train.lr=1.0e-12", "train.epochs=1")
    seen = trained(*still, f"model.roles={{t2: {{pretrained: {FILE}}}}}")
    assert "t2: simple_cnn starts from the local file weights.safetensors" in seen.lines[0]
    kept = load_file(seen.run.folder / "weights.safetensors")
    given = load_file(seen.run.folder.parent / "weights.safetensors")
    assert float((kept["encoders.t2.layers.0.weight"] - given["layers.0.weight"]).abs().max()) < 1e-6
    assert float((kept["encoders.t1.layers.0.weight"] - given["layers.0.weight"]).abs().max()) > 0.01


def test_checkpoints_run_the_encoder_twice_and_keep_the_weights(trained: Callable[..., Seen]) -> None:
    plain, again = trained("train.checkpoint=false"), trained("train.checkpoint=true")
    assert again.calls == 2 * plain.calls
    assert weights_apart(plain, again) < 1e-6


def weights_apart(one: Seen, other: Seen) -> float:
    """The largest difference between the weights of two runs."""
    a, b = (load_file(seen.run.folder / "weights.safetensors") for seen in (one, other))
    return max(float((value.double() - b[name].double()).abs().max()) for name, value in a.items())
