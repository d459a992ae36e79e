"""Encoders by name: ours from the table, every other name from timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.core.registry import Registry

ENCODERS = Registry("encoder", {"simple_cnn": "insula.model.simple_cnn:simple_cnn"})


class TimmEncoder(nn.Module):
    """A timm backbone as a feature map (N, E, h, w), whatever its own layout (NHWC or tokens)."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_features: int = int(backbone.num_features)  # type: ignore[arg-type]
        self.prefix_tokens: int = int(getattr(backbone, "num_prefix_tokens", 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map of a batch of pictures."""
        features: torch.Tensor = self.backbone.forward_features(x)  # type: ignore[operator]
        if features.ndim == 3:
            tokens = features[:, self.prefix_tokens :]
            side = round(tokens.shape[1] ** 0.5)
            return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
        if features.shape[1] != self.num_features:
            return features.permute(0, 3, 1, 2)
        return features


def build_encoder(name: str, channels: int, pretrained: bool | str, size: tuple[int, int]) -> nn.Module:
    """An encoder with `num_features` that maps (N, C, H, W) to (N, E, h, w).

    pretrained: True loads timm's published weights from the hub, a path loads a local safetensors or weights-only
    checkpoint, False starts at random. TrainingError when the name is unknown or the weights cannot be had.
    """
    if isinstance(pretrained, str) and not Path(pretrained).is_file():
        raise TrainingError(f"model.pretrained = '{pretrained}' is no file; give an existing file, true or false.")
    if name in ENCODERS:
        encoder: nn.Module = ENCODERS.get(name)(channels, pretrained)
        return encoder
    return TimmEncoder(_timm(name, channels, pretrained, size))


def weights_line(name: str, pretrained: bool | str) -> str:
    """One sentence that says where the starting weights came from."""
    if pretrained is True:
        return f"{name} starts from timm's published weights."
    if pretrained:
        return f"{name} starts from the local file {Path(str(pretrained)).name}."
    return f"{name} starts from random weights."


def _timm(name: str, channels: int, pretrained: bool | str, size: tuple[int, int]) -> nn.Module:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "none"
        raise TrainingError(f"There is no encoder '{name}' in Insula or timm; near names: {near}.")
    options: dict[str, Any] = {"in_chans": channels, "num_classes": 0, "pretrained": bool(pretrained)}
    if isinstance(pretrained, str):
        options["pretrained_cfg_overlay"] = {"file": pretrained}
    if name.startswith(("vit", "swin", "deit")):
        options["img_size"] = size
    try:
        network: nn.Module = timm.create_model(name, **options)
    except Exception as error:  # the hub client raises its own families (network, file, HTTP) and plain RuntimeError
        raise TrainingError(
            f"The weights of '{name}' could not be loaded ({type(error).__name__}: {_short(error)}); "
            "give a local file by --set model.pretrained=FILE, or start at random by --set model.pretrained=false."
        ) from error
    return network


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
