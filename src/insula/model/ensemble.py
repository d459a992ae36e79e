"""Several trained networks as one: their columns are averaged, and so are their class maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from insula.model.network import Network, Outputs, Tensors


class AveragedHeads(nn.Module):
    """The mean of the members' columns, from their embeddings side by side (N, M·H)."""

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.each = nn.ModuleList([m.heads for m in members])
        self.sizes = [m.heads.in_features for m in members]

    @property
    def in_features(self) -> int:
        """M·H."""
        return sum(self.sizes)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Columns (N, K)."""
        parts = torch.split(h, self.sizes, dim=1)
        return torch.stack([head(part) for head, part in zip(self.each, parts, strict=True)]).mean(0)


class Ensemble(nn.Module):
    """Networks of one recipe as one network; the mean of log probabilities or log-odds is a product of experts.

    It gives what `Network.explain` gives; the embedding is the members' side by side.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.roles = members[0].roles
        self.heads = AveragedHeads(members)
        self.clinical = members[0].clinical

    def explain(self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None = None) -> Outputs:
        """The averaged outputs."""
        return self.explain_each(x, mask, clinical)[0]

    def explain_each(
        self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None = None
    ) -> tuple[Outputs, torch.Tensor]:
        """The averaged outputs, and the columns of each member (N, M, K)."""
        parts: list[Outputs] = [m.explain(x, mask, clinical) for m in self.members]  # type: ignore[operator]
        each = torch.stack([p.logits for p in parts], 1)
        whole = Outputs(
            each.mean(1),
            torch.cat([p.embedding for p in parts], 1),
            {role: torch.stack([p.maps[role] for p in parts]).mean(0) for role in self.roles},
            {role: torch.stack([p.slice_weights[role] for p in parts]).mean(0) for role in self.roles},
        )
        return whole, each
