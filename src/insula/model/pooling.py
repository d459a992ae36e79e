"""Pooling over slices, each with its own derivative written in forward operations.

A pooling maps slice features f (N, S, E) and a mask (N, S) to one embedding z (N, E). `slope(f, mask, w)` gives
d(w_c · z)/d f for a linear head with rows w (K, E): (N, K, S, E). Written by hand, it exports to ONNX with a dynamic
number of slices, so the class map costs no backward pass; the tests compare it with autograd.
"""

from __future__ import annotations

import torch
from torch import nn


class MeanPool(nn.Module):
    """The mean over the real slices."""

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embedding (N, E)."""
        return (f * self.weights(f, mask).unsqueeze(-1)).sum(1)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Each slice's share (N, S), summing to 1 over a case."""
        return mask / mask.sum(1, keepdim=True)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """d(w·z)/df (N, K, S, E)."""
        return self.weights(f, mask)[:, None, :, None] * w[None, :, None, :]


class MaxPool(nn.Module):
    """The largest value of each feature over the real slices; ties share alike, as in torch.amax."""

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embedding (N, E)."""
        return _hidden(f, mask).amax(1)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The share of features that each slice decides (N, S), summing to 1 over a case."""
        return self._winners(f, mask).mean(2)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """d(w·z)/df (N, K, S, E)."""
        return self._winners(f, mask).unsqueeze(1) * w[None, :, None, :]

    def _winners(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = _hidden(f, mask)
        wins = (hidden == hidden.amax(1, keepdim=True)).to(f.dtype)
        return wins / wins.sum(1, keepdim=True)


class AttentionPool(nn.Module):
    """Gated attention (Ilse, Tomczak, Welling 2018, eq. 9): a_s = softmax(u·(tanh(V f_s) ⊙ sigmoid(U f_s)))."""

    def __init__(self, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.value = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embedding (N, E)."""
        return (f * self.weights(f, mask).unsqueeze(-1)).sum(1)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attention weights (N, S), summing to 1 over a case."""
        scores = self.score(torch.tanh(self.value(f)) * torch.sigmoid(self.gate(f))).squeeze(-1)
        return torch.softmax(scores + (mask - 1.0) * 1e9, dim=1)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """d(w·z)/df (N, K, S, E): directly a_s w, and through the weights a_s (w·(f_s − z)) dscore_s/df_s."""
        t = torch.tanh(self.value(f))
        g = torch.sigmoid(self.gate(f))
        u = self.score.weight[0]
        d_score = (u * g * (1.0 - t * t)) @ self.value.weight + (u * t * g * (1.0 - g)) @ self.gate.weight
        a = self.weights(f, mask)
        z = (f * a.unsqueeze(-1)).sum(1, keepdim=True)
        gain = torch.matmul(f - z, w.t()).transpose(1, 2)  # (N, K, S)
        direct = a[:, None, :, None] * w[None, :, None, :]
        return direct + (a.unsqueeze(1) * gain).unsqueeze(-1) * d_score.unsqueeze(1)


def build_pool(name: str, features: int) -> MeanPool | MaxPool | AttentionPool:
    """The pooling that a recipe names."""
    if name == "attention":
        return AttentionPool(features)
    return MaxPool() if name == "max" else MeanPool()


def _hidden(f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return f + (mask - 1.0).unsqueeze(-1) * 1e9
