"""The fields of a protobuf message, read without a schema (protobuf.dev, Encoding)."""

from __future__ import annotations

from collections.abc import Iterator

Value = memoryview | int


def fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Field number and value of each field: an integer for varints, bytes for everything else.

    Raises ValueError where the bytes are no message.
    """
    at = 0
    while at < len(view):
        key, at = varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(view, at)
            yield number, value
            continue
        if wire == 2:
            size, at = varint(view, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or at + size > len(view):
            raise ValueError("truncated")
        yield number, view[at : at + size]
        at += size


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """An integer that begins at a place, and where it ends. Raises ValueError for one that is cut short or too long."""
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
