"""No explainer changes a network: parameters, buffers, gradients, modes, hooks, attributes, the random state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.explain.fingerprint import fingerprint
from tests.made_fused import TARGETS, given, network, recipe
from torch import nn

from insula.explain.grad_cam_pp import grad_cam_pp
from insula.explain.guided import guided_backprop
from insula.explain.rebuild import Given
from insula.explain.rollout import attention_rollout
from insula.explain.still import still
from insula.model.network import Network

pytestmark = pytest.mark.train
BAGS = {"ct": [[2, 1], [2]], "mri": [[2], []]}


def _integrated(net: Network, inputs: Given) -> Any:
    pytest.importorskip("captum")
    from insula.explain.integrated import integrated_gradients

    return integrated_gradients(net, inputs, 2, 4)


EXPLAINERS: dict[str, Callable[[Network, Given], Any]] = {
    "grad_cam_pp": grad_cam_pp,
    "guided_backprop": lambda net, inputs: guided_backprop(net, inputs, 2),
    "attention_rollout": attention_rollout,
    "integrated_gradients": _integrated,
    "class_map": lambda net, inputs: net.explain(*inputs),
}


# the class map is asked of a network in evaluation alone: it is the exported graph
CASES = [(name, mode) for name in EXPLAINERS for mode in ("eval", "train", "mixed")]


@pytest.mark.parametrize(("name", "mode"), [c for c in CASES if c[0] != "class_map" or c[1] == "eval"])
def test_nothing_is_changed(name: str, mode: str) -> None:
    settings = recipe(("ct", "mri"), True, TARGETS, pool="transformer", dropout=0.5)
    net, inputs = network(settings), Given(*given(settings, BAGS))
    net.train(mode == "train")
    if mode == "mixed":
        net.encoders["ct"].train()
    before = fingerprint(net)
    kept = {role: t.clone() for role, t in inputs.x.items()}
    EXPLAINERS[name](net, inputs)
    assert fingerprint(net) == before
    assert all(torch.equal(kept[role], t) and not t.requires_grad for role, t in inputs.x.items())


@pytest.mark.parametrize("name", [n for n in EXPLAINERS if n != "class_map"])
def test_a_network_in_training_is_looked_into_as_in_evaluation(name: str) -> None:
    settings = recipe(("ct",), False, TARGETS, pool="transformer", dropout=0.5)
    net, inputs = network(settings), Given(*given(settings, {"ct": [[2], [1]]}))
    found = [EXPLAINERS[name](net.train(mode), inputs) for mode in (False, True)]
    maps = [f[0] if isinstance(f, tuple) else f for f in found]
    torch.testing.assert_close(maps[0]["ct"], maps[1]["ct"])


def test_the_modes_come_back_after_an_error_too() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3)).train()
    net[1].eval()
    with pytest.raises(RuntimeError, match="mat1 and mat2"), still(net):
        net(torch.ones(2, 3)) @ torch.ones(2, 2)
    assert [m.training for m in net.modules()] == [True, True, False]


def test_a_changed_network_would_be_seen() -> None:
    settings = recipe(("ct",), False, TARGETS)
    net, inputs = network(settings), Given(*given(settings, {"ct": [[2]]}))
    before = fingerprint(net)
    net.train()(*inputs)  # batch norm counts
    net.eval()
    assert fingerprint(net) != before
