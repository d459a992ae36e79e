"""What a run says while it goes on, and where its curves lie."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

_SHORT, _REDRAW = 2.0, 0.5  # seconds: an epoch that needs no bar, and between two drawings of one


class EpochLines(Callback):
    """One line an epoch, which stays: the same on a terminal and in a log."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say the epoch's losses."""
        losses = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.say(
            f"  epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: training loss {losses['train_loss']:.4f}, "
            f"validation loss {losses['val_loss']:.4f}"
            + (f", mean λ of mixing {losses['mix_lambda']:.3f}" if "mix_lambda" in losses else "")
        )


class BatchBar(Callback):
    """Where an epoch takes long: how far it is, on a line of a terminal that is wiped before anything else is said."""

    def __init__(self) -> None:
        self._begun = self._drawn = 0.0
        self._shown = False

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the clock."""
        self._begun = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw anew, not more often than a person can read; after the last batch only wipe."""
        now, done, total = time.monotonic(), batch_idx + 1, int(trainer.num_training_batches)
        if done >= total:
            self._wipe()
        elif now - self._begun >= _SHORT and now - self._drawn >= _REDRAW:
            self._drawn, self._shown = now, True
            left = (now - self._begun) / done * (total - done)
            said = f"  epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {done} of {total} batches"
            sys.stderr.write(f"\r{said}, {left:.0f} s left  ")
            sys.stderr.flush()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the line to what is said of it."""
        self._wipe()

    def _wipe(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write("\r" + " " * 78 + "\r")
            sys.stderr.flush()


def curves(folder: Path) -> str:
    """A folder of its own for each part of a resumed run: the logger would delete the curves of the part before.

    A part that was killed before its first epoch left an empty folder, which the next one takes.
    """
    earlier = len(list(folder.glob("curves*/metrics.csv")))
    return f"curves-{earlier + 1}" if earlier else "curves"


class quiet_lightning(warnings.catch_warnings):  # noqa: N801 - used as a context manager, like its parent
    """Lightning's advice on workers and logging intervals is about other data paths than a memory-mapped cache."""

    def __enter__(self) -> None:
        super().__enter__()
        for message in (".*does not have many workers.*", ".*Checkpoint directory.*", ".*isinstance.*LeafSpec.*"):
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
