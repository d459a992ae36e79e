"""Gated attention over the slices of a bag."""

from __future__ import annotations

import torch
from torch import nn


class AttentionPool(nn.Module):
    """z_b = Σ_s a_s f_s with a = softmax over the bag of u·(tanh(V f_s) ⊙ sigmoid(U f_s)).

    Ilse, Tomczak, Welling, "Attention-based deep multiple instance learning", ICML 2018, eq. 7 and 9. Shapes as in
    `insula.model.pooling`.
    """

    def __init__(self, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.value = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, B, E)."""
        return torch.matmul(self.weights(f, mask), f)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attention weights (N, B, S)."""
        scores = self.score(torch.tanh(self.value(f)) * torch.sigmoid(self.gate(f))).transpose(1, 2)
        seen = torch.where(mask > 0.5, scores, torch.finfo(scores.dtype).min)
        return torch.softmax(seen, dim=2) * mask

    def slope(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Σ_b g_b·dz_b/df (N, K, S, E): directly a_s g, and through the weights a_s g·(f_s − z) dscore_s/df_s."""
        t = torch.tanh(self.value(f))
        s = torch.sigmoid(self.gate(f))
        u = self.score.weight[0]
        d_score = (u * s * (1.0 - t * t)) @ self.value.weight + (u * t * s * (1.0 - s)) @ self.gate.weight
        a = self.weights(f, mask)
        z = torch.matmul(a, f).unsqueeze(1)
        share = a.transpose(1, 2).unsqueeze(1)  # (N, 1, S, B)
        above = torch.matmul(f.unsqueeze(1), g.transpose(2, 3)) - (z * g).sum(3).unsqueeze(2)  # g·(f_s − z_b)
        gain = (share * above).sum(3, keepdim=True)
        return torch.matmul(share, g) + gain * d_score.unsqueeze(1)
