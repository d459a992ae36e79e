"""Fusion: one vector of a fixed size for each input, whatever is missing, joined to one embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from insula.core.recipe import ClinicalColumn

CLINICAL = "clinical"


class Fusion(nn.Module):
    """h = ReLU(F·[q_1, …, q_R] + b) with q_r = ReLU(P_r·z_r + c_r), or a learnt vector where input r is missing.

    z_r: a role's pooled features, or the clinical columns. All q have `features` numbers, and so has h.
    """

    def __init__(self, widths: Mapping[str, int], features: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.project = nn.ModuleDict({name: nn.Linear(width, features) for name, width in widths.items()})
        self.missing = nn.ParameterDict({name: nn.Parameter(torch.zeros(features)) for name in widths})
        self.join = nn.Linear(features * len(widths), features)

    def forward(self, z: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Embedding (N, H) of z[name] (N, E) and there[name] (N,), 1 where the case has the input."""
        return torch.relu(self.join(self._parts(z, there)))

    def slope(
        self, name: str, z: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor], g: torch.Tensor
    ) -> torch.Tensor:
        """d(Σ g·h)/dz[name] (N, K, E) for g (N, K, H), in forward operations; 0 where the input is missing."""
        alive = (self.join(self._parts(z, there)) > 0).to(g.dtype)
        at = self.names.index(name)
        size = self.join.out_features
        linear = self._linear(name)
        back = torch.matmul(g * alive.unsqueeze(1), self.join.weight[:, at * size : (at + 1) * size])
        on = (linear(z[name]) > 0).to(g.dtype) * there[name].unsqueeze(1)
        return torch.matmul(back * on.unsqueeze(1), linear.weight)

    def _parts(self, z: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor]) -> torch.Tensor:
        parts = []
        for name in self.names:
            known = there[name].unsqueeze(1)
            parts.append(known * torch.relu(self._linear(name)(z[name])) + (1.0 - known) * self.missing[name])
        return torch.cat(parts, 1)

    def _linear(self, name: str) -> nn.Linear:
        linear = self.project[name]
        assert isinstance(linear, nn.Linear)  # noqa: S101 - for the type checker
        return linear


class Clinical(nn.Module):
    """Clinical columns (N, D), NaN where missing, as standardised values beside a 1 for each known one: (N, 2·D).

    Numbers are standardised by the mean and standard deviation of the training cases, categories are left as 0 and 1.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, columns: Mapping[str, ClinicalColumn]) -> None:
        super().__init__()
        self.width = sum(c.width for c in columns.values())
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.numbers = [c.kind == "number" for c in columns.values() for _ in range(c.width)]

    def fit(self, values: torch.Tensor) -> None:
        """Take means and standard deviations from training values (n, D); a column that never varies keeps 1."""
        for i, number in enumerate(self.numbers):
            known = values[:, i][~torch.isnan(values[:, i])]
            if number and len(known) > 1:
                self.mean[i] = known.mean()
                spread = float(known.std())
                self.std[i] = spread if spread > 1e-12 else 1.0

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (N, 2·D), and there (N,): 1 where a case has at least one of the columns."""
        known = (~torch.isnan(values)).to(values.dtype)
        filled = torch.where(torch.isnan(values), torch.zeros_like(values), (values - self.mean) / self.std)
        return torch.cat([filled, known], 1), known.amax(1)
