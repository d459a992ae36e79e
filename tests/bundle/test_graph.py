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
