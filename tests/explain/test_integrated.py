"""Integrated gradients add up, go where they must, and equal a long sum by hand."""

from __future__ import annotations

import pytest
import torch
from tests.made_fused import MORE, TARGETS, given, network, recipe

from insula.explain.rebuild import Given
from insula.model.ensemble import Ensemble

pytest.importorskip("captum")
from insula.explain.integrated import integrated_gradients

pytestmark = pytest.mark.train
BAGS = {"ct": [[2, 1], [3]], "mri": [[2], []]}
EVERY = TARGETS | MORE


@pytest.mark.parametrize("pool", ["mean", "max", "attention", "transformer"])
def test_the_pixels_of_all_roles_add_up_to_the_difference_from_black(pool: str) -> None:
    settings = recipe(("ct", "mri"), True, EVERY, pool=pool)
    net, inputs = network(settings), Given(*given(settings, BAGS))
    for name in ("tumour", "stage", "death", "volume"):
        column = settings.columns(name).stop - 1
        heat, gap = integrated_gradients(net, inputs, column, 200)
        with torch.no_grad():
            black = {role: torch.zeros_like(t) for role, t in inputs.x.items()}
            wanted = (net(*inputs) - net(black, inputs.mask, inputs.clinical))[:, column]
        total = heat["ct"].sum((1, 2, 3)) + heat["mri"].sum((1, 2, 3))
        size = float(wanted.abs().max())
        torch.testing.assert_close(total, wanted, atol=0.03 * size, rtol=0.0)  # a path over the kinks of ReLUs
        assert gap == pytest.approx(float((total - wanted).abs().max()), abs=1e-3 * max(1.0, size))
        assert size > 1e-2


def test_it_equals_a_long_sum_of_gradients() -> None:
    settings = recipe(("ct",), False, TARGETS, pool="attention")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[2]]}))
    steps = 400
    total = torch.zeros_like(inputs.x["ct"])
    for i in range(steps):
        x = (inputs.x["ct"] * ((i + 0.5) / steps)).requires_grad_(True)
        total += torch.autograd.grad(net({"ct": x}, inputs.mask)[0, 2], x)[0]
    by_hand = (inputs.x["ct"] * total / steps).sum(2)
    heat, _ = integrated_gradients(net, inputs, 2, 400)
    assert float((heat["ct"] - by_hand).abs().max()) < 0.02 * float(by_hand.abs().max())


def test_padding_and_missing_roles_get_nothing() -> None:
    settings = recipe(("ct", "mri"), True, EVERY, pool="attention")
    net, inputs = network(settings), Given(*given(settings, BAGS))
    heat, _ = integrated_gradients(net, inputs, 2, 8)
    assert float(heat["mri"][1].abs().max()) == 0.0 < float(heat["mri"][0].abs().max())
    nobody = Given(*given(settings, {"ct": [[2], [1]], "mri": [[], []]}))
    heat, _ = integrated_gradients(net, nobody, 2, 8)
    assert float(heat["mri"].abs().max()) == 0.0
    assert float(heat["ct"][1, 1].abs().max()) == 0.0 < float(heat["ct"][1, 0].abs().max())


def test_of_an_ensemble_it_is_the_mean_over_the_members() -> None:
    settings = recipe(("ct",), False, TARGETS, pool="attention")
    nets, inputs = [network(settings, seed) for seed in (5, 6)], Given(*given(settings, {"ct": [[2], [3]]}))
    each = [integrated_gradients(net, inputs, 1, 8)[0]["ct"] for net in nets]
    torch.testing.assert_close(integrated_gradients(Ensemble(nets), inputs, 1, 8)[0]["ct"], (each[0] + each[1]) / 2)


def test_it_runs_where_gradients_are_off() -> None:
    settings = recipe(("ct",), False, TARGETS, pool="mean")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[2]]}))
    with torch.no_grad():
        off, _ = integrated_gradients(net, inputs, 1, 8)
    torch.testing.assert_close(off["ct"], integrated_gradients(net, inputs, 1, 8)[0]["ct"])
