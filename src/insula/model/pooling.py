"""Pooling of slices into one embedding a bag, each pool with its own derivative written in forward operations.

A bag is a series or a slide. All pools take slice features f (N, S, E) and a mask (N, B, S) of 0 and 1 that says which
slice is in which bag: a real slice in one bag, padding in none. `forward` gives embeddings z (N, B, E); `weights` each
slice's share (N, B, S), summing to 1 over a bag; `slope(f, mask, g)` takes g (N, K, B, E) and gives (N, K, S, E), the
vector-Jacobian product Σ_b g_b·dz_b/df. Written by hand, it exports to ONNX with dynamic numbers of slices and bags, so
a class map costs no backward pass; the tests compare it with autograd. An empty bag has z = 0 and no share or slope.
"""

from __future__ import annotations

import torch
from torch import nn

from insula.core.errors import RecipeError
from insula.model.attention_pool import AttentionPool
from insula.model.transformer_pool import TransformerPool


class MeanPool(nn.Module):
    """The mean over a bag's slices."""

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, B, E)."""
        return torch.matmul(self.weights(f, mask), f)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Each slice's share (N, B, S): alike within a bag."""
        return mask / mask.sum(2, keepdim=True).clamp(min=1.0)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Σ_b g_b·dz_b/df (N, K, S, E)."""
        return torch.matmul(self.weights(f, mask).transpose(1, 2).unsqueeze(1), g)


class MaxPool(nn.Module):
    """The largest value of each feature over a bag's slices; ties share alike, as in torch.amax."""

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, B, E)."""
        largest = _only(f, mask).amax(2)
        return torch.where(mask.amax(2, keepdim=True) > 0.5, largest, torch.zeros_like(largest))

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The share of features that each slice decides (N, B, S)."""
        return self._winners(f, mask).mean(3)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Σ_b g_b·dz_b/df (N, K, S, E): the gradient of a slice's own bag, where the slice wins."""
        own = torch.matmul(mask.transpose(1, 2).unsqueeze(1), g)
        return self._winners(f, mask).sum(1).unsqueeze(1) * own

    def _winners(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The share of each slice in a feature's maximum (N, B, S, E)."""
        only = _only(f, mask)
        wins = (only == only.amax(2, keepdim=True)).to(f.dtype) * mask.unsqueeze(3)
        return wins / wins.sum(2, keepdim=True).clamp(min=1.0)


Pool = MeanPool | MaxPool | AttentionPool | TransformerPool


def build_pool(name: str, features: int) -> Pool:
    """The pool that a recipe names: mean, max, attention or transformer; RecipeError for another name."""
    if name == "attention":
        return AttentionPool(features)
    if name == "transformer":
        return TransformerPool(features)
    if name not in ("mean", "max"):
        raise RecipeError(f"There is no pooling '{name}'; write mean, max, attention or transformer.")
    return MaxPool() if name == "max" else MeanPool()


def _only(f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The features that each bag sees (N, B, S, E): the lowest number for a slice that is not in it."""
    return torch.where(mask.unsqueeze(3) > 0.5, f.unsqueeze(1), torch.finfo(f.dtype).min)
