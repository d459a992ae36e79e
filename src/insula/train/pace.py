"""What goes by the epoch or the step beside the gradient: stages, learning rate, averaged weights, hard rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import nn

from insula.core.recipe import Train
from insula.train.average import WeightAverage
from insula.train.optimise import set_rate
from insula.train.sampling import Hard
from insula.train.schedule import Plateau, rate
from insula.train.stages import Stage, apply, plan, stage_at

KEY = "pace"


class Pace(Callback):
    """Leads a network through the recipe's stages; its state in the checkpoint makes a resumed run go on exactly.

    At the start of an epoch the stage's part of the network is freed; before each step the optimizer gets the step's
    learning rate; after it the averaged weights take in the new ones, and validation sees the averaged ones (`ema`).
    The log gets `lr` (of the epoch's last step) and `stage` (from 1).

    steps_per_epoch: of the optimizer. hard: gives the inputs that a hard-negative round draws from; called with the
    number of the round and true at its start, false when a run goes on within it. draw: hands them to the sampler, or
    None outside of rounds.
    """

    def __init__(
        self,
        network: nn.Module,
        section: Train,
        steps_per_epoch: int,
        *,
        hard: Callable[[int, bool], Hard] | None = None,
        draw: Callable[[Hard | None], None] = lambda found: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.network, self.section, self.steps_per_epoch = network, section, steps_per_epoch
        self.hard, self.draw, self.say = hard, draw, say
        self.stages = plan(section)
        self.plateau = Plateau(section)
        self.average = WeightAverage(network, section.ema) if section.ema else None
        self.steps = 0
        self.rate = 0.0
        self._current: Stage | None = None
        self._swapped = ExitStack()

    def shown(self) -> AbstractContextManager[nn.Module]:
        """The network with the weights that validation sees: the averaged ones where there are any."""
        if self.average is not None and self.average.count:
            return self.average.swapped(self.network)
        return nullcontext(self.network)

    @property
    def state_key(self) -> str:
        """Where the checkpoint keeps the state."""
        return KEY

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Enter the epoch's stage."""
        stage = stage_at(trainer.current_epoch, self.stages)
        if stage != self._current:
            starts = trainer.current_epoch == stage.start
            if starts:
                self.plateau.restart()
            if len(self.stages) > 1:
                self.say(f"  {stage.line}")
            self.draw(self.hard(stage.hard_round, starts) if stage.hard_round and self.hard is not None else None)
            self._current = stage
        apply(self.network, stage)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate of the coming step."""
        step = trainer.global_step
        self.rate = rate(step, self.steps_per_epoch, self.section, self.stages) * self.plateau.factor
        set_rate(trainer.optimizers[0], self.rate)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average the weights after a step (with `accumulate`, not after every batch)."""
        if trainer.global_step > self.steps and self.average is not None:
            self.average.update(self.network)
        self.steps = trainer.global_step

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the learning rate and the stage."""
        pl_module.log("lr", self.rate)
        pl_module.log("stage", float(self.stages.index(stage_at(trainer.current_epoch, self.stages)) + 1))

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the averaged weights in."""
        self._swapped.enter_context(self.shown())

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the training weights back, and look whether the loss still falls."""
        self._swapped.close()
        if "val_loss" in trainer.callback_metrics and not trainer.sanity_checking:
            self.plateau.update(float(trainer.callback_metrics["val_loss"]))

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Put the training weights back."""
        self._swapped.close()

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps."""
        average = None if self.average is None else self.average.state_dict()
        return {"steps": self.steps, "plateau": self.plateau.state_dict(), "average": average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps = int(state_dict["steps"])
        self.plateau.load_state_dict(state_dict["plateau"])
        if self.average is not None and state_dict["average"] is not None:
            self.average.load_state_dict(state_dict["average"])


class Patience(EarlyStopping):
    """Early stopping by the validation loss; earlier stages run through, so epochs without gain count in the last one.

    A loss that is not a number stops the run in any stage.
    """

    def __init__(self, section: Train) -> None:
        super().__init__("val_loss", patience=section.patience)
        self.first = plan(section)[-1].start

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the epoch's loss."""
        loss = float(trainer.callback_metrics["val_loss"])
        if trainer.current_epoch >= self.first or not math.isfinite(loss):
            super().on_train_epoch_end(trainer, pl_module)


def total_epochs(section: Train) -> int:
    """Epochs of all stages and hard-negative rounds together."""
    return section.total_epochs


def best_weights(checkpoint: dict[str, Any], prefix: str = "network.") -> dict[str, torch.Tensor]:
    """The weights that validation saw: the averaged ones of a checkpoint where there are any, or its own."""
    average = checkpoint.get("callbacks", {}).get(KEY, {}).get("average")
    if average is not None:
        return {k: v.contiguous() for k, v in average["values"].items()}
    state: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return {k.removeprefix(prefix): v.contiguous() for k, v in state.items() if k.startswith(prefix)}


def several_parts(stages: Sequence[Stage]) -> bool:
    """Whether some stage freezes parts: then processes that train together must look for unused parameters."""
    return any(stage.train != "all" for stage in stages)
