"""Any timm backbone as an encoder: its own layout of the features becomes a map (N, E, h, w)."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from insula.core.errors import TrainingError


class TimmEncoder(nn.Module):
    """A timm backbone as a feature map (N, E, h, w), whatever its own layout (NCHW, NHWC or tokens).

    `checkpoints` says whether the backward pass recomputes its stages; set it by `memory.use_checkpoints`.
    """

    volumetric = False

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_features: int = int(backbone.num_features)  # type: ignore[arg-type]
        self.prefix_tokens: int = int(getattr(backbone, "num_prefix_tokens", 0))
        self.last: bool = str(getattr(backbone, "output_fmt", "")).endswith("NHWC")
        self.checkpoints = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map (N, E, h, w) of pictures (N, C, H, W); TrainingError where the backbone gives no map."""
        if self.checkpoints:
            active = torch.is_grad_enabled() and not torch.compiler.is_exporting()
            self.backbone.set_grad_checkpointing(active)  # type: ignore[operator]
        features = self.backbone.forward_features(x)  # type: ignore[operator]
        if not isinstance(features, torch.Tensor):
            raise TrainingError(
                f"{type(self.backbone).__name__} gives a {type(features).__name__} in place of one feature map; "
                "choose another encoder."
            )
        if features.ndim == 3:
            tokens = features[:, self.prefix_tokens :]
            height, width = self._grid(tokens.shape[1], x.shape[2], x.shape[3])
            return torch.unflatten(tokens.transpose(1, 2), 2, (height, width))
        if features.ndim == 4 and features.shape[1] == self.num_features and not self.last:
            return features
        if features.ndim == 4 and features.shape[3] == self.num_features:
            return features.permute(0, 3, 1, 2)
        raise TrainingError(
            f"{type(self.backbone).__name__} gives features of shape {tuple(features.shape)}, no map of "
            f"{self.num_features} channels; choose another encoder."
        )

    def _grid(self, tokens: int, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the tokens: the backbone's own grid, or the one of the picture's proportions."""
        known = getattr(getattr(self.backbone, "patch_embed", None), "grid_size", None)
        if known and known[0] * known[1] == tokens:
            return int(known[0]), int(known[1])
        rows = round((tokens * height / width) ** 0.5)
        if rows < 1 or tokens % rows:
            raise TrainingError(
                f"{type(self.backbone).__name__} gives {tokens} tokens for a picture of {height}×{width}, which make "
                "no grid; choose another encoder."
            )
        return rows, tokens // rows


def timm_encoder(name: str, channels: int, pretrained: bool, size: tuple[int, int]) -> TimmEncoder:
    """The timm backbone `name` for pictures of C channels and `size` (H, W), with its published weights if wished.

    TrainingError for an unknown name, a size that the backbone cannot take, or weights that cannot be had.
    """
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "none"
        raise TrainingError(f"There is no encoder '{name}' in Insula or timm; near names: {near}.")
    options: dict[str, Any] = {"in_chans": channels, "num_classes": 0}
    try:
        with quiet_hub():
            backbone = _created(name, size, options | {"pretrained": pretrained})
    except Exception as error:  # the hub client raises its own families (network, file, HTTP) and plain RuntimeError
        if pretrained:
            refuse_unbuildable(name, size, options)
            raise unreachable(name, error) from error
        raise _unbuildable(name, size, error) from error
    _whole_patches(backbone, name, size)
    return TimmEncoder(backbone)


def published(name: str) -> str:
    """Name and licence of timm's weights that `pretrained: true` takes."""
    import timm

    config = timm.models.get_pretrained_cfg(name)
    if config is None:
        return name
    tag = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    return f"{tag}, licence {config.license}" if config.license else tag


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Without the hub client's line for each attempt: where all fail, one error says so."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def unreachable(name: str, error: Exception) -> TrainingError:
    """The error of published weights that cannot be had, with both ways out."""
    return TrainingError(
        f"The weights of '{name}' could not be loaded ({type(error).__name__}: {_short(error)}); "
        "give a local file by --set model.pretrained=FILE, or start at random by --set model.pretrained=false."
    )


def refuse_unbuildable(name: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    """TrainingError when the backbone cannot be built at this size even without weights."""
    try:
        with torch.device("meta"):
            _created(name, size, options | {"pretrained": False})
    except OSError:  # about files or the network, not about the size
        return
    except Exception as error:
        raise _unbuildable(name, size, error) from error


def _created(name: str, size: tuple[int, int], options: dict[str, Any]) -> nn.Module:
    import timm

    config = timm.models.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        try:
            fixed: nn.Module = timm.create_model(name, **options, img_size=size)
            return fixed
        except TypeError:  # a few backbones of one size have no argument for it
            pass
    free: nn.Module = timm.create_model(name, **options)
    return free


def _whole_patches(backbone: nn.Module, name: str, size: tuple[int, int]) -> None:
    """TrainingError when the picture is no whole number of patches: the rest of its edge would never be seen."""
    embed = getattr(backbone, "patch_embed", None)
    patch = getattr(embed, "patch_size", None)
    if not isinstance(patch, tuple) or getattr(embed, "grid_size", None) is None:
        return
    if size[0] % patch[0] or size[1] % patch[1]:
        near = tuple(max(p, round(n / p) * p) for n, p in zip(size, patch, strict=True))
        raise TrainingError(
            f"'{name}' cuts pictures into patches of {patch[0]}×{patch[1]}, and {size[0]}×{size[1]} is no whole number "
            f"of them; prepare pictures of {near[0]}×{near[1]}."
        )


def _unbuildable(name: str, size: tuple[int, int], error: Exception) -> TrainingError:
    return TrainingError(
        f"'{name}' cannot be built for pictures of {size[0]}×{size[1]} ({type(error).__name__}: {_short(error)}); "
        "prepare another size, or choose another encoder."
    )


def _short(error: Exception) -> str:
    return textwrap.shorten(str(error), 160, placeholder=" …")
