"""How much a graph asks for before it has seen a scan, by the sizes that its file states.

A runtime believes them: it makes room for a tensor of the size that is written beside its values, fills a sparse one up
to its whole size, and works out what hangs on constants alone while it loads the graph. So sizes are compared with the
bytes that are there. What a graph multiplies together from several constants is not foreseen here: a bundle that is
added to a running service is tried in a process of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from insula.bundle.protobuf import Value, fields, varint

MOST: Final = 1 << 27  # values that a constant may be blown up to: half a gigabyte of float32
_PER_BYTE: Final = 8  # no type of ONNX packs more values into a byte
_LONGEST: Final = 64  # values of a constant that may be a shape
_DIMS, _TYPE, _INT64, _RAW = 1, 2, 7, 9  # of TensorProto
_DATA: Final = frozenset((4, 5, 6, 7, 9, 10, 11))
_IS_INT64: Final = 7  # TensorProto.DataType
# operators that make as many values as a shape asks for, and which of their inputs that shape is
_BLOWN_UP: Final = {b"ConstantOfShape": 0, b"Expand": 1, b"Tile": 1, b"Resize": 3}


def of_tensor(view: memoryview) -> str:
    """Why a TensorProto cannot be true: it claims more values than its bytes can hold. "" where it can."""
    count, held = _claimed(view, _DIMS), 0
    for number, value in fields(view):
        if number in _DATA:
            held += len(value) + 1 if isinstance(value, memoryview) else 1
    return f"a tensor claims {count} values and has {held} bytes" if count > _PER_BYTE * held else ""


def of_sparse(view: memoryview) -> str:
    """Why a SparseTensorProto is refused: filled up it would be larger than any constant may be. "" where it is not."""
    count = _claimed(view, 3)
    return f"a sparse tensor asks for {count} values, and {MOST} is the most" if count > MOST else ""


def of_graph(view: memoryview) -> str:
    """Why a GraphProto is refused: a constant shape asks for more values than any constant may have. "" otherwise."""
    nodes = [value for number, value in fields(view) if number == 1 and isinstance(value, memoryview)]
    shapes = dict(_shapes(view, nodes))
    for node in nodes:
        kind, inputs = _kind(node)
        place = _BLOWN_UP.get(kind)
        if place is not None and place < len(inputs) and shapes.get(inputs[place], 0) > MOST:
            return f"its {kind.decode()} asks for {shapes[inputs[place]]} values, and {MOST} is the most"
    return ""


def _claimed(view: memoryview, dims: int) -> int:
    """The product of the dimensions of a message; ValueError for a negative one."""
    sides: list[int] = []
    for number, value in fields(view):
        if number == dims:
            sides += _integers(value)
    if any(side >= 1 << 63 for side in sides):
        raise ValueError("a tensor of a negative size")
    return prod(sides)


def _shapes(view: memoryview, nodes: list[memoryview]) -> Iterator[tuple[bytes, int]]:
    """Name and product of each constant that may be a shape: initialisers, and what Constant nodes give."""
    for number, value in fields(view):
        if number == 5 and isinstance(value, memoryview):
            name = next((bytes(v) for n, v in fields(value) if n == 8 and isinstance(v, memoryview)), b"")
            yield name, _product(value)
    for node in nodes:
        if _kind(node)[0] == b"Constant":
            found = dict(fields(node))
            output, attribute = found.get(2), found.get(5)
            if isinstance(output, memoryview) and isinstance(attribute, memoryview):
                yield bytes(output), _of_attribute(attribute)


def _of_attribute(view: memoryview) -> int:
    """The product of a Constant's `value`, `value_int` or `value_ints` (onnx.proto: 5, 3 and 8)."""
    found: Mapping[int, list[Value]] = {number: [v for n, v in fields(view) if n == number] for number in (3, 5, 8)}
    if found[5] and isinstance(found[5][0], memoryview):
        return _product(found[5][0])
    integers = [one for value in (*found[8], *found[3]) for one in _integers(value)]
    return prod(integers) if 0 < len(integers) <= _LONGEST else 0


def _product(view: memoryview) -> int:
    """The product of the values of a tensor of int64 that is short enough to be a shape, 0 for any other."""
    if dict(fields(view)).get(_TYPE) != _IS_INT64 or not 0 < _claimed(view, _DIMS) <= _LONGEST:
        return 0
    values: list[int] = []
    for number, value in fields(view):
        if number == _RAW and isinstance(value, memoryview) and len(value) % 8 == 0:
            values += struct.unpack(f"<{len(value) // 8}q", value)
        elif number == _INT64:
            values += _integers(value)
    return prod(max(0, value) for value in values if value < 1 << 63)


def _kind(node: memoryview) -> tuple[bytes, list[bytes]]:
    """A node's operator, and the names of its inputs in order."""
    found = [
        (number, bytes(value)) for number, value in fields(node) if isinstance(value, memoryview) and number in (1, 4)
    ]
    return next((value for number, value in found if number == 4), b""), [v for n, v in found if n == 1]


def _integers(value: Value) -> list[int]:
    """A repeated integer: one of its own, or many packed together."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        one, at = varint(value, at)
        found.append(one)
    return found
