"""The learning rate of each step: a pure function of the step's number, so that a resumed run has nothing to recall.

The plateau schedule alone looks at the losses; its small state travels in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from insula.core.recipe import Train
from insula.train.stages import Stage, stage_at

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 25.0
ONE_CYCLE_END = 1e4
_BETTER = 1e-4


def rate(step: int, steps_per_epoch: int, section: Train, plan: Sequence[Stage]) -> float:
    """The learning rate of the optimizer's step (from 0), without the plateau's factor.

    Warm-up and schedule begin again in each stage, from the stage's own learning rate.
    """
    stage = stage_at(step // steps_per_epoch, plan)
    own = step - stage.start * steps_per_epoch
    return stage.lr * factor(own, stage.epochs * steps_per_epoch, steps_per_epoch, section)


def factor(step: int, total: int, steps_per_epoch: int, section: Train) -> float:
    """What a stage's learning rate is multiplied by at its step number `step` of `total`.

    The first `warmup_epochs` rise in a line. Then `constant` stays at 1; `cosine` falls to 0 at the last step along
    half a cosine (Loshchilov and Hutter 2017, eq. 5); `step` multiplies by `step_factor` after every `step_epochs`
    epochs of the stage; `plateau` stays at 1 and leaves the rest to `Plateau`. `one_cycle` (Smith and Topin 2018) has
    a warm-up of its own in place of `warmup_epochs`: from 1/25 up to 1 in the first 30% of the steps and down to
    1/250000 in the others, both along half a cosine; the momentum stays as it is.
    """
    if section.schedule == "one_cycle":
        return _one_cycle(step, total)
    warmup = section.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if section.schedule == "cosine":
        return _half_cosine(1.0, 0.0, (step - warmup) / max(total - warmup, 1))
    if section.schedule == "step":
        return float(section.step_factor ** (step // steps_per_epoch // section.step_epochs))
    return 1.0


def _one_cycle(step: int, total: int) -> float:
    top = ONE_CYCLE_RISE * total - 1.0
    if step <= top:
        return _half_cosine(1.0 / ONE_CYCLE_START, 1.0, step / top)
    return _half_cosine(1.0, 1.0 / ONE_CYCLE_START / ONE_CYCLE_END, (step - top) / max(total - 1.0 - top, 1.0))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))


class Plateau:
    """A factor that falls when the validation loss no longer does.

    After more than `plateau_patience` epochs that were not better than the best by a ten-thousandth of it, the factor
    is multiplied by `step_factor`, and the count begins again; PyTorch's ReduceLROnPlateau with its default threshold.
    A loss that is not a number counts as no better.
    """

    def __init__(self, section: Train) -> None:
        self.active = section.schedule == "plateau"
        self.patience = section.plateau_patience
        self.step_factor = section.step_factor
        self.restart()

    def restart(self) -> None:
        """Forget the losses and go back to the full learning rate, as a new stage does."""
        self.best = math.inf
        self.bad = 0
        self.factor = 1.0

    def update(self, loss: float) -> float:
        """The factor from now on, after an epoch with this validation loss."""
        if not self.active:
            return self.factor
        limit = self.best - abs(self.best) * _BETTER if math.isfinite(self.best) else math.inf
        if loss < limit:
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.bad > self.patience:
            self.factor, self.bad = self.factor * self.step_factor, 0
        return self.factor

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best, "bad": self.bad, "factor": self.factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best, self.bad, self.factor = float(state["best"]), int(state["bad"]), float(state["factor"])
