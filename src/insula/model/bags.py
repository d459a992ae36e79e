"""A patient as a bag of bags: slices are pooled within each series or slide, and those over the patient."""

from __future__ import annotations

import torch
from torch import nn

from insula.core.errors import RecipeError
from insula.model.pooling import Pool, build_pool

OUTER = ("mean", "max", "attention")  # series and slides have no order, so no transformer


class BagPool(nn.Module):
    """Slices to one embedding a case through two pools: `inner` within bags, `outer` over the bags that hold anything.

    f (N, S, E), mask (N, B, S) as in `insula.model.pooling`. A case with no slice at all has the embedding 0. With one
    bag the outer pool changes nothing. RecipeError for a pool that does not exist.
    """

    def __init__(self, inner: str, outer: str, features: int) -> None:
        super().__init__()
        if outer not in OUTER:
            raise RecipeError(f"There is no pooling '{outer}' over bags; write {', '.join(OUTER[:-1])} or {OUTER[-1]}.")
        self.inner: Pool = build_pool(inner, features)
        self.outer: Pool = build_pool(outer, features)

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, E)."""
        z: torch.Tensor = self.outer(self.inner(f, mask), _there(mask))
        return z.squeeze(1)

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The share of each slice (N, S): its own in its bag, times the bag's; sums to 1 over a case."""
        share = self.outer.weights(self.inner(f, mask), _there(mask))
        return torch.matmul(share, self.inner.weights(f, mask)).squeeze(1)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """g·dz/df (N, K, S, E) for g (N, K, E), in forward operations."""
        bags = self.outer.slope(self.inner(f, mask), _there(mask), g.unsqueeze(2))
        return self.inner.slope(f, mask, bags)


def _there(mask: torch.Tensor) -> torch.Tensor:
    """(N, 1, B): 1 for a bag that holds a slice."""
    return mask.amax(2).unsqueeze(1)
