"""Writing a bundle: whole or not at all."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from insula import __version__
from insula.bundle import baseline_arrays, tensors
from insula.bundle.layout import LIMITS, MANIFEST, SCHEMA
from insula.bundle.load import load
from insula.bundle.signature import SIGNATURE
from insula.bundle.types import Baseline, Bundle, Parts
from insula.core import recipe as recipes
from insula.core import scratch
from insula.core.errors import BundleError
from insula.core.provenance import write_bytes


def save(path: Path, parts: Parts) -> Bundle:
    """Write a bundle's folder and open it again.

    The files go to a folder beside the goal, are verified there by `load`, and only then renamed. An older bundle at
    the goal is replaced. Raises BundleError when the goal is a folder that is no bundle, or the parts do not fit
    together; the goal is then as it was.
    """
    path = Path(path)
    _check_goal(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.beside(path) as working:
        files = _files(parts)
        for name, data in files.items():
            write_bytes(working / name, data)
        write_bytes(working / MANIFEST, manifest_bytes(files))
        bundle = load(working, signed=False)
        _swap(working, path)
    return replace(bundle, path=path)


def manifest_bytes(files: Mapping[str, bytes]) -> bytes:
    """manifest.json for these files: size and SHA-256 of each, sorted by name, so that equal files give equal bytes."""
    entries = {
        name: {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])} for name in sorted(files)
    }
    return _json({"schema_version": SCHEMA, "insula": __version__, "files": entries})


def _files(parts: Parts) -> dict[str, bytes]:
    baseline = parts.baseline
    facts = {
        "thresholds": {c: float(t) for c, t in parts.decision.thresholds.items()},
        "temperature": float(parts.decision.temperature),
        "conformal": [float(q) for q in parts.decision.conformal],
        "further": {
            name: {
                "temperature": float(f.temperature),
                "hazards": [float(h) if math.isfinite(h) else None for h in f.hazards],
                "power": float(f.power),
            }
            for name, f in parts.decision.further.items()
        },
        "accept_from": None if parts.decision.accept_from is None else float(parts.decision.accept_from),
        "chosen_on": sorted(parts.decision.chosen_on),
        "recalibration": parts.decision.recalibration.to_dict() if parts.decision.recalibration else None,
        "power": float(parts.decision.power),
    }
    files = {
        "recipe.yaml": recipes.dump(parts.recipe).encode(),
        "model.onnx": parts.model_onnx,
        "head.onnx": parts.head_onnx,
        "weights.safetensors": parts.weights,
        "decision.json": _json(facts),
        "baseline.json": _json(_baseline_facts(baseline)),
        "baseline.safetensors": tensors.write(baseline_arrays.to_arrays(baseline)),
        "metrics.json": _json(parts.metrics),
        "model-card.md": parts.model_card.encode(),
        "provenance.json": _json(parts.provenance),
    }
    if set(files) != set(LIMITS):
        raise BundleError("The files of a bundle and their limits differ; this is a fault of Insula: please report it.")
    return files


def _baseline_facts(baseline: Baseline) -> dict[str, Any]:
    return {
        "patients": sorted(baseline.patients),
        "files": sorted(baseline.files),
        "salt": baseline.salt,
        "split_level": baseline.split_level,
        "patient_ids": baseline.patient_ids,
        "class_counts": {c: int(n) for c, n in baseline.class_counts.items()},
        "pixel_mean": float(baseline.pixel_mean),
        "pixel_std": float(baseline.pixel_std),
        "sites": sorted(baseline.sites),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"A part of the bundle cannot be written as JSON ({error}); mend the value.") from error


def _check_goal(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_symlink() or not path.is_dir():
        raise BundleError(f"'{path}' is no folder, and a bundle is one; choose another name.")
    names = {entry.name for entry in path.iterdir()}
    if names and (MANIFEST not in names or names - set(LIMITS) - {MANIFEST, SIGNATURE}):
        raise BundleError(f"The folder '{path}' holds other things than a bundle; choose another or empty it.")


def _swap(working: Path, goal: Path) -> None:
    if goal.exists() and _exchanged(working, goal):
        return
    old = goal.parent / f".{goal.name}.{os.getpid()}.old"
    shutil.rmtree(old, ignore_errors=True)
    had_one = goal.exists()
    if had_one:
        goal.rename(old)
    try:
        working.rename(goal)
    except OSError:
        if had_one:
            old.rename(goal)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(working: Path, goal: Path) -> bool:
    """Let two folders change names at once, so that a kill leaves one or the other; not every system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux
    return rename is not None and rename(here, os.fsencode(working), here, os.fsencode(goal), exchange) == 0
