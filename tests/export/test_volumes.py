"""A network over whole volumes as a graph: series stay apart, and numbers of cases, series and slices are free."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.made_fused import SHAPES, TARGETS, given, recipe
from torch import nn

from insula.core.recipe import Recipe
from insula.export.finish import start
from insula.infer.engine import Engine
from insula.model.network import Network

pytestmark = [pytest.mark.train, pytest.mark.slow]
Made = tuple[Recipe, Network, Engine]


@pytest.fixture(scope="module")
def made() -> Made:
    settings = recipe(("ct",), False, TARGETS, encoder="resnet3d_18", pool="transformer", bags="attention")
    torch.manual_seed(0)
    network = Network(settings, SHAPES).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.bias is not None
            nn.init.uniform_(module.bias, -0.3, 0.3)
    engine, _ = start(network, {"ct": SHAPES["ct"]}, settings)
    return settings, network, engine


@pytest.mark.parametrize("bags", [[[1]], [[4, 3]], [[2, 1, 1], [5], []]], ids=str)
def test_the_graph_equals_the_network(made: Made, bags: list[list[int]]) -> None:
    settings, network, engine = made
    x, mask, _ = given(settings, {"ct": bags})
    with torch.no_grad():
        ours, trained = network.explain(x, mask), network(x, mask)
    theirs = engine.run({"ct": x["ct"].numpy(), "ct_mask": mask["ct"].numpy()})
    np.testing.assert_allclose(theirs.logits, ours.logits.numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(theirs.logits, trained.numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(theirs.maps["ct"], ours.maps["ct"].numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(theirs.slice_weights["ct"], ours.slice_weights["ct"].numpy(), atol=1e-5)
    assert theirs.maps["ct"].shape[2] == mask["ct"].shape[2]
