"""What of a machine matters to Insula: cores, memory, the processor's instructions, graphics cards."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Final

from insula.core import cores

_TOLD: Final = Path("/proc/cpuinfo")
_CARDS: Final = Path("/proc/driver/nvidia/gpus")
# products of single precision; of integers of 8 bits, by which insula optimise gains; of half precision
INSTRUCTIONS: Final = (
    "avx2",
    "fma",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


def machine(told: Path = _TOLD, cards: Path = _CARDS) -> dict[str, Any]:
    """System, cores (and those that this process may use), memory in GiB, processor, its instructions, NVIDIA cards.

    What the system does not tell in these files is None or empty.
    """
    model, flags = _processor(told)
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": cores.usable(),
        "memory_gib": _memory(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "gpus": _cards(cards),
    }


def _processor(told: Path) -> tuple[str, frozenset[str]]:
    try:
        lines = told.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", frozenset()
    said: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            said.setdefault(name.strip().lower(), value.strip())
    return said.get("model name", ""), frozenset((said.get("flags") or said.get("features") or "").split())


def _memory() -> float | None:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30, 1)


def _cards(folder: Path) -> list[str]:
    """The names of the cards that NVIDIA's driver has."""
    found = []
    for file in sorted(folder.glob("*/information")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")][:1]
    return found
