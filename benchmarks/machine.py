"""What a benchmark is measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import onnxruntime


def described(threads: int, *more: str) -> str:
    """Processor, cores, threads used, and the versions that decide; more: further versions."""
    model = platform.processor() or platform.machine()
    flags = ""
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
        flags = next((line for line in lines if line.startswith("flags")), "")
    vnni = " with VNNI" if "vnni" in flags else ""
    return ", ".join(
        [
            f"{model}{vnni}",
            f"{os.cpu_count()} cores",
            f"{threads} thread{'' if threads == 1 else 's'} used",
            platform.system(),
            f"Python {platform.python_version()}",
            f"ONNX Runtime {onnxruntime.__version__}",
            *more,
        ]
    )
