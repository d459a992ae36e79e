"""Channels that are taken out, weights that are set to zero, and widths that travel with the weights."""

from __future__ import annotations

import pytest
import torch
from tests.made_arrays import recipe
from torch import nn

from insula.core.errors import ExportError
from insula.core.recipe import Recipe
from insula.model import prune
from insula.model.network import Network
from insula.train.run import filled

pytestmark = pytest.mark.train
SHAPES = {"mri": (1, 32, 32)}
WITH_CHANNELS = ("simple_cnn", "resnet18", "resnet50", "efficientnet_b0", "mobilenetv3_small_100", "densenet121")


def made(encoder: str, *more: str) -> tuple[Recipe, Network]:
    asked = recipe(f"model.encoder={encoder}", "model.pretrained=false", *more)
    torch.manual_seed(3)
    network = Network(asked, SHAPES).eval()
    for module in network.modules():  # as after some training: norms that are not all alike
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_var is not None
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return asked, network


def given(seed: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {"mri": torch.rand((2, 3, 1, 32, 32), generator=generator)}, {"mri": torch.ones(2, 1, 3)}


@pytest.mark.parametrize("encoder", WITH_CHANNELS)
def test_half_of_the_channels_go_and_the_weights_alone_rebuild_the_network(encoder: str) -> None:
    asked, network = made(encoder)
    before = sum(p.numel() for p in network.encoders.parameters())
    found = prune.channels(network, SHAPES, 0.5)
    assert found.before == before
    assert found.after == sum(p.numel() for p in network.encoders.parameters()) < 0.6 * before
    assert found.groups >= 3
    network.eval()
    x, mask = given()
    again = filled(asked, SHAPES, network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(x, mask), network(x, mask))
        ours, theirs = again.explain(x, mask), network.explain(x, mask)
    torch.testing.assert_close(ours.maps["mri"], theirs.maps["mri"])
    assert ours.embedding.shape[1] == network.heads.in_features


@pytest.mark.parametrize("encoder", ["simple_cnn", "resnet18", "efficientnet_b0"])
def test_channels_that_do_nothing_go_first_and_the_answer_stays(encoder: str) -> None:
    _, network = made(encoder)
    x, mask = given()
    with torch.no_grad():
        for module in network.encoders.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                _silence(module)
        whole = network(x, mask)
        prune.channels(network, SHAPES, 0.75)
        torch.testing.assert_close(network.eval()(x, mask), whole, atol=1e-5, rtol=1e-4)


def _silence(module: nn.Conv2d | nn.BatchNorm2d) -> None:
    """The last quarter of the channels of every layer give zero and are not listened to, so that groups agree."""
    width = module.weight.shape[0]
    module.weight[width - _quarter(width) :] = 0.0
    if module.bias is not None:
        module.bias[width - _quarter(width) :] = 0.0
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        inner = module.weight.shape[1]
        module.weight[:, inner - _quarter(inner) :] = 0.0


def _quarter(width: int) -> int:
    """How many channels go of so many, where the rest is a multiple of 8."""
    return width - min(width, max(8, 8 * round(0.75 * width / 8)))


def test_widths_are_multiples_of_eight() -> None:
    _, network = made("resnet18")
    prune.channels(network, SHAPES, 0.6)
    widths = {m.out_channels for m in network.encoders.modules() if isinstance(m, nn.Conv2d)}
    assert all(width % 8 == 0 for width in widths)
    assert 512 in widths  # what pooling sees


def test_a_transformer_has_no_channels_to_take_out_and_is_left_as_it_was() -> None:
    _, network = made("vit_tiny_patch16_224", "inputs.mri.prep=[percentile: [0, 100], resize: 224]")
    with pytest.raises(ExportError, match="use int8 or distil"):
        prune.channels(network, {"mri": (1, 224, 224)}, 0.5)


def test_a_network_without_wide_layers_says_so() -> None:
    _, network = made("simple_cnn")
    with pytest.raises(ExportError, match="no group of more than 8 channels"):
        prune.channels(network, SHAPES, 1.0)


def test_the_smallest_weights_become_zero_over_all_layers() -> None:
    _, network = made("simple_cnn")
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    masks = prune.weights(network, 0.3)
    after = dict(network.named_parameters())
    total = sum(mask.numel() for mask in masks.values())
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == pytest.approx(0.3 * total, abs=2)
    lowest = min(float(before[name][mask].abs().min()) for name, mask in masks.items())
    highest = max(float(before[name][~mask].abs().max()) for name, mask in masks.items())
    assert lowest > highest
    for name, p in after.items():
        if name in masks:
            torch.testing.assert_close(p, before[name] * masks[name])
        else:
            torch.testing.assert_close(p, before[name])
    assert not any(name.endswith("bias") or "heads" in name for name in masks)
    assert all(mask.all() for mask in prune.weights(network, 1.0).values())
