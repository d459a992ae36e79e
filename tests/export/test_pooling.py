"""A mean over whole planes is written as the pooling that it is, and nothing else is touched."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from insula.core import recipe as recipes
from insula.export import pooling
from insula.export.onnx import model_graph
from insula.model.network import Network


def made(axes: list[int], keepdims: int, shape: tuple[Any, ...]) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
    named = numpy_helper.from_array(np.array(axes, np.int64), "axes")
    graph = helper.make_graph([node], "one", [given], [taken], [named])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2]])
def test_a_mean_over_planes_is_a_pooling_with_the_same_values(axes: list[int]) -> None:
    x = np.random.default_rng(0).normal(0, 1, (2, 5, 7, 9)).astype(np.float32)
    right = run(made(axes, 1, ("n", 5, 7, 9)), x)
    found = pooling.by_plane(made(axes, 1, ("n", 5, 7, 9)))
    assert [node.op_type for node in found.graph.node] == ["GlobalAveragePool"]
    assert not found.graph.initializer
    assert np.allclose(run(found, x), right, atol=1e-6)


@pytest.mark.parametrize(
    ("axes", "keepdims", "shape"),
    [([2, 3], 0, (1, 5, 7, 9)), ([1, 2], 1, (1, 5, 7, 9)), ([2], 1, (1, 5, 7, 9)), ([-1, -2], 1, (1, 2, 5, 7, 9))],
)
def test_other_means_stay(axes: list[int], keepdims: int, shape: tuple[int, ...]) -> None:
    found = pooling.by_plane(made(axes, keepdims, shape))
    assert [node.op_type for node in found.graph.node] == ["ReduceMean"]
    assert [one.name for one in found.graph.initializer] == ["axes"]


def test_an_encoder_with_squeeze_and_excitation_is_exported_so() -> None:
    settings = ("model.encoder=efficientnet_b0", "model.pretrained=false", "inputs.ct.prep=[head_crop: {}, resize: 64]")
    recipe = recipes.load("stroke-ct", settings)
    torch.manual_seed(0)
    graph = onnx.load_from_string(model_graph(Network(recipe, {"ct": (3, 64, 64)}).eval(), {"ct": (3, 64, 64)})).graph
    assert Counter(node.op_type for node in graph.node)["GlobalAveragePool"] == 16  # its blocks
