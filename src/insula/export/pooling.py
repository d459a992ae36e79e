"""Means over whole planes as the operation that runtimes know for them."""

from __future__ import annotations

from typing import Final

import onnx
from onnx import numpy_helper

_PLANE: Final = (2, 3)


def by_plane(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with `GlobalAveragePool` for each mean over height and width that keeps both (N, C, H, W → N, C, 1, 1).

    The two are one by definition (ONNX operators, GlobalAveragePool). The exporter writes the mean of a squeeze and
    excitation block as `ReduceMean`, before which ONNX Runtime brings the plane out of its convolutions' layout.
    """
    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in (*graph.value_info, *graph.input)}
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2 or node.input[1] not in constants:
            continue
        axes = numpy_helper.to_array(constants[node.input[1]]).ravel().tolist()
        keeps = all(one.i for one in node.attribute if one.name == "keepdims")
        if keeps and ranks.get(node.input[0]) == 4 and tuple(sorted(axis % 4 for axis in axes)) == _PLANE:
            node.op_type = "GlobalAveragePool"
            del node.input[1:], node.attribute[:]
    read = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
    kept = [one for one in graph.initializer if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model
