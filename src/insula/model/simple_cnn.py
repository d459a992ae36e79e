"""SimpleCNN: the small baseline that trains in minutes on a CPU."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from insula.core.errors import TrainingError

BLOCKS = ((16, 3), (32, 3), (64, 3), (128, 1))  # channels, kernel
POOLED = 2


class SimpleCNN(nn.Module):
    """Four blocks of convolution, batch norm and ReLU (16→32→64→128 channels), 2×2 max pooling after the first two.

    Input (N, C, H, W), output (N, 128, H/4, W/4). A cell of the map sees 18 pixels of the picture, and the last block
    mixes channels alone (1×1), so that class maps stay fine: 24×24 cells on a picture of 96².
    31,712 + 144·C parameters: 32,144 with three input channels.
    """

    num_features = BLOCKS[-1][0]
    volumetric = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for i, (width, kernel) in enumerate(BLOCKS):
            convolution = nn.Conv2d(before, width, kernel, padding=kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            if i < POOLED:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.layers = nn.Sequential(*layers)
        self.checkpoints = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map of a batch of pictures."""
        if self.checkpoints and torch.is_grad_enabled() and not torch.compiler.is_exporting():
            starts = [i for i, layer in enumerate(self.layers) if isinstance(layer, nn.Conv2d)]
            for start, stop in zip(starts, [*starts[1:], len(self.layers)], strict=True):
                x = checkpoint(self.layers[start:stop], x, use_reentrant=False)
            return x
        out: torch.Tensor = self.layers(x)
        return out


def simple_cnn(channels: int, pretrained: bool) -> SimpleCNN:
    """SimpleCNN by the encoder table's signature; TrainingError when published weights are asked for."""
    if pretrained:
        raise TrainingError("simple_cnn has no published weights; set model.pretrained=false or give a local file.")
    return SimpleCNN(channels)
