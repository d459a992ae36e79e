"""What a run says while it goes on, and where its curves lie."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback


class EpochLines(Callback):
    """One line an epoch, for logs where a bar that redraws itself would make a mess."""

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
