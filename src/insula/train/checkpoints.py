"""What a run leaves on disk so that it can be stopped anywhere, moved, and gone on with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from insula.core.provenance import write_bytes

FOLDER = "checkpoints"


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a kill leaves the one before or the new one.

    Lightning's own writing begins in the system's temporary folder. Where that is another disk the file is then copied,
    and a run killed in the copy could not go on.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one file."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue())


class Kept(ModelCheckpoint):
    """Remembers its files by name alone, so that it knows them again when the run's folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": models, "dirpath": self.dirpath})


class Resumed(Callback):
    """Holds a run that goes on to its recipe's patience, and lets it end where that had run out already."""

    def __init__(self, early: EarlyStopping) -> None:
        self.early, self.patience = early, early.patience

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at what the checkpoint brought back."""
        self.early.patience = self.patience  # the checkpoint's own would stand otherwise
        if self.early.wait_count >= self.patience:
            trainer.should_stop = True


def keepers(folder: Path) -> tuple[Kept, Kept]:
    """Writers of `best.ckpt`, of the epoch with the lowest validation loss, and of `last.ckpt`, after each epoch."""
    place = folder / FOLDER
    best = Kept(place, "best", monitor="val_loss", enable_version_counter=False)
    return best, Kept(place, "last", enable_version_counter=False)


def sweep(folder: Path) -> None:
    """Remove what a kill left half written."""
    for path in (folder / FOLDER).glob(".*.ckpt.*"):
        path.unlink(missing_ok=True)
