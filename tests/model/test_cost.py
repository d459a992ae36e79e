"""Counts against published ones and against sums by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from insula.model.cost import cost, kept_bytes, multiply_adds

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("name", "side", "billions", "millions"),
    [
        ("resnet18", 224, 1.81, 11.69 - 0.513),  # He et al. 2016, table 1: 1.8; torchvision's table: 1.81
        ("resnet50", 224, 4.09, 25.56 - 2.049),  # torchvision's table: 4.09
        ("efficientnet_b0", 224, 0.39, 5.29 - 1.281),  # Tan and Le 2019, table 2: 0.39
        ("densenet121", 224, 2.83, 7.98 - 1.025),  # torchvision's table: 2.83
        ("vit_small_patch16_224", 224, 4.6, 22.05 - 0.385),  # Touvron et al. 2021: 4.6
        ("swin_tiny_patch4_window7_224", 224, 4.5, 28.29 - 0.769),  # Liu et al. 2021, table 1: 4.5
        ("convnext_tiny", 224, 4.5, 28.59 - 0.769),  # Liu et al. 2022, table 1: 4.5
    ],
)
def test_counts_are_the_published_ones_without_the_classifier(
    name: str, side: int, billions: float, millions: float
) -> None:
    found = cost(name, 3, (side, side))
    assert found.multiply_adds / 1e9 == pytest.approx(billions, rel=0.015)
    assert found.parameters / 1e6 == pytest.approx(millions, abs=0.01)
    assert found.kept_checkpointed < found.kept


def test_a_small_network_by_hand() -> None:
    found = cost("simple_cnn", 3, (96, 96))
    per_cell = (27 * 16, 144 * 32, 288 * 64, 64 * 128)
    cells = (96 * 96, 48 * 48, 24 * 24, 24 * 24)
    assert found.multiply_adds == sum(a * b for a, b in zip(per_cell, cells, strict=True))
    assert (found.features, found.cells, found.parameters) == (128, (24, 24), 32_144)


def test_attention_counts_both_of_its_products() -> None:
    tokens, width = 10, 8
    layer = nn.MultiheadAttention(width, 2, batch_first=True).eval()
    x = torch.rand(1, tokens, width)
    assert multiply_adds(layer, (x, x, x)) == 4 * tokens * width * width + 2 * tokens * tokens * width


def test_a_volume_grows_with_its_slices() -> None:
    few, many = cost("mc3_18", 1, (64, 64), 4), cost("mc3_18", 1, (64, 64), 8)
    assert many.multiply_adds == 2 * few.multiply_adds
    assert many.kept == pytest.approx(2 * few.kept, rel=0.01)
    assert (many.parameters, many.cells) == (few.parameters, (4, 4))


def test_kept_bytes_are_the_activations_of_the_backward_pass() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.rand(5, 4)
    assert kept_bytes(net, (x,)) == 4 * (5 * 4 + 5 * 6)  # the input, and what the ReLU gives to the second layer
