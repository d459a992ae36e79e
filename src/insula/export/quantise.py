"""A graph's convolutions in 8-bit integers, calibrated on prepared cases.

Static quantisation of ONNX Runtime in its QDQ form: weights by channel, activations by the range that the calibration
cases show. The convolutions are nearly all of a network's work and of its size; the head, the pooling and the class
maps stay in single precision, so that the maps remain the closed form of the features that the logits rest on.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from insula.core import scratch
from insula.core.errors import ExportError
from insula.infer.feed import Feed

_TYPES = ("Conv", "MaxPool", "Add", "Relu")  # what may stay in integers between convolutions
_FLAGS = Path("/proc/cpuinfo")


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """Cases one by one, as the calibrator asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._waiting: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Any:
        found = next(self._waiting, None)
        return None if found is None else {name: np.ascontiguousarray(array) for name, array in found.items()}


def has_vnni(flags: Path = _FLAGS) -> bool:
    """Whether this CPU multiplies 8-bit integers without overflow in between (VNNI, or the dot product of ARM).

    Without it ONNX Runtime adds two products in 16 bits, which saturates; 7-bit weights (`reduce_range`) avoid that.
    """
    try:
        told = flags.read_text(encoding="utf-8", errors="replace").lower().split()
    except OSError:
        return False
    return bool({"avx512_vnni", "avx_vnni", "asimddp"} & set(told))


def convolutions(model: bytes) -> tuple[str, ...]:
    """The names of a graph's convolutions, in their order."""
    return tuple(node.name for node in onnx.load_from_string(model).graph.node if node.op_type == "Conv")


def prepared(model: bytes) -> bytes:
    """The graph with shapes inferred and constants folded, as quantisation wants it; its outputs stay the same."""
    with scratch.folder() as folder, _quiet():
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        source.write_bytes(model)
        quant_pre_process(source, target, skip_symbolic_shape=True, auto_merge=True)
        return target.read_bytes()


def quantised(
    model: bytes, feeds: Sequence[Feed], keep: Collection[str] = (), reduce_range: bool | None = None
) -> bytes:
    """The graph with its convolutions in integers.

    model: as `prepared` gives it. feeds: cases for the ranges of activations, never those that it is judged on. keep:
    convolutions that stay in single precision. reduce_range: 7-bit weights; unless told, where this CPU lacks VNNI.
    Raises ExportError for a graph without convolutions, or when not one is left to quantise.
    """
    there = convolutions(model)
    if not set(there) - set(keep):
        raise ExportError(
            f"The graph has {len(there)} convolutions, and {len(set(keep))} are to stay in single precision; there is "
            "nothing to quantise."
        )
    with scratch.folder() as folder, _quiet():
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        source.write_bytes(model)
        quantize_static(
            source,
            target,
            _Feeds(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_TYPES),
            nodes_to_exclude=[*keep, *_between(model, keep)],
            per_channel=True,
            reduce_range=not has_vnni() if reduce_range is None else reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return target.read_bytes()


def _between(model: bytes, keep: Collection[str]) -> list[str]:
    """Nodes other than convolutions that stay in single precision: those that no convolution follows (pooling, head and
    maps), and those before a convolution that is kept, whose range would be as unfit for integers there.
    """
    graph = onnx.load_from_string(model).graph
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    following: dict[str, set[str]] = {}
    for node in reversed(graph.node):  # the nodes are in topological order
        after = [reader for out in node.output for reader in readers.get(out, [])]
        following[node.name] = {
            name for one in after for name in ({one.name} if one.op_type == "Conv" else following[one.name])
        }
    return [
        node.name
        for node in graph.node
        if node.op_type != "Conv" and (not following[node.name] or following[node.name] & set(keep))
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's advice on preparing graphs says nothing that is of use here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
