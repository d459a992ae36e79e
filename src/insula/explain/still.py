"""Keeping a network as it was while somebody looks into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """The network in evaluation: batch norm counts nothing and dropout drops nothing; every module's mode comes back.

    Explainers ask for gradients by the pictures alone, so that no parameter gets one, and set no hooks.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
