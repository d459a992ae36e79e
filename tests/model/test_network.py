"""The network as a whole: its maps are Grad-CAM, and what is not there is not seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.made_fused import MORE, SHAPES, TARGETS, given, network, recipe, values
from torch import nn

from insula.core.errors import RecipeError
from insula.core.recipe import Recipe
from insula.model.network import Network, Outputs

pytestmark = pytest.mark.train
POOLS = ["mean", "max", "attention", "transformer"]
BAGS = {"ct": [[3, 2], [4], [1, 1, 2]], "mri": [[2], [], [3, 1]]}
EVERY = TARGETS | MORE


def made(pool: str, fused: bool, bags: str = "attention", **model: Any) -> Recipe:
    roles = ("ct", "mri") if fused else ("ct",)
    return recipe(roles, fused, EVERY, pool=pool, bags=bags, **model)


def double(*parts: Any) -> tuple[Any, ...]:
    return tuple(
        {k: v.double() for k, v in p.items()} if isinstance(p, dict) else p if p is None else p.double() for p in parts
    )


def grad_cam(net: Network, *inputs: Any) -> tuple[Outputs, dict[str, torch.Tensor]]:
    """The outputs, and Selvaraju's maps of every column by backward passes: mean gradient by feature map, then ReLU."""
    seen: dict[str, torch.Tensor] = {}

    def keep(role: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
            seen[role] = output.detach().requires_grad_(True)
            return seen[role]

        return hook

    handles = [net.encoders[role].register_forward_hook(keep(role)) for role in net.roles]
    out = net.explain(*inputs)
    for handle in handles:
        handle.remove()
    found: dict[str, list[torch.Tensor]] = {role: [] for role in net.roles}
    for k in range(out.logits.shape[1]):
        grads = torch.autograd.grad(out.logits[:, k].sum(), list(seen.values()), retain_graph=True, allow_unused=True)
        for (role, maps), grad in zip(seen.items(), grads, strict=True):
            grad = torch.zeros_like(maps) if grad is None else grad  # the fixed column of a binary target
            if net.encoders[role].volumetric:
                cam = (grad.mean((3, 4), keepdim=True) * maps).sum(1)
            else:
                cam = torch.unflatten((grad.mean((2, 3), keepdim=True) * maps).sum(1), 0, inputs[0][role].shape[:2])
            found[role].append(torch.relu(cam))
    return out, {role: torch.stack(cams, 1).detach() for role, cams in found.items()}


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "alone"])
@pytest.mark.parametrize("pool", POOLS)
def test_class_maps_equal_gradient_grad_cam_for_every_kind_of_target(pool: str, fused: bool) -> None:
    """Every column of six kinds of target, several bags, padding, a role that a case lacks."""
    settings = made(pool, fused)
    net = network(settings)
    inputs = given(settings, BAGS)
    lively: dict[tuple[str, str], float] = {}
    for turn in (1.0, -1.0):  # what ReLU hides of one head, the opposite one shows
        with torch.no_grad():
            net.heads.score.weight.mul_(turn)
        out, cams = grad_cam(net.float(), *inputs)
        exact, exact_cams = grad_cam(net.double(), *double(*inputs))
        for role in settings.inputs:
            assert out.maps[role].shape == (3, out.logits.shape[1], inputs[0][role].shape[1], 4, 4)
            for name in settings.targets:
                part = settings.columns(name)
                largest = float(exact_cams[role][:, part].max())
                near = float((out.maps[role] - cams[role])[:, part].detach().abs().max())
                exactly = float((exact.maps[role] - exact_cams[role])[:, part].detach().abs().max())
                assert near < 1e-4 * max(1.0, largest), (role, name)
                assert exactly < 1e-8 * max(1.0, largest), (role, name)
                lively[role, name] = max(lively.get((role, name), 0.0), largest)
    assert min(lively.values()) > 1e-3


@pytest.mark.parametrize("outer", ["mean", "max"])
def test_so_they_do_for_the_other_ways_to_join_bags(outer: str) -> None:
    settings = made("attention", True, outer)
    exact, cams = grad_cam(network(settings).double(), *double(*given(settings, BAGS)))
    for role in settings.inputs:
        torch.testing.assert_close(exact.maps[role], cams[role], atol=1e-8, rtol=1e-8)


def test_clinical_columns_beside_one_role_are_fused_with_it() -> None:
    settings = recipe(("ct",), True, EVERY, pool="attention")
    net = network(settings).double()
    x, mask, clinical = double(*given(settings, BAGS))
    exact, cams = grad_cam(net, x, mask, clinical)
    torch.testing.assert_close(exact.maps["ct"], cams["ct"], atol=1e-8, rtol=1e-8)
    with torch.no_grad():
        torch.testing.assert_close(net(x, mask, clinical), exact.logits.detach())
        other = net(x, mask, clinical + 1.0)
    assert float((other - exact.logits).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "alone"])
@pytest.mark.parametrize("pool", POOLS)
def test_padding_is_never_seen_and_training_sees_what_explaining_does(pool: str, fused: bool) -> None:
    settings = made(pool, fused)
    net = network(settings)
    x, mask, clinical = given(settings, BAGS)
    rubbish = {role: torch.where(mask[role].amax(1)[:, :, None, None, None] > 0.5, x[role], 50.0) for role in x}
    with torch.no_grad():
        out, other = net.explain(x, mask, clinical), net.explain(rubbish, mask, clinical)
        torch.testing.assert_close(net(x, mask, clinical), out.logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(net(rubbish, mask, clinical), net(x, mask, clinical))
        torch.testing.assert_close(other.logits, out.logits)
        for role in x:
            real = mask[role].amax(1)
            torch.testing.assert_close(other.maps[role], out.maps[role])
            assert float((out.maps[role].amax((1, 3, 4)) * (1 - real)).max()) == 0.0
            torch.testing.assert_close(out.slice_weights[role].sum(1), real.amax(1))
            assert float((out.slice_weights[role] * (1 - real)).abs().max()) == 0.0
        # a case alone, without any padding, gets the same answer
        last = {role: x[role][2:, : sum(BAGS[role][2])] for role in x}
        alone = {role: mask[role][2:, : len(BAGS[role][2]), : sum(BAGS[role][2])] for role in x}
        one = net.explain(last, alone, None if clinical is None else clinical[2:])
        torch.testing.assert_close(one.logits, out.logits[2:], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(one.embedding, out.embedding[2:], atol=1e-5, rtol=1e-4)


def test_a_missing_role_is_answered_with_and_has_no_map() -> None:
    settings = made("attention", True)
    net = network(settings)
    x, mask, clinical = given(settings, BAGS)
    with torch.no_grad():
        out = net.explain(x, mask, clinical)
        assert float(out.maps["mri"][1].abs().max()) == 0.0
        without = {**x, "mri": torch.zeros(3, 1, *SHAPES["mri"])}
        nothing = {**mask, "mri": torch.zeros(3, 1, 1)}
        again = net.explain(without, nothing, clinical)
        torch.testing.assert_close(again.logits[1], out.logits[1])
        assert float((again.logits[0] - out.logits[0]).abs().max()) > 1e-3  # the role counts where it is there
        unknown = torch.full_like(clinical, float("nan"))  # type: ignore[arg-type]
        blind = net.explain(x, mask, unknown)
        assert bool(torch.isfinite(blind.logits).all())
        assert float((blind.logits - out.logits).abs().max()) > 1e-3
        torch.testing.assert_close(net(without, nothing, unknown), net.explain(without, nothing, unknown).logits)


def test_a_batch_in_which_nobody_has_a_role_still_trains() -> None:
    settings = made("attention", True)
    net = network(settings).train()
    x, mask, clinical = given(settings, {"ct": [[2], [1]], "mri": [[], []]})
    before = values(net.encoders["mri"])
    net(x, mask, clinical).square().sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in net.encoders["mri"].state_dict().items())
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in net.parameters())
    assert net.fusion is not None
    assert float(net.fusion.missing["mri"].grad.abs().max()) > 0.0


def test_explaining_changes_no_state() -> None:
    settings = made("transformer", True)
    net = network(settings)
    before = values(net)
    net.explain(*given(settings, BAGS))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_each_role_has_its_own_normalisation_encoder_and_pool() -> None:
    roles = {"mri": {"pool": "max", "normalise": {"mean": [0.1], "std": [2.0]}}}
    settings = made("mean", True, roles=roles, normalise={"mean": [0.3, 0.4], "std": [0.5, 0.6]})
    net = network(settings)
    assert net.get_buffer("mean_ct").flatten().tolist() == pytest.approx([0.3, 0.4])
    assert net.get_buffer("std_mri").flatten().tolist() == pytest.approx([2.0])
    x, mask, clinical = given(settings, BAGS)
    moved = {"ct": x["ct"], "mri": (x["mri"] - 0.1) / 2.0}
    plain = made("mean", True, roles={"mri": {"pool": "max", "normalise": {"mean": [0.0], "std": [1.0]}}})
    plain = plain.model_copy(update={"model": settings.model.model_copy(update={"roles": plain.model.roles})})
    with torch.no_grad():
        torch.testing.assert_close(network(plain).explain(moved, mask, clinical).logits, net(x, mask, clinical))
    with pytest.raises(RecipeError, match=r"normalise\.mean has 3 values and the prepared scan of 'ct' 2 channels"):
        network(made("mean", False, normalise={"mean": [0, 0, 0], "std": [1, 1, 1]}))


def test_an_input_that_no_module_can_carry_is_refused() -> None:
    settings = recipe(("ct",), False)
    named = settings.model_copy(update={"inputs": {"train": settings.input}})
    with pytest.raises(RecipeError, match="'train' cannot name an input"):
        Network(named, {"train": (2, 16, 16)})


def test_dropout_stands_before_the_heads_alone() -> None:
    settings = made("mean", True, dropout=0.5)
    net = network(settings)
    inputs = given(settings, BAGS)
    net.dropout.train()
    with torch.no_grad():
        torch.manual_seed(1)
        columns = net(*inputs)
        torch.manual_seed(1)
        keep = net.dropout(torch.ones(3, 24))
        torch.testing.assert_close(columns, net.heads(net.explain(*inputs).embedding * keep), atol=1e-4, rtol=1e-4)


def test_where_the_weights_came_from_is_said_for_each_role() -> None:
    settings = made("mean", True)
    assert network(settings).lines(settings) == (
        "ct: simple_cnn starts from random weights. mri: simple_cnn starts from random weights."
    )


def volumetric(bags: str = "mean", fused: bool = False) -> tuple[Recipe, Network]:
    settings = recipe(("ct",), False, TARGETS, encoder="mc3_18", pool="attention", bags=bags)
    torch.manual_seed(0)
    net = Network(settings, SHAPES).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.bias is not None
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return settings, net


def test_a_volumetric_encoder_trains_and_explains_alike_and_its_maps_are_grad_cam() -> None:
    settings, net = volumetric("attention")
    inputs = given(settings, {"ct": [[3, 2], [4], []]})
    out, cams = grad_cam_of_volumes(net, *inputs)
    with torch.no_grad():
        torch.testing.assert_close(net(*inputs), out.logits, atol=1e-4, rtol=1e-4)
    assert float((out.maps["ct"] - cams).detach().abs().max()) < 1e-4 * max(1.0, float(cams.max()))
    assert float(cams[0].max()) > 1e-3
    net.train()
    net(*inputs).square().sum().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def grad_cam_of_volumes(net: Network, x: Any, mask: Any, clinical: Any) -> tuple[Outputs, torch.Tensor]:
    """As `grad_cam`, where the encoder gets each bag as a volume of its own: bags are joined before the map is made."""
    seen: list[torch.Tensor] = []

    def hook(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        seen.append(output.detach().requires_grad_(True))
        return seen[0]

    handle = net.encoders["ct"].register_forward_hook(hook)
    out = net.explain(x, mask, clinical)
    handle.remove()
    cams = []
    for k in range(out.logits.shape[1]):
        (grad,) = torch.autograd.grad(out.logits[:, k].sum(), seen[0], retain_graph=True)
        cam = (grad.mean((3, 4), keepdim=True) * seen[0]).sum(1)  # (N·B, S, h, w)
        cams.append(torch.relu(torch.unflatten(cam, 0, mask["ct"].shape[:2]).sum(1)))
    return out, torch.stack(cams, 1).detach()


def test_two_series_of_a_patient_are_two_volumes() -> None:
    settings, net = volumetric("mean")
    x, mask, _ = given(settings, {"ct": [[3, 2]]})
    with torch.no_grad():
        both = net.explain(x, mask)
        first = net.explain({"ct": x["ct"][:, :3]}, {"ct": mask["ct"][:, :1, :3]})
        second = net.explain({"ct": x["ct"][:, 3:]}, {"ct": mask["ct"][:, 1:, 3:]})
    torch.testing.assert_close(both.embedding, (first.embedding + second.embedding) / 2, atol=1e-5, rtol=1e-4)
