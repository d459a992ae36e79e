"""Fusion: one vector of a fixed size for each input, whatever is missing, joined to one embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from insula.core.recipe import ClinicalColumn

CLINICAL = "clinical"
EPSILON = 1e-5


class Fusion(nn.Module):
    """h = ReLU(F·[q_1, …, q_R] + b) with q_r = ReLU(P_r·s_r + c_r), or a learnt vector where input r is missing.

    s_r: a role's pooled features z_r, standardised as by batch norm (Ioffe and Szegedy 2015) over the cases that have
    the role, or the clinical columns as they are. All q have `features` numbers, and so has h. Pooled features are
    means of positive numbers, whose offset is many times their spread: without standardisation one step of the learning
    rate can put out every unit of a role for good.
    """

    def __init__(self, widths: Mapping[str, int], features: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.norms = nn.ModuleDict(
            {name: nn.BatchNorm1d(width, EPSILON, affine=False) for name, width in widths.items() if name != CLINICAL}
        )
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
        on = (linear(self._standardised(name, z[name], there[name])) > 0).to(g.dtype) * there[name].unsqueeze(1)
        slope = torch.matmul(back * on.unsqueeze(1), linear.weight)
        return slope if name == CLINICAL else slope * self._norm(name)[1]

    def _parts(self, z: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor]) -> torch.Tensor:
        parts = []
        for name in self.names:
            known = there[name].unsqueeze(1)
            q = torch.relu(self._linear(name)(self._standardised(name, z[name], there[name])))
            parts.append(known * q + (1.0 - known) * self.missing[name])
        return torch.cat(parts, 1)

    def _standardised(self, name: str, z: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        if name == CLINICAL:
            return z
        if self.training and int((there > 0.5).sum()) > 1:  # one case alone has no spread
            real = there > 0.5
            out = torch.zeros_like(z)
            out[real] = self.norms[name](z[real]).to(z.dtype)
            return out
        mean, scale = self._norm(name)
        return (z - mean) * scale

    def _norm(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and 1 / standard deviation (E,) of a role's features in training so far."""
        mean, variance = self.get_buffer(f"norms.{name}.running_mean"), self.get_buffer(f"norms.{name}.running_var")
        return mean, torch.rsqrt(variance + EPSILON)

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
