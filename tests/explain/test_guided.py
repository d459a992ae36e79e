"""Guided backpropagation: the rule at every ReLU, and nowhere else."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from tests.made_fused import SHAPES, TARGETS, given, network, recipe, stirred
from torch import nn

from insula.core.errors import UsageError
from insula.explain.guided import guided_backprop
from insula.explain.rebuild import Given
from insula.model.ensemble import Ensemble
from insula.model.network import Network

pytestmark = pytest.mark.train


class Flat(nn.Module):
    """A network as a function of one role's pictures."""

    def __init__(self, net: Network, inputs: Given) -> None:
        super().__init__()
        self.net, self.inputs = net, inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns: torch.Tensor = self.net({"ct": x}, self.inputs.mask)
        return columns


@pytest.mark.parametrize("encoder", ["simple_cnn", "resnet18"])
@pytest.mark.parametrize("pool", ["mean", "max", "attention", "transformer"])
def test_it_equals_captum_where_every_relu_is_a_module(pool: str, encoder: str) -> None:
    captum = pytest.importorskip("captum.attr")
    settings = recipe(("ct",), False, TARGETS, pool=pool, encoder=encoder)
    if encoder == "simple_cnn":
        net = network(settings)
    else:
        torch.manual_seed(0)
        net = Network(settings, SHAPES).eval()
    inputs = Given(*given(settings, {"ct": [[2], [3]]}))
    ours = guided_backprop(net, inputs, 2)["ct"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = inputs.x["ct"].clone().requires_grad_(True)
        theirs = captum.GuidedBackprop(Flat(net, inputs)).attribute(x, target=2).abs().amax(2)
    assert float(theirs.max()) > 1e-4
    torch.testing.assert_close(ours, theirs.detach(), atol=1e-6 * float(theirs.max()), rtol=1e-4)


def test_relus_that_are_functions_follow_the_rule_too() -> None:
    """Those of the fusion: its gradient by hand, after the rule."""
    settings = recipe(("ct", "mri"), False, TARGETS, pool="mean")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[1]], "mri": [[1]]}))
    assert net.fusion is not None
    x = {role: t.clone().requires_grad_(True) for role, t in inputs.x.items()}
    z = {role: net.encoders[role]((x[role][:, 0] - 0.5) / 0.25).mean((2, 3)) for role in net.roles}
    run = {role: f"fusion.norms.{role}.running" for role in net.roles}
    scale = {role: torch.rsqrt(net.get_buffer(f"{run[role]}_var") + 1e-5) for role in net.roles}
    mean = {role: net.get_buffer(f"{run[role]}_mean") for role in net.roles}
    pre = {role: net.fusion.project[role]((z[role] - mean[role]) * scale[role]) for role in net.roles}
    joint = net.fusion.join(torch.cat([torch.relu(pre[role]) for role in net.roles], 1))
    back = (net.heads.score.weight[2] * (joint > 0)).clamp(min=0) @ net.fusion.join.weight
    for i, role in enumerate(net.roles):
        part = back[:, 24 * i : 24 * (i + 1)].clamp(min=0) * (pre[role] > 0)
        at_z = (part @ net.fusion.project[role].weight) * scale[role]
        # through the encoder: the same rule, by Captum's way of it
        wanted = encoder_rule(net.encoders[role], x[role][:, 0], at_z)
        torch.testing.assert_close(
            guided_backprop(net, inputs, 2)[role][:, 0], wanted, atol=1e-6 * float(wanted.max()), rtol=1e-4
        )
        assert float(wanted.max()) > 0


def encoder_rule(encoder: nn.Module, x: torch.Tensor, at_mean: torch.Tensor) -> torch.Tensor:
    """The rule through SimpleCNN layer by layer, from a gradient at the mean of its map."""
    steps = [(x.detach() - 0.5) / 0.25]
    layers = list(encoder.layers)  # type: ignore[arg-type]
    for layer in layers:
        steps.append(F.relu(steps[-1]) if isinstance(layer, nn.ReLU) else layer(steps[-1]).detach())
    h, w = steps[-1].shape[2:]
    g = (at_mean / (h * w))[:, :, None, None].expand_as(steps[-1])
    for layer, before in zip(reversed(layers), reversed(steps[:-1]), strict=True):
        if isinstance(layer, nn.ReLU):
            g = g.clamp(min=0) * (before > 0)
        else:
            before = before.clone().requires_grad_(True)
            (g,) = torch.autograd.grad(layer(before), before, g)
    found: torch.Tensor = (g / 0.25).abs().amax(1).detach()
    return found


def test_a_volumetric_encoder_and_padding() -> None:
    settings = recipe(("ct",), False, TARGETS, encoder="mc3_18", pool="mean")
    torch.manual_seed(0)
    net = Network(settings, SHAPES).eval()
    inputs = Given(*given(settings, {"ct": [[2], [1]]}))
    heat = guided_backprop(net, inputs, 2)["ct"]
    assert heat.shape == (2, 2, 16, 16)
    assert float(heat[1, 1].max()) == 0.0 < float(heat[1, 0].max())


def test_of_an_ensemble_it_is_the_mean_over_the_members() -> None:
    settings = recipe(("ct",), False, TARGETS)
    nets, inputs = [network(settings, seed) for seed in (5, 6)], Given(*given(settings, {"ct": [[2], [3]]}))
    each = [guided_backprop(net, inputs, 1)["ct"] for net in nets]
    torch.testing.assert_close(guided_backprop(Ensemble(nets), inputs, 1)["ct"], (each[0] + each[1]) / 2)


@pytest.mark.parametrize(("encoder", "named"), [("test_efficientnet", "SiLU"), ("test_vit", "GELU")])
def test_an_encoder_with_another_activation_is_refused(encoder: str, named: str) -> None:
    settings = recipe(("ct",), False, TARGETS, encoder=encoder)
    net = stirred(Network(settings, {"ct": (2, 32, 32)})).eval()
    x = torch.rand(1, 1, 2, 32, 32)
    with pytest.raises(UsageError, match=f"the encoder of 'ct' has {named}; use --method integrated_gradients"):
        guided_backprop(net, Given({"ct": x}, {"ct": torch.ones(1, 1, 1)}, None), 0)
