"""Losses that need no labels, and two figures that show whether the embeddings still differ."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # section 4.2 of the paper
_EPSILON = 1e-4


class Vicreg(NamedTuple):
    """The weighted sum, and its three parts without their weights."""

    loss: torch.Tensor
    invariance: torch.Tensor
    variance: torch.Tensor
    covariance: torch.Tensor


def vicreg(a: torch.Tensor, b: torch.Tensor) -> Vicreg:
    """The loss of two batches of embeddings (N, D), row for row of one pair.

    25 times the mean squared difference, plus 25 times how far each number's standard deviation stays below 1 (mean of
    both batches), plus the squared covariances between different numbers over D (sum of both batches). Bardes, Ponce,
    LeCun, "VICReg", ICLR 2022, eq. 1 to 6.
    """
    invariance = F.mse_loss(a, b)
    variance = 0.5 * (_too_narrow(a) + _too_narrow(b))
    covariance = _covariance(a) + _covariance(b)
    loss = INVARIANCE * invariance + VARIANCE * variance + COVARIANCE * covariance
    return Vicreg(loss, invariance, variance, covariance)


def hidden(n: int, size: tuple[int, int], patch: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Give n masks (N, 1, H, W), 1 where a picture is hidden: squares of `patch` pixels, as many as the share says.

    At least one square is hidden and one is left. Xie et al., "SimMIM", CVPR 2022, section 3.2.
    """
    height, width = size
    rows, columns = -(-height // patch), -(-width // patch)
    cells = rows * columns
    count = min(max(round(share * cells), 1), max(cells - 1, 1))
    order = torch.rand(n, cells, generator=generator).argsort(1)
    grid = (order.argsort(1) < count).float().view(n, 1, rows, columns)
    fine = grid.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    return fine[:, :, :height, :width]


def painted(guess: torch.Tensor, truth: torch.Tensor, hide: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over the hidden pixels alone; pictures (N, C, H, W), hide (N, 1, H, W)."""
    return ((guess - truth).abs() * hide).sum() / (hide.sum() * truth.shape[1])


def spread(z: torch.Tensor) -> torch.Tensor:
    """How different the embeddings (N, D) of a batch are, from 0 (all alike: collapsed) to about 1 (all directions).

    The mean over D of the standard deviation of z/|z|, times √D. Chen, He, "Exploring simple Siamese representation
    learning", CVPR 2021, section 4.1.
    """
    unit = F.normalize(z.float(), dim=1)
    deviation: torch.Tensor = unit.std(0).mean()
    return deviation * math.sqrt(z.shape[1])


def effective_rank(z: torch.Tensor) -> torch.Tensor:
    """In how many directions the centred embeddings (N, D) of a batch vary: 0 for none, at most min(N − 1, D).

    exp of the entropy of the singular values over their sum. Garrido et al., "RankMe", ICML 2023, eq. 1.
    """
    values: torch.Tensor = torch.linalg.svdvals(z.float() - z.float().mean(0))
    total = values.sum()
    if float(total) <= 0.0:
        return total
    p = values / total
    return torch.exp(-(p * torch.log(p.clamp(min=1e-12))).sum())


def _too_narrow(z: torch.Tensor) -> torch.Tensor:
    return F.relu(1.0 - torch.sqrt(z.float().var(0) + _EPSILON)).mean()


def _covariance(z: torch.Tensor) -> torch.Tensor:
    centred = z.float() - z.float().mean(0)
    c = centred.t() @ centred / (len(z) - 1)
    squares = c * c
    return (squares.sum() - squares.diagonal().sum()) / z.shape[1]
