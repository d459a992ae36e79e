"""What `/api/v1/training` gives."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class TrainingEpoch(BaseModel):
    """One epoch, counted from 1. values: as logged (`train_loss`, `val_loss`, `lr`), null for what was no number."""

    epoch: int
    values: dict[str, float | None]


class TrainingRun(BaseModel):
    """A training run.

    state: `stopped` where it wrote nothing for longer than its epochs take. done, most: epochs that are over, and that
    its recipe allows. patience: epochs without a lower validation loss after which it ends; since_best: how many there
    were. seconds_left: at most, estimated. facts: what it says of itself when it is done. faults: its files that
    cannot be read, of which nothing is told. curve: left out in lists.
    """

    name: str
    kind: Literal["training", "pretraining"]
    state: Literal["at work", "done", "stopped"]
    recipe: str
    question: str
    begun_at: datetime
    last_at: datetime
    done: int
    most: int | None
    best_epoch: int | None
    best_loss: float | None
    patience: int | None
    since_best: int | None
    seconds_per_epoch: float | None
    seconds_left: float | None
    facts: dict[str, str]
    faults: list[str]
    curve: list[TrainingEpoch]


class TrainingRuns(BaseModel):
    """The latest runs. count: how many there are in all."""

    items: list[TrainingRun]
    count: int
