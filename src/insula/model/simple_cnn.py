"""SimpleCNN: the small baseline that trains in minutes on a CPU."""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (16, 32, 64, 128)
POOLED = 2


class SimpleCNN(nn.Module):
    """Four blocks of 3×3 convolution, batch norm and ReLU (16→32→64→128 channels), 2×2 max pooling after the first two.

    Input (N, C, H, W), output (N, 128, H/4, W/4). The last two blocks keep their resolution, so that class maps
    stay fine: 24×24 cells on a picture of 96². 97,680 parameters with three input channels.
    """

    num_features = WIDTHS[-1]

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for i, width in enumerate(WIDTHS):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            if i < POOLED:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map of a batch of pictures."""
        out: torch.Tensor = self.layers(x)
        return out


def simple_cnn(channels: int, pretrained: bool | str) -> SimpleCNN:
    """SimpleCNN by the encoder table's signature; a local safetensors file of its own weights may be given."""
    from insula.core.errors import TrainingError

    network = SimpleCNN(channels)
    if pretrained is True:
        raise TrainingError("simple_cnn has no published weights; set model.pretrained=false or give a local file.")
    if pretrained:
        from safetensors.torch import load_model

        load_model(network, str(pretrained))
    return network
