"""Safetensors: the header checked before anything is allocated, small tables read into NumPy."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

_HEADER_LIMIT = 16 << 20
_WIDTH = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
_WIDTH |= {"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}


def header(stream: BinaryIO, size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name → (dtype, shape) of each tensor; ValueError says in a few words why the header cannot be true.

    The tensors must fill the file from the header's end to its last byte, one after the other, as the format demands.
    """
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(_HEADER_LIMIT, size - 8):
        raise ValueError(f"its header claims {length} bytes")
    try:
        content: Any = json.loads(stream.read(length))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("its header is no JSON") from error
    if not isinstance(content, dict):
        raise ValueError("its header is no JSON object")
    content.pop("__metadata__", None)
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in content.items():
        dtype, shape, begin, end = _entry(name, entry)
        found[name] = (dtype, shape)
        spans.append((begin, end))
    at = 0
    for begin, end in sorted(spans):
        if begin != at or end < begin:
            raise ValueError("its tensors overlap or leave gaps")
        at = end
    if at != size - 8 - length:
        raise ValueError(f"its tensors need {at} bytes and {size - 8 - length} are there")
    return found


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """All tensors of a small table; ValueError when the bytes are no safetensors file."""
    try:
        tables: dict[str, NDArray[Any]] = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError) as error:
        raise ValueError("it is no safetensors file") from error
    return tables


def write(tables: dict[str, NDArray[Any]]) -> bytes:
    """A small table as safetensors bytes."""
    data: bytes = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in tables.items()})
    return data


def _entry(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    try:
        dtype, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its header describes '{name[:60]}' incompletely") from error
    numbers = (*shape, begin, end)
    if dtype not in _WIDTH or not all(type(n) is int and n >= 0 for n in numbers) or len(shape) > 16:
        raise ValueError(f"its header describes '{name[:60]}' wrongly")
    count = 1
    for n in shape:
        count *= n
    if count * _WIDTH[dtype] != end - begin:
        raise ValueError(f"'{name[:60]}' has {end - begin} bytes for shape {list(shape)} of {dtype}")
    return dtype, shape, begin, end
