"""Runs that are killed on their way: an end at the n-th event of training, and a process that ends in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from tests.train import made_patients

from insula.core.recipe import Recipe
from insula.train.fit import fit

PATIENTS = made_patients.cohort(18)
CACHES = made_patients.prepared(PATIENTS)
EVERYTHING = (
    "train.schedule=plateau",
    "train.plateau_patience=0",
    "train.ema=0.9",
    "train.accumulate=2",
    "train.balance=class",
    "train.focal=1",
    "train.batch=3",
    "train.slices=3",
    "train.modality_dropout=0.3",
    "train.stages=[{train: head, epochs: 2}, {train: last_blocks, epochs: 2, lr: 0.001, blocks: 2}]",
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


def kill() -> None:
    """End this process at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def recipe(*more: str) -> Recipe:
    """Stages, hard negatives, averaged weights, a plateau: all that a checkpoint has to bring back."""
    return made_patients.recipe(*EVERYTHING, *more)


def train_and_die(folder: str, at: int, more: tuple[str, ...] = ()) -> None:
    """Train in this process and kill it at the event `at`; runs in a process of its own."""
    fit(PATIENTS, recipe(*more), Path(folder), Path(folder), prepared=CACHES, callbacks=[Count(at, kill)])
