"""3-D residual networks over whole volumes that keep every slice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint
from torchvision.models import video  # type: ignore[import-untyped]
from torchvision.models.video.resnet import BasicBlock, VideoResNet  # type: ignore[import-untyped]

from insula.model.timm_encoder import unreachable
from insula.model.weights import Loaded, take


class VolumetricEncoder(nn.Module):
    """An 18-layer 3-D residual network (Tran et al. 2018): (N, C, S, H, W) → (N, 512, S, H/16, W/16).

    Strides along the slices are 1 everywhere, so that each slice keeps its own cells. Padded slices are zero after
    every normalisation: a convolution meets there what it meets beyond the edge of a volume, and a case gives the same
    map alone and padded in a batch. In training, batch norm sees the real slices of the batch alone, all cells of them.

    Memory: the depth is kept, so the whole volume counts; see docs/models.md for bytes per input. `checkpoints`
    recomputes the four stages in the backward pass; set it by `memory.use_checkpoints`.
    """

    volumetric = True
    num_features = 512

    def __init__(self, network: VideoResNet, channels: int) -> None:
        super().__init__()
        self.stem = network.stem
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        self.checkpoints = False
        self.loaded: Loaded | None = None
        first = self.stem[0]
        if first.in_channels != channels:
            self.stem[0] = nn.Conv3d(
                channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
            )
            nn.init.kaiming_normal_(self.stem[0].weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.stride = (1, *module.stride[1:])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Feature map (N, E, S, h, w) of volumes (N, C, S, H, W); mask (N, S) is 1 for a real slice, 0 for padding."""
        keep: torch.Tensor | None = mask[:, None, :, None, None].to(x.dtype)
        if self.training and bool((mask > 0.5).all()):
            keep = None  # nothing is padded: no copies
        if keep is not None:
            x = x * keep
        x = _through(self.stem, x, keep)
        recompute = self.checkpoints and torch.is_grad_enabled() and not torch.compiler.is_exporting()
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = checkpoint(_through, stage, x, keep, use_reentrant=False) if recompute else _through(stage, x, keep)
        return x


def resnet3d_18(channels: int, pretrained: bool) -> VolumetricEncoder:
    """3-D convolutions throughout (R3D): 33.2 million parameters."""
    return _built("resnet3d_18", channels, pretrained)


def r2plus1d_18(channels: int, pretrained: bool) -> VolumetricEncoder:
    """Each 3-D convolution as one within slices and one across them (R(2+1)D): 31.3 million parameters."""
    return _built("r2plus1d_18", channels, pretrained)


def mc3_18(channels: int, pretrained: bool) -> VolumetricEncoder:
    """3-D convolutions in the first stage, 2-D ones after it (MC3): 11.5 million parameters."""
    return _built("mc3_18", channels, pretrained)


_MAKERS: dict[str, tuple[Callable[..., VideoResNet], Any]] = {
    "resnet3d_18": (video.r3d_18, video.R3D_18_Weights.KINETICS400_V1),
    "r2plus1d_18": (video.r2plus1d_18, video.R2Plus1D_18_Weights.KINETICS400_V1),
    "mc3_18": (video.mc3_18, video.MC3_18_Weights.KINETICS400_V1),
}


def published(name: str) -> str:
    """Name of torchvision's weights that `pretrained: true` takes."""
    return str(_MAKERS[name][1])


def _built(name: str, channels: int, pretrained: bool) -> VolumetricEncoder:
    maker, weights = _MAKERS[name]
    encoder = VolumetricEncoder(maker(weights=None), channels)
    if pretrained:
        try:
            with redirect_stdout(sys.stderr):  # torch.hub announces a download where a command's answer belongs
                state = weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
        except Exception as error:  # urllib, SSL, the disk, or a hash that differs
            raise unreachable(name, error) from error
        encoder.loaded = take(encoder, state, channels, str(weights))
    return encoder


def _through(module: nn.Module, x: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """The module's own computation, with padded slices zeroed at every normalisation."""
    if isinstance(module, BasicBlock):
        short = x if module.downsample is None else _through(module.downsample, x, keep)
        long = _through(module.conv2, _through(module.conv1, x, keep), keep)
        return torch.relu(long + short)
    if isinstance(module, nn.Sequential):
        for child in module:
            x = _through(child, x, keep)
        return x
    if isinstance(module, _BatchNorm):
        return _normalised(module, x, keep)
    out: torch.Tensor = module(x)
    return out


def _normalised(norm: nn.Module, x: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    if keep is None:
        plain: torch.Tensor = norm(x)
        return plain
    if not norm.training:
        masked: torch.Tensor = norm(x) * keep
        return masked
    slices = x.transpose(1, 2)  # (N, S, C, h, w)
    real = keep[:, 0, :, 0, 0] > 0.5
    if not bool(real.any()):  # no case of the batch has this scan: nothing to learn from, nothing to count
        return x * keep
    seen: torch.Tensor = norm(slices[real].transpose(0, 1).unsqueeze(0))[0].transpose(0, 1)
    out = seen.new_zeros(slices.shape)
    out[real] = seen
    return out.transpose(1, 2)
