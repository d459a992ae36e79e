"""Grad-CAM++ in closed form equals the paper's formula by backward passes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from tests.made_fused import MORE, TARGETS, given, network, recipe
from torch import nn

from insula.explain.grad_cam_pp import grad_cam_pp
from insula.explain.rebuild import Given
from insula.model.ensemble import Ensemble
from insula.model.network import Network

pytestmark = pytest.mark.train
BAGS = {"ct": [[3, 2], [4], [1, 1, 2]], "mri": [[2], [], [3, 1]]}
EVERY = TARGETS | MORE


def double(given: Given) -> Given:
    return Given(
        {k: v.double() for k, v in given.x.items()},
        {k: v.double() for k, v in given.mask.items()},
        None if given.clinical is None else given.clinical.double(),
    )


def by_backward_passes(net: Network, inputs: Given) -> dict[str, torch.Tensor]:
    """Eq. 19 for each column and slice: every cell's own derivative, its square and cube, and the cells' sum."""
    seen: dict[str, torch.Tensor] = {}

    def keep(role: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
            seen[role] = output.detach().requires_grad_(True)
            return seen[role]

        return hook

    handles = [net.encoders[role].register_forward_hook(keep(role)) for role in net.roles]
    columns = net.explain(*inputs).logits
    for handle in handles:
        handle.remove()
    found: dict[str, list[torch.Tensor]] = {role: [] for role in net.roles}
    for k in range(columns.shape[1]):
        grads = torch.autograd.grad(columns[:, k].sum(), list(seen.values()), retain_graph=True, allow_unused=True)
        for (role, a), grad in zip(seen.items(), grads, strict=True):
            g = torch.zeros_like(a) if grad is None else grad
            below = 2 * g**2 + a.sum((2, 3), keepdim=True) * g**3
            alpha = torch.where(g != 0, g**2 / torch.where(g != 0, below, torch.ones_like(below)), torch.zeros_like(g))
            weights = (alpha * torch.relu(g)).sum((2, 3), keepdim=True)
            cam = torch.relu((weights * a).sum(1))
            found[role].append(torch.unflatten(cam, 0, inputs.x[role].shape[:2]))
    return {role: torch.stack(cams, 1).detach() for role, cams in found.items()}


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "alone"])
@pytest.mark.parametrize("pool", ["mean", "max", "attention", "transformer"])
def test_it_equals_the_formula_for_every_pool_and_kind_of_head(pool: str, fused: bool) -> None:
    roles = ("ct", "mri") if fused else ("ct",)
    settings = recipe(roles, fused, EVERY, pool=pool, bags="attention")
    net = network(settings)
    inputs = Given(*given(settings, BAGS))
    lively: dict[tuple[str, str], float] = {}
    for turn in (1.0, -1.0):  # what ReLU hides of one head, the opposite one shows
        with torch.no_grad():
            net.heads.score.weight.mul_(turn)
        ours = grad_cam_pp(net.float(), inputs)
        exact = grad_cam_pp(net.double(), double(inputs))
        wanted = by_backward_passes(net, double(inputs))
        for role in settings.inputs:
            assert ours[role].shape == wanted[role].shape
            for name in settings.targets:
                part = settings.columns(name)
                largest = float(wanted[role][:, part].max())
                assert float((ours[role] - wanted[role])[:, part].abs().max()) < 1e-4 * max(1.0, largest), (role, name)
                assert float((exact[role] - wanted[role])[:, part].abs().max()) < 1e-9 * max(1.0, largest)
                lively[role, name] = max(lively.get((role, name), 0.0), largest)
    assert min(lively.values()) > 1e-3


def test_it_is_another_map_than_grad_cam() -> None:
    settings = recipe(("ct",), False, TARGETS, pool="attention")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[3]]}))
    with torch.no_grad():
        plain = net.explain(*inputs).maps["ct"]
    plus = grad_cam_pp(net, inputs)["ct"]
    k = int(plain.amax((0, 2, 3, 4)).argmax())
    both = torch.stack([plain[0, k].flatten(), plus[0, k].flatten()])
    assert 0.2 < float(torch.corrcoef(both)[0, 1]) < 0.9999


def test_maps_below_zero_give_finite_heat() -> None:
    """Of an encoder without a last ReLU the sum of a map may be anything; the denominator stays above 0."""

    class Signed(nn.Module):
        volumetric, num_features = False, 128

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            draw = torch.Generator().manual_seed(1)
            return torch.randn(len(x), 128, 4, 4, generator=draw) * 50

    settings = recipe(("ct",), False, TARGETS, pool="mean")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[2], [1]]}))
    net.encoders["ct"] = Signed()
    heat = grad_cam_pp(net, inputs)["ct"]
    assert bool(torch.isfinite(heat).all())
    assert float(heat.max()) > 0.0
    with torch.no_grad():  # no weight is above half its slope, and no value of these maps above 6 deviations
        bound = 50 * 6 * float(torch.relu(net.heads.slope(torch.zeros(1, 128))).sum(2).max()) / 2
    assert float(heat.max()) < bound


def test_of_an_ensemble_it_is_the_mean_over_the_members() -> None:
    settings = recipe(("ct",), False, TARGETS, pool="attention")
    nets, inputs = [network(settings, seed) for seed in (5, 6)], Given(*given(settings, {"ct": [[2], [3]]}))
    each = [grad_cam_pp(net, inputs)["ct"] for net in nets]
    torch.testing.assert_close(grad_cam_pp(Ensemble(nets), inputs)["ct"], (each[0] + each[1]) / 2)


def test_it_equals_pytorch_grad_cam() -> None:
    """That library adds 1e-6 to the denominator, so the gradients are made large enough for it not to count."""
    library = import_module("pytorch_grad_cam")
    settings = recipe(("ct",), False, TARGETS, pool="mean")
    net = network(settings).double()
    with torch.no_grad():
        net.heads.score.weight.mul_(300.0)
    inputs = double(Given(*given(settings, {"ct": [[1], [1], [1]]})))

    class OneSlice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            columns: torch.Tensor = self.net.explain({"ct": x[:, None]}, inputs.mask).logits
            return columns

    model = OneSlice().eval()
    targets = [library.utils.model_targets.ClassifierOutputTarget(2)] * 3
    with library.GradCAMPlusPlus(model, [net.encoders["ct"]]) as cam:
        theirs = cam(inputs.x["ct"][:, 0], targets=targets)
    scaled = library.utils.image.scale_cam_image  # to 0 and 1, before the map is grown to the picture and after
    ours = scaled(scaled(grad_cam_pp(net, inputs)["ct"][:, 2, 0].numpy(), (16, 16)))
    assert float(abs(ours - theirs).max()) < 1e-4
    assert float(ours.max()) == pytest.approx(1.0, abs=1e-3)
