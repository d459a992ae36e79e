"""Encoders by name: ours from the table, every other name from timm."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.core.provenance import sha256_file
from insula.core.registry import Registry
from insula.model import timm_encoder, weights
from insula.model.weights import Loaded

ENCODERS = Registry(
    "encoder",
    {
        "simple_cnn": "insula.model.simple_cnn:simple_cnn",
        "resnet3d_18": "insula.model.volumetric:resnet3d_18",
        "r2plus1d_18": "insula.model.volumetric:r2plus1d_18",
        "mc3_18": "insula.model.volumetric:mc3_18",
    },
)
NAMED = (
    "simple_cnn",
    *(f"resnet{n}" for n in (18, 34, 50, 101)),
    *(f"efficientnet_b{n}" for n in range(5)),
    "densenet121",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "swin_tiny_patch4_window7_224",
    "convnext_tiny",
    "resnet3d_18",
    "r2plus1d_18",
    "mc3_18",
)  # the encoders that docs/models.md lists and the tests try one by one


def build_encoder(name: str, channels: int, pretrained: bool | str, size: tuple[int, int]) -> nn.Module:
    """An encoder for pictures (C, H, W) of `size` (H, W), from the table or from timm.

    It has `num_features` (E), `volumetric`, `cells` (h, w) of its map, and `loaded`: what it took from a file, or
    None. Flat: (M, C, H, W) → (M, E, h, w). Volumetric: x (N, C, S, H, W) and mask (N, S) → (N, E, S, h, w).

    pretrained: True loads published weights (timm's or torchvision's), `FILE` or `FILE#PREFIX` loads a local
    safetensors file or a checkpoint of nothing but tensors, False starts at random. An entry of the table is a function
    (channels, pretrained: bool) and need not load files. TrainingError when the name is unknown, the weights cannot be
    had, or the encoder gives no map at this size.
    """
    place = weights.place(pretrained) if isinstance(pretrained, str) else None
    encoder: nn.Module
    if name in ENCODERS:
        encoder = ENCODERS.get(name)(channels, pretrained is True)
    else:
        encoder = timm_encoder.timm_encoder(name, channels, pretrained is True, size)
    if not isinstance(getattr(encoder, "num_features", None), int):
        raise TrainingError(f"The encoder '{name}' does not say its `num_features`; mend the part that adds it.")
    for attribute in ("volumetric", "loaded"):
        if not hasattr(encoder, attribute):
            setattr(encoder, attribute, False if attribute == "volumetric" else None)
    if place is not None:
        encoder.loaded = weights.take(encoder, weights.read(place[0]), channels, place[0].name, place[1])  # type: ignore[assignment]
    encoder.cells = _cells(encoder, name, channels, size)  # type: ignore[assignment]
    return encoder


def weights_line(name: str, pretrained: bool | str, loaded: Loaded | None = None) -> str:
    """One sentence that says where the starting weights came from.

    A local file is named without its folder, by its SHA-256's first twelve digits. loaded: the encoder's own `loaded`,
    for how much was taken.
    """
    if isinstance(pretrained, str):
        file, prefix = weights.place(pretrained)
        source = f"the local file {file.name}{f' ({prefix})' if prefix else ''}, SHA-256 {sha256_file(file)[:12]}"
    elif not pretrained:
        return f"{name} starts from random weights."
    elif name in ENCODERS:
        module = import_module(ENCODERS.get(name).__module__)
        known = getattr(module, "published", None)
        source = f"torchvision's published weights ({known(name)})" if known else "its published weights"
    else:
        source = f"timm's published weights ({timm_encoder.published(name)})"
    return f"{name} starts from {source}{f'; {loaded.line}' if loaded else ''}."


def _cells(encoder: nn.Module, name: str, channels: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the map, from one empty picture; TrainingError where none comes out."""
    training = encoder.training
    like = next(encoder.parameters())
    x = torch.zeros(1, channels, *size, device=like.device)
    try:
        with torch.no_grad():
            encoder.eval()
            flat = not encoder.volumetric
            out = encoder(x) if flat else encoder(x.unsqueeze(2), torch.ones(1, 1, device=like.device)).squeeze(2)
    except TrainingError:
        raise
    except Exception as error:  # each backbone refuses a size in its own words
        reason = " ".join(str(error).split())[:160]
        raise TrainingError(
            f"'{name}' cannot take pictures of {channels}×{size[0]}×{size[1]} ({type(error).__name__}: {reason}); "
            "prepare another size, or choose another encoder."
        ) from error
    finally:
        encoder.train(training)
    if out.ndim != 4 or out.shape[1] != encoder.num_features or 0 in out.shape:
        raise TrainingError(
            f"'{name}' gives features of shape {tuple(out.shape)} for pictures of {size[0]}×{size[1]}, no map of "
            f"{encoder.num_features} channels; prepare larger pictures, or choose another encoder."
        )
    return int(out.shape[2]), int(out.shape[3])
