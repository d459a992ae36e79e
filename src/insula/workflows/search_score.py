"""The score of a training run: the metric after each epoch, and that of the epoch whose weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.evaluate.table import Sample
from insula.metrics.probabilities import from_logits
from insula.workflows.search_metric import Metric, value


@dataclass(eq=False)
class Watch(Callback):
    """Computes the metric at the end of each epoch and remembers that of the epoch with the lowest validation loss.

    That epoch's weights are the ones which training keeps, so the score is that of the network that comes out. told:
    called with the number of the epoch (from 1) and the metric's value; it may raise to end the training.
    """

    metric: Metric
    recipe: Recipe
    told: Callable[[int, float], None] = lambda epoch, value: None
    score: float = float("nan")
    _lowest: float = float("inf")
    _columns: list[torch.Tensor] = field(default_factory=list)
    _hook: Any = None

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen to what the network says of the validation cases."""
        self._columns = []
        if self.metric.name != "val_loss":
            network: Any = pl_module.network
            own = self.recipe.columns(self.recipe.target_name)
            self._hook = network.register_forward_hook(
                lambda module, inputs, out: self._columns.append(out.detach()[:, own].float().cpu())
            )

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compute the epoch's value."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        loss = float(trainer.callback_metrics["val_loss"])
        found = loss if self.metric.name == "val_loss" else self._value(trainer)
        if loss < self._lowest:
            self._lowest, self.score = loss, found
        self.told(trainer.current_epoch + 1, found)

    def result(self) -> float:
        """The score of a finished training; TrainingError where it is not defined."""
        if not np.isfinite(self.score):
            raise TrainingError(
                f"The {self.metric.title} of the val split is not defined (a class may have no patient there); "
                "search by --metric val_loss, or split again."
            )
        return self.score

    def _value(self, trainer: lightning.Trainer) -> float:
        loaders: Any = trainer.val_dataloaders
        rows, name = loaders.dataset.rows, self.recipe.target_name
        known = [i for i, row in enumerate(rows) if row.y[name] is not None]
        columns = torch.cat(self._columns).numpy()[known]
        p = from_logits(columns, 1.0, self.recipe.target.kind)
        if not np.isfinite(p).all():
            return float("nan")
        keys = np.array([rows[i].case for i in known])
        patients = np.array([rows[i].patient for i in known])
        y = np.array([rows[i].y[name] for i in known]) > 0.5
        return value(self.metric, Sample(keys, patients, y, p, np.full(p.shape, 0.5)), self.recipe)
