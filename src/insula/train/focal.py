"""Cross-entropy of each case, with soft labels, class weights and the focal factor.

The focal loss (Lin et al. 2017, eq. 4) multiplies each term −log p by (1 − p)^γ, so that cases which the network knows
already count little; γ = 0 is the cross-entropy. With soft labels every class's term keeps its own factor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_LEAST = 1e-12  # keeps the derivative of (1 − p)^γ finite at p = 1 for γ below 1


def exclusive(columns: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, gamma: float = 0.0) -> torch.Tensor:
    """Σ_k w_k·y_k·(1 − p_k)^γ·(−log p_k) of each case (N,), with p the softmax of the columns (N, K).

    y: (N, K), summing to 1. weight: (K,). Columns [0, l] give the binary loss of the logit l, and columns log p that of
    the probabilities p themselves, as an ordinal head has them.
    """
    log_p = F.log_softmax(columns, 1)
    return -(y * weight * _factor(log_p, gamma) * log_p).sum(1)


def together(columns: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, gamma: float = 0.0) -> torch.Tensor:
    """Binary losses of labels that may stand together, their mean over the labels of each case (N,).

    y: (N, K), 0 to 1. weight: (K,), of the presence of each label; absence counts 1.
    """
    present, absent = F.logsigmoid(columns), F.logsigmoid(-columns)
    terms = y * weight * _factor(present, gamma) * present + (1.0 - y) * _factor(absent, gamma) * absent
    return -terms.mean(1)


def _factor(log_p: torch.Tensor, gamma: float) -> torch.Tensor:
    if gamma == 0.0:
        return torch.ones_like(log_p)
    return (-torch.expm1(log_p)).clamp(min=_LEAST) ** gamma
