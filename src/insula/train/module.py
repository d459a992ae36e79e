"""The Lightning module: one step, one optimizer, one schedule, random numbers tied to the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch

from insula.core.recipe import Recipe, Train
from insula.model.network import Network
from insula.train.augment import augment
from insula.train.data import Batch, Sample
from insula.train.losses import TargetLoss
from insula.train.mixing import mix


class TrainingModule(lightning.LightningModule):
    """Fits a Network by a recipe; logs train_loss, val_loss and the learning rate."""

    def __init__(self, network: Network, recipe: Recipe, rows: Sequence[Sample], steps_per_epoch: int) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.loss = TargetLoss(recipe, rows)
        self.steps_per_epoch = steps_per_epoch

    def on_train_epoch_start(self) -> None:
        """Tell the sampler and the data set which epoch this is."""
        loader: Any = self.trainer.train_dataloader
        loader.sampler.epoch = self.current_epoch
        loader.dataset.epoch = self.current_epoch

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """One loss; dropout and augmentation draw from a seed made of the recipe's seed and the step's number."""
        step_seed = (self.recipe.seed * 1_000_003 + self.global_step) % 2**63
        torch.manual_seed(step_seed)
        generator = torch.Generator().manual_seed(step_seed + 1)
        x = augment(batch.x, self.recipe.train.augment, generator, batch.mask)
        x, y, share = mix(x, batch.mask, batch.y, self.recipe.train, generator)
        if share is not None:
            self.log("mix_lambda", share.mean(), on_step=False, on_epoch=True, batch_size=len(y))
        loss: torch.Tensor = self.loss(self.network(x, batch.mask), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.y))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss of the validation cases, without augmentation or dropout."""
        loss = self.loss(self.network(batch.x, batch.mask), batch.y)
        self.log("val_loss", loss, on_epoch=True, prog_bar=True, batch_size=len(batch.y))

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer with its schedule, stepped after each batch."""
        section = self.recipe.train
        optimizer = _optimizer(self.network, section)
        total = max(section.epochs * self.steps_per_epoch, 1)
        warmup = section.warmup_epochs * self.steps_per_epoch
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _factor(step, warmup, total, section))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _optimizer(network: Network, section: Train) -> torch.optim.Optimizer:
    """Weight decay for weights only: biases and normalisation scales are no directions to shrink."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if section.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=0.9, nesterov=True)
    kind = torch.optim.AdamW if section.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=section.lr)


def _factor(step: int, warmup: float, total: int, section: Train) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if section.schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(total - warmup, 1))))
