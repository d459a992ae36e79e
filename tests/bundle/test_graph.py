from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_bundle import head_graph, model_graph, weights

from insula.bundle.graph import reason_to_refuse
from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load
from insula.bundle.save import manifest_bytes
from insula.bundle.types import Bundle


def outside(location: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph_with(initializer: onnx.TensorProto | None = None, attribute: onnx.TensorProto | None = None) -> bytes:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])
    if attribute is not None:
        inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=attribute)], "inner", [], [value])
        test = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
        node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
        nodes = [test, node]
    else:
        nodes = [helper.make_node("Identity", ["w"], ["y"])]
    graph = helper.make_graph(nodes, "g", [], [value], [initializer] if initializer is not None else [])
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def test_our_own_graphs_are_taken() -> None:
    w = weights(3, 2)
    assert reason_to_refuse(model_graph(w)) == ""
    assert reason_to_refuse(head_graph(w)) == ""
    assert reason_to_refuse(graph_with(numpy_helper.from_array(np.zeros((2, 2), np.float32), "w"))) == ""


def test_data_outside_of_the_file_are_found_wherever_they_hide() -> None:
    tensor = outside("/etc/passwd")
    assert "outside" in reason_to_refuse(graph_with(initializer=tensor))
    assert "outside" in reason_to_refuse(graph_with(attribute=tensor))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 64, b"not a graph at all", b"\x3a\xff\xff\xff\xff\x0f"])
def test_rubbish_is_refused_in_words(data: bytes) -> None:
    assert reason_to_refuse(data) != ""


def test_a_truncated_graph_never_passes() -> None:
    whole = model_graph(weights(1, 2))
    assert all(reason_to_refuse(whole[:n]) for n in range(0, len(whole) - 30, 97))


def test_a_bundle_with_such_a_graph_is_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    path: Path = tiny_bundle().path
    (path / "head.onnx").write_bytes(graph_with(initializer=outside("weights.safetensors")))
    (path / MANIFEST).write_bytes(manifest_bytes({n: (path / n).read_bytes() for n in LIMITS}))
    with pytest.raises(Exception, match=r"head\.onnx.*outside of the file"):
        load(path)


def with_shape(operator: str, shape: onnx.TensorProto, before: int = 0, constant: bool = False) -> bytes:
    """A graph in which an operator makes as many values as a constant says."""
    given = [f"i{number}" for number in range(before)]
    nodes = [helper.make_node(operator, [*given, "many"], ["big"]), helper.make_node("ReduceSum", ["big"], ["y"])]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["many"], value=shape))
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    shape.name = "many"
    graph = helper.make_graph(nodes, "g", [], [value], [] if constant else [shape])
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


@pytest.mark.parametrize(("operator", "before"), [("ConstantOfShape", 0), ("Expand", 1), ("Tile", 1), ("Resize", 3)])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_a_shape_that_asks_for_gigabytes_is_refused_before_it_is_loaded(
    operator: str, before: int, constant: bool, raw: bool
) -> None:
    def of(*sides: int) -> onnx.TensorProto:
        if raw:
            return numpy_helper.from_array(np.array(sides, np.int64), "many")
        return helper.make_tensor("many", TensorProto.INT64, [len(sides)], list(sides))

    assert reason_to_refuse(with_shape(operator, of(1, 64, 224, 224), before, constant)) == ""
    assert "asks for" in reason_to_refuse(with_shape(operator, of(1 << 20, 1 << 20), before, constant))


def test_a_tensor_of_more_values_than_bytes_is_refused_before_it_is_loaded() -> None:
    lying = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    lying.dims[0] = 1 << 40
    assert "claims 1099511627776 values" in reason_to_refuse(graph_with(lying))
    assert "claims 1099511627776 values" in reason_to_refuse(graph_with(attribute=lying))
    floats = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    for sound in (floats, numpy_helper.from_array(np.array(["a", ""]), "w"), numpy_helper.from_array(np.zeros(0), "w")):
        assert reason_to_refuse(graph_with(sound)) == ""


def test_a_sparse_tensor_that_would_fill_the_memory_is_refused() -> None:
    values, places = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("", 7, [1], [0])
    for size, refused in ((1000, False), (1 << 40, True)):
        model = onnx.load_from_string(graph_with())
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [size]))
        assert ("sparse" in reason_to_refuse(model.SerializeToString())) == refused
