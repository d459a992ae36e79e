"""An ensemble is the mean of its members, in the whole graph and in the heads alone."""

from __future__ import annotations

import pytest
import torch
from tests.made_fused import MORE, TARGETS, given, network, recipe

from insula.core.recipe import Recipe
from insula.model.ensemble import Ensemble
from insula.model.graphs import ExportGraph, HeadGraph
from insula.model.network import Network

pytestmark = pytest.mark.train
BAGS = {"ct": [[2, 1], [3]], "mri": [[2], []]}


def made(members: int = 3) -> tuple[Recipe, list[Network], Ensemble]:
    settings = recipe(targets=TARGETS | MORE, pool="attention", bags="attention")
    nets = [network(settings, seed) for seed in range(members)]
    return settings, nets, Ensemble(nets).eval()


def test_columns_maps_and_weights_are_the_mean_of_the_members() -> None:
    settings, nets, ensemble = made()
    inputs = given(settings, BAGS)
    with torch.no_grad():
        out, each = ensemble.explain(*inputs), [net.explain(*inputs) for net in nets]
    torch.testing.assert_close(out.logits, sum(e.logits for e in each) / 3)
    torch.testing.assert_close(out.embedding, torch.cat([e.embedding for e in each], 1))
    for role in settings.inputs:
        torch.testing.assert_close(out.maps[role], sum(e.maps[role] for e in each) / 3)
        torch.testing.assert_close(out.slice_weights[role], sum(e.slice_weights[role] for e in each) / 3)
        torch.testing.assert_close(out.slice_weights[role].sum(1), inputs[1][role].amax((1, 2)))
    assert float((each[0].logits - each[1].logits).abs().max()) > 0.1  # members that differ


def test_the_heads_alone_give_the_same_columns_and_take_a_mask_of_all_members() -> None:
    settings, nets, ensemble = made()
    inputs = given(settings, BAGS)
    head = HeadGraph(ensemble)
    with torch.no_grad():
        out = ensemble.explain(*inputs)
        assert ensemble.heads.in_features == out.embedding.shape[1] == 3 * 24
        torch.testing.assert_close(head(out.embedding, torch.ones_like(out.embedding)), out.logits)
        keep = (torch.rand_like(out.embedding) > 0.3).float() / 0.7
        parts = torch.split(out.embedding * keep, 24, dim=1)
        mean = sum(net.heads(part) for net, part in zip(nets, parts, strict=True)) / 3
        torch.testing.assert_close(head(out.embedding, keep), mean)


def test_probabilities_are_the_product_of_the_members_opinions() -> None:
    settings, nets, ensemble = made(2)
    inputs, part = given(settings, BAGS), settings.columns("stage")
    with torch.no_grad():
        p = torch.softmax(ensemble.explain(*inputs).logits[:, part], 1)
        product = torch.stack([net.explain(*inputs).logits[:, part].exp() for net in nets]).prod(0).sqrt()
    torch.testing.assert_close(p, product / product.sum(1, keepdim=True))


def test_one_member_is_that_member() -> None:
    settings, nets, ensemble = made(1)
    inputs = given(settings, BAGS)
    with torch.no_grad():
        torch.testing.assert_close(ensemble.explain(*inputs).logits, nets[0].explain(*inputs).logits)
    assert ExportGraph(ensemble).inputs == ExportGraph(nets[0]).inputs
