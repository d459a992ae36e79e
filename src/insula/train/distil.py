"""A teacher: trained networks whose answers a smaller one learns beside the labels (Hinton et al. 2015).

The teacher is asked about the very pictures that the student sees, changed and mixed as they are (Beyer et al. 2022),
and never about the validation or test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe, Target
from insula.model.network import Network, Tensors


class Teacher:
    """Networks in evaluation, their columns averaged; no part of what is trained, kept or written to checkpoints.

    recipe: of the student; its targets have to be the teacher's own.
    """

    def __init__(self, members: Sequence[Network], recipe: Recipe, of: Recipe) -> None:
        for part, ours, theirs in (("inputs", recipe.inputs, of.inputs), ("targets", recipe.targets, of.targets)):
            if ours != theirs:
                raise TrainingError(
                    f"The student's {part} are not the teacher's, so that it cannot be taught; change the sections "
                    "model and train alone."
                )
        if recipe.clinical != of.clinical:
            raise TrainingError("The student's clinical columns are not the teacher's; leave them as they are.")
        self._members = [member.eval().requires_grad_(False) for member in members]
        self._recipe = recipe

    def __call__(self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None) -> torch.Tensor:
        """Columns (N, K) of a batch."""
        with torch.no_grad():
            device = next(iter(x.values())).device
            return torch.stack([member.to(device)(x, mask, clinical) for member in self._members]).mean(0)

    def apart(self, ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The distance of a student's columns from the teacher's, summed over targets by their `loss_weights`.

        Classes: the Kullback-Leibler divergence of the softened probabilities times T², so that its gradient keeps its
        size whatever T is (Hinton et al. 2015, section 2.1); labels that exclude nothing: the same for each of them.
        Regression: the squared difference in standard deviations of the teacher's answers in the batch; survival: that
        of log hazards about their mean, since only their differences mean anything.
        """
        shares = self._recipe.train.loss_weights
        softness = self._recipe.train.distil.temperature
        parts = [
            float(shares.get(name, 1.0)) * _apart(target, ours[name].float(), theirs[name].float(), softness)
            for name, target in self._recipe.targets.items()
        ]
        return torch.stack(parts).sum()


def _apart(target: Target, ours: torch.Tensor, theirs: torch.Tensor, softness: float) -> torch.Tensor:
    if target.kind == "survival":
        return F.mse_loss(ours - ours.mean(0), theirs - theirs.mean(0))
    if target.kind == "regression":
        scale = theirs.std(correction=0).clamp(min=1e-6)
        return F.mse_loss(ours / scale, theirs / scale)
    if target.kind == "multilabel":
        ours, theirs = torch.stack([ours, -ours], -1) / 2, torch.stack([theirs, -theirs], -1) / 2  # softmax = sigmoid
        divergence = _divergence(ours, theirs, softness).mean(1)
    else:
        divergence = _divergence(ours, theirs, softness)
    return divergence.mean()


def _divergence(ours: torch.Tensor, theirs: torch.Tensor, softness: float) -> torch.Tensor:
    log_p, log_q = (torch.log_softmax(columns / softness, -1) for columns in (theirs, ours))
    return (log_p.exp() * (log_p - log_q)).sum(-1) * softness**2
