"""Random numbers of the augmentation: one for each case, from the given generator alone."""

from __future__ import annotations

import torch


def uniform(n: int, generator: torch.Generator, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    """Give n numbers between low and high."""
    return torch.rand(n, generator=generator) * (high - low) + low


def strength(n: int, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Give each of n cases 0 or, with this chance, a number between a quarter of `most` and `most`."""
    chosen = torch.rand(n, generator=generator) < chance
    return torch.where(chosen, uniform(n, generator, 0.25 * most, most), 0.0)


def per_case(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values (N,) shaped to multiply a batch (N, S, C, H, W), on its device."""
    return values.to(like).view(-1, 1, 1, 1, 1)


def chosen(values: torch.Tensor) -> torch.Tensor:
    """Indices of the cases whose strength is not 0."""
    return torch.nonzero(values, as_tuple=False).flatten()
