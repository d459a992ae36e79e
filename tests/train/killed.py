"""Runs that are killed on their way: an end at the n-th event of training, in a process that ends with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from tests.train import made_patients

from insula.core.recipe import Recipe
from insula.train.fit import fit
from insula.train.run import Run

PATIENTS = made_patients.cohort(18)
CACHES = made_patients.prepared(PATIENTS)
EVERYTHING = (
    "train.lr=0.05",
    "train.warmup_epochs=0",
    "train.schedule=plateau",
    "train.plateau_patience=0",
    "train.ema=0.5",
    "train.accumulate=2",
    "train.balance=class",
    "train.focal=1",
    "train.batch=3",
    "train.slices=3",
    "train.modality_dropout=0.3",
    "train.stages=[{train: head, epochs: 2}, {train: last_blocks, epochs: 3, blocks: 2}]",
    "train.hard_negatives={rounds: 2, share: 0.5, epochs: 2}",
)


class Count(Callback):
    """Does `then` at the n-th event: a batch's start, its gradient, its end; a validation batch; an epoch's end.

    Without `then` it counts how many there are.
    """

    def __init__(self, at: int = 0, then: Callable[[], None] = lambda: None) -> None:
        self.at, self.then, self.seen = at, then, 0

    def _event(self, *args: Any, **kwargs: Any) -> None:
        self.seen += 1
        if self.seen == self.at:
            self.then()

    on_train_epoch_start = on_train_batch_start = on_after_backward = on_train_batch_end = _event
    on_validation_batch_end = on_validation_end = on_train_epoch_end = _event


def recipe(*more: str) -> Recipe:
    """Stages, hard negatives, averaged weights, a plateau: all that a checkpoint has to bring back."""
    return made_patients.recipe(*EVERYTHING, *more)


def train(folder: Path, resume: bool = False, callbacks: tuple[Callback, ...] = (), asked: Recipe | None = None) -> Run:
    """One run in this process."""
    return fit(PATIENTS, asked or recipe(), folder, folder, prepared=CACHES, callbacks=callbacks, resume=resume)


def killed_at(folder: Path, event: int, resume: bool = False) -> int:
    """Train in a process that kills itself at an event, as a power cut would; its exit code, −9 for the kill."""
    process = _context().Process(target=_train_and_die, args=(folder, event, resume))
    process.start()
    process.join(120)
    return -1 if process.exitcode is None else process.exitcode


def killed_after(folder: Path, seconds: float, resume: bool = False) -> int:
    """The same, killed from outside so many seconds after its folder is there, whatever it does then."""
    process = _context().Process(target=_train_and_die, args=(folder, 0, resume))
    process.start()
    while process.is_alive() and not (folder / "recipe.yaml").is_file():
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.join(120)
    return -1 if process.exitcode is None else process.exitcode


def _context() -> Any:
    """Processes forked from one that has loaded everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.killed"])
    return context


def _train_and_die(folder: Path, event: int, resume: bool) -> None:
    train(folder, resume, (Count(event, lambda: os.kill(os.getpid(), signal.SIGKILL)),))
