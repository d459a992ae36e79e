"""The Lightning module: one step, with random numbers tied to the step's place in the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch

from insula.core.recipe import Recipe
from insula.model.network import Network
from insula.train.augment import augment
from insula.train.data import Batch, Tensors
from insula.train.distil import Teacher
from insula.train.losses import JointLoss, LabelFacts
from insula.train.mixing import mix
from insula.train.optimise import make_optimizer


class TrainingModule(lightning.LightningModule):
    """Fits a Network by a recipe; logs train_loss and val_loss, and with several targets each one's own.

    teacher: whose answers on the same changed pictures are part of the training loss (`train_loss_teacher`).
    """

    def __init__(
        self, network: Network, recipe: Recipe, facts: Mapping[str, LabelFacts], teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.loss = JointLoss(recipe, facts)
        self.teacher = teacher

    def on_train_epoch_start(self) -> None:
        """Tell the sampler and the data set which epoch this is."""
        loader: Any = self.trainer.train_dataloader
        loader.sampler.epoch = self.current_epoch
        loader.dataset.epoch = self.current_epoch

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """One loss; dropout and augmentation draw from a seed made of the recipe's seed, epoch, batch and process."""
        step_seed = (self.recipe.seed * 1_000_003 + self.current_epoch * 100_003 + index) % 2**62
        torch.manual_seed(step_seed + 1_009 * self.global_rank)
        generator = torch.Generator().manual_seed(step_seed + 1 + 1_009 * self.global_rank)
        section = self.recipe.train
        x = {
            role: augment(pictures, section.augment, generator, batch.mask[role].amax(1))
            for role, pictures in batch.x.items()
        }
        mixed = mix(x, batch.mask, batch.y, batch.known, section, generator, batch.clinical)
        size = len(batch.clinical)
        if mixed.share is not None:
            self.log("mix_lambda", mixed.share.mean(), on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        columns = self._by_target(self.network(mixed.x, batch.mask, mixed.clinical))
        loss: torch.Tensor
        loss, parts = self.loss(columns, mixed.y, mixed.known)
        if self.teacher is not None:
            apart = self.teacher.apart(columns, self._by_target(self.teacher(mixed.x, batch.mask, mixed.clinical)))
            self.log(
                "train_loss_teacher", apart.detach(), on_step=False, on_epoch=True, batch_size=size, sync_dist=True
            )
            share = section.distil.weight
            loss = (1.0 - share) * loss + share * apart
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=size, sync_dist=True)
        self._log_parts("train", parts, size)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin to collect."""
        self._seen: list[tuple[torch.Tensor, Tensors, Tensors]] = []

    def validation_step(self, batch: Batch, index: int) -> None:
        """The columns of the validation cases, without augmentation or dropout."""
        self._seen.append((self.network(batch.x, batch.mask, batch.clinical), batch.y, batch.known))

    def on_validation_epoch_end(self) -> None:
        """One loss over all validation cases: risk sets and weighted means must not depend on the batches."""
        columns = self._by_target(torch.cat([c for c, _, _ in self._seen]))
        y = {name: torch.cat([one[name] for _, one, _ in self._seen]) for name in self.recipe.targets}
        known = {name: torch.cat([one[name] for _, _, one in self._seen]) for name in self.recipe.targets}
        self._seen = []
        loss, parts = self.loss(columns, y, known)
        self.log("val_loss", loss, prog_bar=True, sync_dist=True)
        self._log_parts("val", parts, len(columns[self.recipe.target_name]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimizer; `Pace` sets its learning rate before each step."""
        return make_optimizer(self.network, self.recipe.train)

    def _by_target(self, columns: torch.Tensor) -> Tensors:
        return {name: columns[:, self.recipe.columns(name)] for name in self.recipe.targets}

    def _log_parts(self, when: str, parts: Mapping[str, torch.Tensor], size: int) -> None:
        if len(parts) > 1:
            named = {f"{when}_loss_{name}": value for name, value in parts.items()}
            self.log_dict(named, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
