"""The graphs' flat inputs and outputs carry the names by which the engine asks for them."""

from __future__ import annotations

import pytest
import torch
from tests.made_fused import given, network, recipe

from insula.model.graphs import ExportGraph, HeadGraph

pytestmark = pytest.mark.train
BAGS = {"ct": [[2, 1], [3]], "mri": [[2], []]}


def test_a_fused_network_s_graph_names_roles_masks_and_clinical_columns() -> None:
    settings = recipe()
    net = network(settings)
    graph = ExportGraph(net)
    assert graph.inputs == ["ct", "ct_mask", "mri", "mri_mask", "clinical"]
    assert graph.outputs == ["logits", "embedding", "maps_ct", "weights_ct", "maps_mri", "weights_mri"]
    x, mask, clinical = given(settings, BAGS)
    with torch.no_grad():
        assert clinical is not None
        flat = graph(x["ct"], mask["ct"], x["mri"], mask["mri"], clinical)
        out = net.explain(x, mask, clinical)
    whole = [out.logits, out.embedding]
    whole += [part for role in ("ct", "mri") for part in (out.maps[role], out.slice_weights[role])]
    for one, other in zip(flat, whole, strict=True):
        assert torch.equal(one, other)


def test_one_role_without_clinical_columns_has_one_pair_of_inputs() -> None:
    settings = recipe(("mri",), False)
    net = network(settings)
    graph = ExportGraph(net)
    assert graph.inputs == ["mri", "mri_mask"]
    assert graph.outputs == ["logits", "embedding", "maps_mri", "weights_mri"]
    x, mask, _ = given(settings, BAGS)
    with torch.no_grad():
        assert torch.equal(graph(x["mri"], mask["mri"])[0], net.explain(x, mask).logits)
        with pytest.raises(ValueError, match="shorter"):
            graph(x["mri"])


def test_the_head_graph_multiplies_by_the_mask_and_nothing_more() -> None:
    settings = recipe()
    net = network(settings)
    head = HeadGraph(net)
    with torch.no_grad():
        h = net.explain(*given(settings, BAGS)).embedding
        torch.testing.assert_close(head(h, torch.ones_like(h)), net.explain(*given(settings, BAGS)).logits)
        torch.testing.assert_close(head(h, torch.full_like(h, 2.0)), net.heads(2.0 * h))
