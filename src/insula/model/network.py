"""The network of a recipe: normalise → encoder → pool over slices → dropout → linear head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from insula.core.errors import RecipeError
from insula.core.recipe import Recipe
from insula.model.encoders import build_encoder
from insula.model.pooling import build_pool


class Outputs(NamedTuple):
    """logits (N, K), embedding (N, E), class maps (N, K, S, h, w), slice weights (N, S)."""

    logits: torch.Tensor
    embedding: torch.Tensor
    maps: torch.Tensor
    slice_weights: torch.Tensor


class Network(nn.Module):
    """One encoder shared by all slices of a case; dropout stands in the head alone.

    Input (N, S, C, H, W) in about [0, 1] and a mask (N, S) with 1 for a real slice and 0 for padding.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, recipe: Recipe, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        section = recipe.model
        self.encoder = build_encoder(section.encoder, channels, section.pretrained, size)
        features = int(self.encoder.num_features)  # type: ignore[arg-type]
        self.pool = build_pool(section.pool, features)
        self.dropout = nn.Dropout(section.dropout)
        self.head = nn.Linear(features, len(recipe.target.classes))
        for name, values in (("mean", section.normalise.mean), ("std", section.normalise.std)):
            if len(values) not in (1, channels):
                raise RecipeError(
                    f"model.normalise.{name} has {len(values)} values and the prepared scan {channels} channels; "
                    "give one value, or one for each channel."
                )
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1))

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Feature map (M, E, h, w) of M pictures (M, C, H, W)."""
        out: torch.Tensor = self.encoder((pictures - self.mean) / self.std)
        return out

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) for training: the encoder sees the real slices only, so padding never enters batch norm."""
        real = mask > 0.5
        pooled = self.features(x[real].contiguous(memory_format=torch.channels_last)).mean((2, 3))
        f = pooled.new_zeros((*mask.shape, pooled.shape[1]))
        f[real] = pooled
        logits: torch.Tensor = self.head(self.dropout(self.pool(f, mask.to(pooled.dtype))))
        return logits

    def explain(self, x: torch.Tensor, mask: torch.Tensor) -> Outputs:
        """Everything that a bundle's graph gives, in forward operations alone.

        The class map is Grad-CAM (Selvaraju 2017, eq. 1-2): each channel weighted by the mean derivative of the logit,
        then ReLU. Features are pooled by their mean, so that derivative is the pool's slope over the cells h·w.
        """
        n, s = mask.shape
        maps = torch.unflatten(self.features(x.flatten(0, 1)), 0, (n, s))
        f = maps.mean((3, 4))
        z = self.pool(f, mask)
        slope = self.pool.slope(f, mask, self.head.weight)
        cells = maps.shape[3] * maps.shape[4]
        weighted = torch.einsum("nkse,nseyx->nksyx", slope, maps) / cells
        return Outputs(self.head(z), z, torch.relu(weighted), self.pool.weights(f, mask))


class ExportGraph(nn.Module):
    """`Network.explain` as the module that becomes model.onnx."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> Outputs:
        """All outputs of the graph."""
        return self.network.explain(x, mask)


class HeadGraph(nn.Module):
    """The head with its dropout mask as an input: the module that becomes head.onnx."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.head = network.head

    def forward(self, embedding: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Logits of embeddings multiplied by a keep mask (0 or 1/(1−p))."""
        logits: torch.Tensor = self.head(embedding * keep)
        return logits
