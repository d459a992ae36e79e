"""The optimizer of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from insula.core.recipe import Train


def make_optimizer(network: nn.Module, section: Train) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD over all parameters, frozen ones too, since a later stage may train them.

    Weight decay is for tensors of two dimensions and more: biases and the scales of normalisation are no directions to
    shrink. SGD has Nesterov's momentum where `momentum` is above 0. A parameter without gradient is left as it is, and
    not decayed either.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [g for g in groups if g["params"]]
    if section.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=section.momentum, nesterov=section.momentum > 0)
    kind = torch.optim.AdamW if section.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=section.lr)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters this learning rate for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
