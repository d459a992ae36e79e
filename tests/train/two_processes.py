"""One of several processes that train together; started by torchrun with the run's folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.train import made_patients

from insula.core.recipe import Recipe
from insula.train.fit import fit
from insula.train.run import Run

PATIENTS = made_patients.cohort(18)
# Nothing is drawn by the process, no batch norm, and SGD: Adam turns gradients of mere rounding into steps.
STILL = (
    *(f"train.augment.{key}=0" for key in ("flip", "rotate", "shift", "scale", "brightness", "contrast", "noise")),
    "model.dropout=0",
    "model.encoder=vit_tiny_patch16_224",
    "train.optimizer=sgd",
    "train.lr=0.02",
)


def recipe() -> Recipe:
    """Stages, hard negatives, balanced classes, averaged weights, hidden inputs and a Cox loss over both processes."""
    return made_patients.recipe(
        *STILL,
        "train.stages=[{train: head, epochs: 1}, {train: last_blocks, epochs: 1}, {train: all, epochs: 1}]",
        "train.hard_negatives={rounds: 1, share: 0.5, epochs: 2}",
        "train.balance=class",
        "train.ema=0.5",
        "train.modality_dropout=0.3",
        "train.slices=3",
    )


def train(folder: Path, devices: int, resume: bool = False) -> Run:
    """The run, by this process and its siblings."""
    return fit(
        PATIENTS,
        recipe(),
        folder,
        folder,
        prepared=made_patients.prepared(PATIENTS),
        devices=devices,
        accelerator="cpu",
        resume=resume,
    )


if __name__ == "__main__":
    train(Path(sys.argv[1]), 2, resume=len(sys.argv) > 2)
