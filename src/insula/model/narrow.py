"""Layers as wide as given weights: the widths of a pruned network travel with its weights and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from insula.model.network import Network

_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def as_wide_as(network: Network, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give the encoders' layers the shapes of these weights, so that they can be loaded; values are not taken over.

    Layers of other shapes alone are touched; what cannot be made to fit is left for loading to complain of.
    """
    for role, encoder in network.encoders.items():
        for name, module in encoder.named_modules():
            weight = tensors.get(f"encoders.{role}.{name}.weight")
            own = getattr(module, "weight", None)
            if weight is None or not isinstance(own, torch.Tensor) or own.shape == weight.shape:
                continue
            if isinstance(module, nn.Conv2d | nn.Conv3d) and weight.ndim == own.ndim:
                _convolution(module, weight)
            elif isinstance(module, nn.Linear) and weight.ndim == 2:
                module.out_features, module.in_features = weight.shape
                _renew(module, weight.shape)
            elif isinstance(module, _NORMS) and weight.ndim == 1:
                _norm(module, len(weight))


def _convolution(module: nn.Conv2d | nn.Conv3d, weight: torch.Tensor) -> None:
    depthwise = module.groups > 1 and module.groups == module.in_channels
    if depthwise:
        module.groups = len(weight)
    module.out_channels, module.in_channels = len(weight), weight.shape[1] * module.groups
    _renew(module, weight.shape)


def _norm(module: nn.BatchNorm2d | nn.BatchNorm3d, width: int) -> None:
    module.num_features = width
    _renew(module, torch.Size([width]))
    for name in ("running_mean", "running_var"):
        if getattr(module, name) is not None:
            setattr(module, name, torch.zeros(width))


def _renew(module: nn.Module, shape: torch.Size) -> None:
    module.weight = nn.Parameter(torch.zeros(shape))
    if getattr(module, "bias", None) is not None:
        module.bias = nn.Parameter(torch.zeros(shape[0]))
