"""What balanced sampling and hard negatives ask of the first target, which always has classes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from insula.core.recipe import Target


def groups(target: Target, y: torch.Tensor, known: torch.Tensor) -> list[int]:
    """The group of each input for balanced sampling, from labels y (N, K) and known (N,).

    The class where classes exclude each other; with or without the positive label where they do not. Inputs without a
    label (they are there for other targets) are a group of their own, −1.
    """
    wide = torch.nan_to_num(y)
    found = wide.argmax(1) if target.exclusive else (wide[:, target.positive_index] > 0.5).long()
    numbers: list[int] = torch.where(known > 0.5, found, -1).tolist()
    return numbers


def scores(target: Target, columns: torch.Tensor) -> NDArray[np.float64]:
    """The probability of the positive class or label (N,), from the network's columns (N, K)."""
    wide = columns.detach().double()
    p = torch.softmax(wide, 1) if target.exclusive else torch.sigmoid(wide)
    out: NDArray[np.float64] = p[:, target.positive_index].cpu().numpy()
    return out


def negative(target: Target, y: torch.Tensor, known: torch.Tensor) -> NDArray[np.bool_]:
    """Which inputs are known to be without the positive class or label (N,)."""
    out: NDArray[np.bool_] = ((known > 0.5) & (y[:, target.positive_index] < 0.5)).cpu().numpy()
    return out
