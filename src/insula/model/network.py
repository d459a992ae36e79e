"""The network of a recipe: for each role normalise → encoder → pool; then fusion, dropout and the heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from insula.core.errors import RecipeError
from insula.core.recipe import Recipe
from insula.model.bags import BagPool
from insula.model.encoders import build_encoder, weights_line
from insula.model.fusion import CLINICAL, Clinical, Fusion
from insula.model.heads import Heads

Tensors = Mapping[str, torch.Tensor]
Shape = tuple[int, int, int]


class Outputs(NamedTuple):
    """Columns (N, K) of all targets, embedding (N, H); by role maps (N, K, S, h, w) and slice weights (N, S)."""

    logits: torch.Tensor
    embedding: torch.Tensor
    maps: dict[str, torch.Tensor]
    slice_weights: dict[str, torch.Tensor]


class Chain(NamedTuple):
    """Embedding (N, H), and by role feature maps (N, S, E, h, w), their means f (N, S, E) and the slope (N, K, S, E) of
    every column by f.
    """

    embedding: torch.Tensor
    maps: dict[str, torch.Tensor]
    means: dict[str, torch.Tensor]
    slopes: dict[str, torch.Tensor]


class Network(nn.Module):
    """One encoder a role, shared by all slices of a case; dropout stands before the heads alone.

    x: role → (N, S, C, H, W) in about [0, 1]. mask: role → (N, B, S), 1 where a slice belongs to a bag (a series or
    slide), 0 for padding; all 0 where a case lacks the role. clinical (N, D): NaN where missing. With one role and no
    clinical columns the embedding is the pooled features; otherwise the fused ones.
    """

    def __init__(self, recipe: Recipe, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        self.roles = tuple(recipe.inputs)
        self.encoders, self.pools = nn.ModuleDict(), nn.ModuleDict()
        widths: dict[str, int] = {}
        for role in self.roles:
            if hasattr(self.encoders, role) and role not in self.encoders:
                raise RecipeError(f"'{role}' cannot name an input, since PyTorch's modules use it; choose another.")
            section, (channels, height, width) = recipe.model.of(role), shapes[role]
            encoder = build_encoder(str(section.encoder), channels, section.pretrained or False, (height, width))
            widths[role] = int(encoder.num_features)  # type: ignore[arg-type]
            self.encoders[role] = encoder
            self.pools[role] = BagPool(str(section.pool), recipe.model.bags, widths[role])
            self._normalise(role, recipe, channels)
        self.clinical = Clinical(recipe.clinical) if recipe.clinical else None
        if self.clinical is not None:
            widths[CLINICAL] = 2 * self.clinical.width
        self.fusion = Fusion(widths, recipe.model.features) if recipe.fused else None
        self.dropout = nn.Dropout(recipe.model.dropout)
        self.heads = Heads(recipe.targets, recipe.model.features if recipe.fused else widths[self.roles[0]])

    def forward(self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None = None) -> torch.Tensor:
        """Columns (N, K) for training: the encoders see the real slices only, so padding never enters batch norm."""
        z: dict[str, torch.Tensor] = {}
        for role in self.roles:
            f = self._pooled(role, x[role], mask[role])
            z[role] = self.pools[role](f, mask[role].to(f.dtype))
        columns: torch.Tensor = self.heads(self.dropout(self._embedding(z, *self._there(mask, clinical))))
        return columns

    def explain(self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None = None) -> Outputs:
        """Everything that a bundle's graph gives, in forward operations alone.

        The class map is Grad-CAM (Selvaraju 2017, eq. 1-2): each channel weighted by the mean derivative of the column,
        then ReLU. Features are pooled by their mean, so that derivative is the slope of heads, fusion and pooling over
        the cells h·w.
        """
        h, maps, f, slopes = self.chain(x, mask, clinical)
        heat, weights = {}, {}
        for role in self.roles:
            cells = maps[role].shape[3] * maps[role].shape[4]
            heat[role] = torch.relu(torch.einsum("nkse,nseyx->nksyx", slopes[role], maps[role]) / cells)
            weights[role] = self.pools[role].weights(f[role], mask[role])  # type: ignore[operator]
        return Outputs(self.heads(h), h, heat, weights)

    def chain(self, x: Tensors, mask: Tensors, clinical: torch.Tensor | None = None) -> Chain:
        """From pictures to embedding, and each column's derivative back to the features: heads, fusion, pooling."""
        z, maps, f = {}, {}, {}
        for role in self.roles:
            maps[role] = self.feature_maps(role, x[role], mask[role])
            f[role] = maps[role].mean((3, 4))
            z[role] = self.pools[role](f[role], mask[role])
        extra, there = self._there(mask, clinical)
        h = self._embedding(z, extra, there)
        g = self.heads.slope(h)
        slopes = {}
        for role in self.roles:
            back = g if self.fusion is None else self.fusion.slope(role, {**z, **extra}, there, g)
            slopes[role] = self.pools[role].slope(f[role], mask[role], back)  # type: ignore[operator]
        return Chain(h, maps, f, slopes)

    def lines(self, recipe: Recipe) -> str:
        """One sentence a role that says where its starting weights came from."""
        found = []
        for role in self.roles:
            section = recipe.model.of(role)
            loaded = getattr(self.encoders[role], "loaded", None)
            line = weights_line(str(section.encoder), section.pretrained or False, loaded)
            found.append(line if len(self.roles) == 1 else f"{role}: {line}")
        return " ".join(found)

    def _embedding(self, z: Tensors, extra: Tensors, there: Tensors) -> torch.Tensor:
        if self.fusion is None:
            return z[self.roles[0]]
        fused: torch.Tensor = self.fusion({**z, **extra}, there)
        return fused

    def _there(self, mask: Tensors, clinical: torch.Tensor | None) -> tuple[dict[str, torch.Tensor], Tensors]:
        there = {role: mask[role].amax((1, 2)) for role in self.roles}
        if self.clinical is None or clinical is None:
            return {}, there
        vector, there[CLINICAL] = self.clinical(clinical)
        return {CLINICAL: vector}, there

    def _pooled(self, role: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Slice features (N, S, E) in training, 0 for padding."""
        flat = mask.amax(1)
        if self.encoders[role].volumetric:
            maps: torch.Tensor = self.feature_maps(role, x, mask)
            return torch.mul(maps.mean((3, 4)), flat.unsqueeze(-1))
        real = flat > 0.5
        width = int(self.encoders[role].num_features)  # type: ignore[arg-type]
        if not bool(real.any()):
            return x.new_zeros((*flat.shape, width))
        pictures = self._scaled(role, x[real].contiguous(memory_format=torch.channels_last))
        pooled = self.encoders[role](pictures).mean((2, 3))
        f: torch.Tensor = pooled.new_zeros((*flat.shape, width))
        f[real] = pooled
        return f

    def feature_maps(self, role: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, S, E, h, w) of a role's slices (N, S, C, H, W); mask (N, B, S) as everywhere."""
        n, s = x.shape[:2]
        scaled = self._scaled(role, x.flatten(0, 1))
        if not self.encoders[role].volumetric:
            return torch.unflatten(self.encoders[role](scaled), 0, (n, s))
        # each bag is a volume of its own, empty where the others lie: no slice sees across the border of two series
        volume = torch.unflatten(scaled, 0, (n, s)).transpose(1, 2)
        b, rest = mask.shape[1], volume.shape[1:]
        each = volume.unsqueeze(1).expand(n, b, *rest).reshape(n * b, *rest)
        out: torch.Tensor = self.encoders[role](each, mask.reshape(n * b, s)) * mask.reshape(n * b, 1, s, 1, 1)
        return torch.unflatten(out, 0, (n, b)).sum(1).transpose(1, 2)

    def _scaled(self, role: str, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - self.get_buffer(f"mean_{role}")) / self.get_buffer(f"std_{role}")

    def _normalise(self, role: str, recipe: Recipe, channels: int) -> None:
        section = recipe.model.of(role).normalise or recipe.model.normalise
        for name, values in (("mean", section.mean), ("std", section.std)):
            if len(values) not in (1, channels):
                raise RecipeError(
                    f"model.normalise.{name} has {len(values)} values and the prepared scan of '{role}' {channels} "
                    "channels; give one value, or one for each channel."
                )
            self.register_buffer(f"{name}_{role}", torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1))
