"""What one study costs, from the file that `benchmarks/study_cost.py` writes."""

from __future__ import annotations

from typing import Any

NETWORKS = ("simple_cnn", "resnet18", "efficientnet_b0", "resnet50")
SYNTAXES = ("uncompressed", "JPEG-LS", "JPEG 2000")
KEPT = "JPEG-LS"  # in which scans are taken to lie, unless a table says otherwise


def parts_of(costs: dict[str, Any], network: str, syntax: str) -> dict[str, float]:
    """Core seconds of one study by part: what the batch's own parts are, with the way between its processes."""
    seconds = costs["seconds"]
    named = {
        "finding": seconds["find"],
        "reading and decoding": seconds[f"read, {syntax}"],
        "between processes": seconds["between processes"],
        "preparing": seconds["prepare"],
        "network with class maps": seconds[f"engine, {network}"],
        "answering": seconds["answer"],
        "writing": seconds["record"],
    }
    return {name: float(value) for name, value in named.items()}


def work_of(costs: dict[str, Any], network: str, syntax: str = KEPT) -> float:
    """Core seconds of one study."""
    return sum(parts_of(costs, network, syntax).values())
