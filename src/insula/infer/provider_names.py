"""The execution providers by their short names; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

AUTOMATIC: Final = ("tensorrt", "cuda", "openvino", "coreml", "cpu")
# short name → ONNX Runtime's name; openvino-gpu (an Intel GPU) is used only where it is asked for
RUNTIME: Final = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "openvino-gpu": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


def tried(installed: Iterable[str]) -> tuple[str, ...]:
    """Short names of those that ONNX Runtime has by these names of its own, in the order in which they are tried."""
    there = set(installed)
    return tuple(name for name in AUTOMATIC if RUNTIME[name] in there)
