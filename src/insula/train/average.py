"""A running average of the weights, which often predicts better than the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The exponential moving average of a network's parameters and buffers.

    After t updates the value is Σ (1−d)·d^(t−i)·w_i / (1−d^t) with decay d: the weights of the steps so far, without
    the starting weights and without a pull to zero (the bias correction of Kingma and Ba 2015, section 3). Buffers of
    floating point, such as the statistics of batch norm, are averaged in the same way, so that they fit the averaged
    weights; whole numbers are copied. What never changes stays bitwise the same.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"decay {decay} must lie between 0 and 1")
        self.decay = decay
        self.count = 0
        self.values = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after one more step of the optimizer."""
        self.count += 1
        fresh = (1.0 - self.decay) / (1.0 - self.decay**self.count)
        for name, value in network.state_dict().items():
            kept = self.values[name]
            if kept.device != value.device:
                kept = self.values[name] = kept.to(value.device)
            if kept.is_floating_point() and self.count > 1:
                kept.add_(value - kept, alpha=fresh)
            else:
                kept.copy_(value)

    @contextmanager
    def swapped(self, network: nn.Module) -> Iterator[nn.Module]:
        """The network with the averaged weights inside the block, and its own again after it."""
        own = {k: v.detach().clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.values)
        try:
            yield network
        finally:
            network.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: tensors and one number, so it loads with weights_only."""
        return {"count": self.count, "values": dict(self.values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.count = int(state["count"])
        self.values = {k: v.detach().clone() for k, v in state["values"].items()}
