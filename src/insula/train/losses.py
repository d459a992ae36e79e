"""Losses of the target kinds, with class weights taken from the training split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from insula.core.recipe import Recipe
from insula.train.data import Sample

_HEAVIEST = 10.0


class TargetLoss(nn.Module):
    """Cross-entropy over exclusive classes, or mean binary cross-entropy over labels; y is (N, K), 0 to 1, soft or not.

    With class weights w the cross-entropy is the weighted mean Σ w·y·(−log p) / Σ w·y over batch and classes, which for
    hard labels is PyTorch's; PyTorch itself divides by the batch size once labels are soft.
    """

    weight: torch.Tensor

    def __init__(self, recipe: Recipe, rows: Sequence[Sample]) -> None:
        super().__init__()
        self.kind = recipe.target.kind
        self.smoothing = recipe.train.label_smoothing
        counts = torch.tensor([r.y for r in rows]).sum(0)
        self.register_buffer("weight", _weights(counts, len(rows), recipe))

    def forward(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch."""
        if self.kind == "multiclass":
            soft = y * (1.0 - self.smoothing) + self.smoothing / y.shape[1]
            weighted = -(soft * self.weight * F.log_softmax(logits, 1)).sum()
            return weighted / (y * self.weight).sum().clamp(min=1e-8)
        soft = y * (1.0 - self.smoothing) + 0.5 * self.smoothing
        return F.binary_cross_entropy_with_logits(logits, soft, pos_weight=self.weight)


def _weights(counts: torch.Tensor, total: int, recipe: Recipe) -> torch.Tensor:
    """Inverse frequency: n/(K·n_c) for classes, negatives/positives for labels, at most 10 so that no case rules."""
    if not recipe.train.class_weights:
        return torch.ones_like(counts)
    if recipe.target.kind == "multiclass":
        weights = total / (len(counts) * counts.clamp(min=1.0))
    else:
        weights = (total - counts) / counts.clamp(min=1.0)
    return weights.clamp(1.0 / _HEAVIEST, _HEAVIEST)
