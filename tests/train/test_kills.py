"""A run that is killed anywhere and resumed ends with the weights of one that was not."""

import csv
import random
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests.faults.tally import Tally, place
from tests.train import curves, killed, made_patients

from insula.core import provenance
from insula.core.errors import TrainingError
from insula.train import checkpoints, fit
from insula.train.run import Run

pytestmark = pytest.mark.train


class CutError(RuntimeError):
    """What ends a run within this process."""


def cut(*args: object, **kwargs: object) -> None:
    raise CutError


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, int]:
    """The run without a kill, and how many events it has."""
    count = killed.Count()
    return killed.train(tmp_path_factory.mktemp("unbroken") / "run", callbacks=(count,)), count.seen


def test_the_run_that_is_killed_uses_all_that_a_checkpoint_must_bring_back(unbroken: tuple[Run, int]) -> None:
    folder = unbroken[0].folder
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["callbacks"]
    assert state["pace"]["average"]["count"] > 0
    lines = curves.read(folder)
    assert [line["stage"] for line in lines] == [1, 1, 2, 2, 2, 3, 3, 4, 4]
    assert min(line["lr"] for line in lines) < 0.05 * 0.5  # the plateau's factor has fallen
    found = list(csv.DictReader((folder / "hard-negatives.csv").read_text().splitlines()))
    assert {line["round"] for line in found} == {"1", "2"}


@pytest.mark.parametrize("number", range(5))
def test_a_killed_run_resumes_to_the_same_weights(number: int, unbroken: tuple[Run, int], tmp_path: Path) -> None:
    whole, events = unbroken
    event = random.Random(number).randint(number * events // 5 + 1, (number + 1) * events // 5)
    assert killed.killed_at(tmp_path / "run", event) == -9
    assert not (tmp_path / "run/weights.safetensors").exists()
    resumed = killed.train(tmp_path / "run", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256, f"killed at event {event} of {events}"
    assert (resumed.epochs, resumed.best_loss) == (whole.epochs, whole.best_loss)
    assert curves.read(tmp_path / "run") == curves.read(whole.folder)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_fifty_kills_give_one_hash(unbroken: tuple[Run, int], tmp_path: Path) -> None:
    whole, events = unbroken
    draw = random.Random(7)
    hashes, kills = [], 0
    for number in range(50):
        folder = tmp_path / f"run-{number}"
        if number % 2:
            code = killed.killed_after(folder, draw.random() * 2.0)
        else:
            code = killed.killed_at(folder, draw.randint(1, events))
        for _ in range(number % 3):  # some are killed again on their way
            if code == -9:
                kills += 1
                code = killed.killed_at(folder, draw.randint(1, events // 3), resume=True)
        kills += code == -9
        hashes.append(killed.train(folder, resume=True).weights_sha256)
        shutil.rmtree(folder)
    differ = sum(one != whole.weights_sha256 for one in hashes)
    told = "training with stages and hard negatives killed (-9) and resumed: weights against those of an unbroken run"
    Tally(place(tmp_path), "kills_trainer").tried(told, kills, lost=differ, figures={"runs": len(hashes)})


def test_a_kill_before_the_first_checkpoint_starts_anew(unbroken: tuple[Run, int], tmp_path: Path) -> None:
    with pytest.raises(CutError):
        killed.train(tmp_path / "run", callbacks=(killed.Count(3, cut),))
    assert (tmp_path / "run/recipe.yaml").is_file()
    assert not (tmp_path / "run/checkpoints/last.ckpt").exists()
    assert killed.train(tmp_path / "run", resume=True).weights_sha256 == unbroken[0].weights_sha256
    assert curves.read(tmp_path / "run") == curves.read(unbroken[0].folder)


@pytest.mark.parametrize("file", ["best.ckpt", "last.ckpt"])
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    file: str, unbroken: tuple[Run, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = provenance.write_bytes
    written = 0

    def half(path: Path, data: bytes) -> None:
        nonlocal written
        written += path.name == file
        if written == 2:
            (path.parent / f".{path.name}.abcd").write_bytes(data[: len(data) // 2])
            raise CutError
        whole(path, data)

    monkeypatch.setattr(checkpoints, "write_bytes", half)
    with pytest.raises(CutError):
        killed.train(tmp_path / "run")
    monkeypatch.undo()
    assert killed.train(tmp_path / "run", resume=True).weights_sha256 == unbroken[0].weights_sha256
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_kill_after_the_last_epoch_costs_no_further_one(
    unbroken: tuple[Run, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "keep", cut)
    with pytest.raises(CutError):
        killed.train(tmp_path / "run")
    monkeypatch.undo()
    count = killed.Count()
    resumed = killed.train(tmp_path / "run", resume=True, callbacks=(count,))
    assert count.seen == 0
    assert resumed.weights_sha256 == unbroken[0].weights_sha256


def test_a_run_that_had_lost_patience_does_not_find_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("train.epochs=12", "train.patience=2", "train.lr=0.02", "train.warmup_epochs=0")
    asked = made_patients.recipe(*settings)
    whole = killed.train(tmp_path / "whole", asked=asked)
    assert whole.epochs < 12
    monkeypatch.setattr(fit, "keep", cut)
    with pytest.raises(CutError):
        killed.train(tmp_path / "run", asked=asked)
    monkeypatch.undo()
    count = killed.Count()
    resumed = killed.train(tmp_path / "run", resume=True, callbacks=(count,), asked=asked)
    assert (count.seen, resumed.epochs, resumed.weights_sha256) == (0, whole.epochs, whole.weights_sha256)
    more = killed.train(tmp_path / "run", resume=True, asked=made_patients.recipe(*settings, "train.patience=4"))
    assert more.epochs > whole.epochs


def test_a_run_whose_folder_was_moved_keeps_its_best_epoch(tmp_path: Path) -> None:
    asked = made_patients.recipe("train.epochs=6", "train.lr=0.02", "train.warmup_epochs=0")
    whole = killed.train(tmp_path / "whole", asked=asked)
    losses = [line["val_loss"] for line in curves.read(whole.folder)]
    assert losses.index(min(losses)) < 4
    with pytest.raises(CutError):
        killed.train(tmp_path / "run", callbacks=(At(4),), asked=asked)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = killed.train(tmp_path / "moved", resume=True, asked=asked)
    assert (moved.weights_sha256, moved.best_loss) == (whole.weights_sha256, whole.best_loss)
    assert not (tmp_path / "run").exists()


def test_resuming_asks_for_a_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run to resume"):
        killed.train(tmp_path / "none", resume=True)


class At(Callback):
    """Ends the run at the start of an epoch, counted from 0."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: object, pl_module: object) -> None:
        if trainer.current_epoch == self.epoch:  # type: ignore[attr-defined]
            raise CutError
