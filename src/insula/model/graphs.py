"""The modules that become a bundle's two graphs, with flat inputs and outputs by name."""

from __future__ import annotations

import torch
from torch import nn

from insula.model.ensemble import Ensemble
from insula.model.network import Network


class ExportGraph(nn.Module):
    """`explain` of a network as the module that becomes model.onnx: all inputs and outputs in one flat order."""

    def __init__(self, network: Network | Ensemble) -> None:
        super().__init__()
        self.network = network

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs: each role, its mask, and the clinical columns where there are any."""
        names = [name for role in self.network.roles for name in (role, f"{role}_mask")]
        return [*names, *(["clinical"] if self.network.clinical is not None else [])]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        by_role = [name for role in self.network.roles for name in (f"maps_{role}", f"weights_{role}")]
        each = ["members"] if isinstance(self.network, Ensemble) else []
        return ["logits", "embedding", *by_role, *each]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All outputs of the graph."""
        given = dict(zip(self.inputs, tensors, strict=True))
        x = {role: given[role] for role in self.network.roles}
        mask = {role: given[f"{role}_mask"] for role in self.network.roles}
        each: tuple[torch.Tensor, ...] = ()
        if isinstance(self.network, Ensemble):
            out, members = self.network.explain_each(x, mask, given.get("clinical"))
            each = (members,)
        else:
            out = self.network.explain(x, mask, given.get("clinical"))
        by_role = [t for role in self.network.roles for t in (out.maps[role], out.slice_weights[role])]
        return out.logits, out.embedding, *by_role, *each


class HeadGraph(nn.Module):
    """The heads with their dropout mask as an input: the module that becomes head.onnx."""

    def __init__(self, network: Network | Ensemble) -> None:
        super().__init__()
        self.heads = network.heads

    def forward(self, embedding: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Columns of embeddings multiplied by a keep mask (0 or 1/(1−p))."""
        columns: torch.Tensor = self.heads(embedding * keep)
        return columns
