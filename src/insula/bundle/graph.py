"""A look into an ONNX file without running it: does it keep all of its data to itself, and are its sizes true?

ONNX lets a tensor name another file to read its values from. A bundle's graph may not: such a file is in no manifest,
and its path could lead anywhere. The walk follows the protobuf fields of onnx.proto that can lead to a tensor.
"""

from __future__ import annotations

from typing import Final

from insula.bundle import graph_size
from insula.bundle.protobuf import fields

# message → {field number: message inside}; from the public definition onnx.proto (ONNX IR version 3 to 13)
_INSIDE: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_SIZES: Final = {"tensor": graph_size.of_tensor, "sparse": graph_size.of_sparse, "graph": graph_size.of_graph}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 48


def reason_to_refuse(data: bytes) -> str:
    """Why these bytes are no self-contained ONNX graph of a size that can be true, or "" when they are."""
    try:
        graphs = sum(1 for number, _ in fields(memoryview(data)) if number == 7)
        if graphs != 1:
            return f"it holds {graphs} graphs instead of one"
        return _amiss(memoryview(data), "model", 0)
    except ValueError as error:
        return f"it is no ONNX file ({error})"


def _amiss(view: memoryview, message: str, depth: int) -> str:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for number, value in fields(view):
        if message == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return "it refers to data outside of the file"
        elif (inner := _INSIDE[message].get(number)) is not None:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {number} of a {message} is no message")
            if found := _amiss(value, inner, depth + 1):
                return found
    return _SIZES[message](view) if message in _SIZES else ""
