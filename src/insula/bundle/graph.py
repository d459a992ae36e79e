"""A look into an ONNX file without running it: does it keep all of its data to itself?

ONNX lets a tensor name another file to read its values from. A bundle's graph may not: such a file is in no manifest,
and its path could lead anywhere. The walk follows the protobuf fields of onnx.proto that can lead to a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

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
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 48


def reason_to_refuse(data: bytes) -> str:
    """Why these bytes are no self-contained ONNX graph, or "" when they are."""
    try:
        graphs = sum(1 for number, _ in _fields(memoryview(data)) if number == 7)
        if graphs != 1:
            return f"it holds {graphs} graphs instead of one"
        return "it refers to data outside of the file" if _external(memoryview(data), "model", 0) else ""
    except ValueError as error:
        return f"it is no ONNX file ({error})"


def _external(view: memoryview, message: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for number, value in _fields(view):
        if message == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
        elif (inner := _INSIDE[message].get(number)) is not None:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {number} of a {message} is no message")
            if _external(value, inner, depth + 1):
                return True
    return False


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field number and value of each field: an integer for varints, bytes for everything else."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(view, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or at + size > len(view):
            raise ValueError("truncated")
        yield number, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("truncated")
        byte = view[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
    raise ValueError("number too long")
