"""Every encoder that the documents name, and what the interface promises for any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.core.provenance import sha256_file
from insula.core.registry import Registry
from insula.model import encoders
from insula.model.encoders import NAMED, build_encoder, weights_line

pytestmark = pytest.mark.train

FLAT = [name for name in NAMED if "3d" not in name and not name.startswith(("mc3", "r2plus1d"))]
LARGE = ("resnet101", "vit_base_patch16_224")
VOLUMETRIC = [name for name in NAMED if name not in FLAT]


def size(name: str) -> tuple[int, int]:
    """A small picture that is not square."""
    return (64, 128) if name.startswith("swin") else (48, 64)


def inputs(encoder: nn.Module, count: int, channels: int, shape: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    if encoder.volumetric:
        return torch.randn(count, channels, 3, *shape), torch.ones(count, 3)
    return (torch.randn(count, channels, *shape),)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in NAMED])
def test_a_named_encoder_gives_a_map_and_learns(name: str) -> None:
    """One optimiser step on one batch lowers the loss and moves the first weights; five channels, not square."""
    torch.manual_seed(0)
    encoder = build_encoder(name, 5, False, size(name)).train()
    given = inputs(encoder, 4, 5, size(name))
    head = nn.Linear(int(encoder.num_features), 2)  # type: ignore[arg-type]
    labels = torch.tensor([0, 1, 0, 1])
    first = next(encoder.parameters())
    before = first.detach().clone()
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-4)

    def loss() -> torch.Tensor:
        maps = encoder(*given)
        assert maps.shape == (4, encoder.num_features, *([3] if encoder.volumetric else []), *encoder.cells)  # type: ignore[misc]
        return nn.functional.cross_entropy(head(maps.flatten(2).mean(2)), labels)

    start = loss()
    start.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in encoder.parameters())
    optimiser.step()
    with torch.no_grad():
        assert float(loss()) < float(start)
    assert not torch.equal(first, before)
    assert bool(encoder.volumetric) == (name in VOLUMETRIC)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("simple_cnn", (12, 16)),
        ("resnet18", (2, 2)),
        ("efficientnet_b0", (2, 2)),
        ("densenet121", (1, 2)),
        ("vit_small_patch16_224", (3, 4)),
        ("mc3_18", (3, 4)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_number_of_channels(name: str, cells: tuple[int, int], channels: int) -> None:
    encoder = build_encoder(name, channels, False, (48, 64)).eval()
    assert encoder.cells == cells
    with torch.no_grad():
        assert encoder(*inputs(encoder, 2, channels, (48, 64))).shape[-2:] == cells


def test_building_leaves_no_trace_of_the_trial_picture() -> None:
    encoder = build_encoder("resnet18", 3, False, (64, 64))
    assert encoder.training
    assert int(encoder.backbone.bn1.num_batches_tracked) == 0  # type: ignore[union-attr, arg-type]
    assert all(p.grad is None for p in encoder.parameters())


def test_what_the_encoder_cannot_take_is_said_before_training() -> None:
    with pytest.raises(TrainingError, match="no encoder 'resnet19' in Insula or timm; near names: "):
        build_encoder("resnet19", 3, False, (64, 64))
    with pytest.raises(TrainingError, match=r"patches of 16×16, and 100×64 is no whole number.*pictures of 96×64"):
        build_encoder("vit_small_patch16_224", 3, False, (100, 64))
    with pytest.raises(TrainingError, match=r"'nest_tiny' cannot be built for pictures of 64×96 .*square"):
        build_encoder("nest_tiny", 3, False, (64, 96))
    with pytest.raises(TrainingError, match=r"'inception_v3' cannot take pictures of 3×16×16"):
        build_encoder("inception_v3", 3, False, (16, 16))
    with pytest.raises(TrainingError, match=r"CrossVit gives a list in place of one feature map"):
        build_encoder("crossvit_9_240", 3, False, (240, 240))


def test_an_entry_of_another_package_is_taken_and_a_wrong_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"own": "tests.model.test_encoders:own", "mute": "tests.model.test_encoders:mute"}
    monkeypatch.setattr(encoders, "ENCODERS", Registry("encoder", table))
    encoder = build_encoder("own", 2, False, (8, 8))
    told = {k: getattr(encoder, k) for k in ("num_features", "volumetric", "cells", "loaded")}
    assert told == {"num_features": 4, "volumetric": False, "cells": (4, 4), "loaded": None}
    with pytest.raises(TrainingError, match="'mute' does not say its `num_features`"):
        build_encoder("mute", 2, False, (8, 8))


def own(channels: int, pretrained: bool) -> nn.Module:
    encoder = nn.Conv2d(channels, 4, 2, stride=2)
    encoder.num_features = 4  # type: ignore[assignment]
    return encoder


def mute(channels: int, pretrained: bool) -> nn.Module:
    return nn.Conv2d(channels, 4, 2)


def test_the_first_line_says_where_the_weights_come_from(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"anything")
    digest = sha256_file(path)[:12]
    said = weights_line("resnet18", str(path))
    assert said == f"resnet18 starts from the local file start.safetensors, SHA-256 {digest}."
    assert "start.safetensors (encoders.ct), SHA-256" in weights_line("resnet18", f"{path}#encoders.ct")
    assert weights_line("resnet18", False) == "resnet18 starts from random weights."
    assert weights_line("resnet18", True).startswith("resnet18 starts from timm's published weights (resnet18.")
    assert "licence apache-2.0" in weights_line("resnet18", True)
    assert "torchvision's published weights (R3D_18_Weights.KINETICS400_V1)" in weights_line("resnet3d_18", True)
    with pytest.raises(TrainingError, match="is no file; give an existing file, true or false"):
        weights_line("resnet18", "nowhere.safetensors")
