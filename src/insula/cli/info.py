"""`insula info`: versions, parts, recipes, entries, the machine and the settings, without importing what is heavy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from insula import __version__
from insula.cli.info_machine import machine
from insula.cli.output import emit, json_option
from insula.core import variables
from insula.core.entries import entries
from insula.core.parts import PARTS, install, missing
from insula.core.recipe_names import names
from insula.infer.provider_names import tried

_PACKAGES = (
    "numpy",
    "scipy",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "opencv-python-headless",
    "pydicom",
    "nibabel",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "fastapi",
    "sqlalchemy",
    "pynetdicom",
    "highdicom",
    "torch",
    "timm",
    "lightning",
    "onnx",
    "ray",
)


@click.command()
@json_option
def info(as_json: bool) -> None:
    """Show versions, installed parts, recipes, entries of the registries, the machine, and which settings are set.

    Of settings the names alone are shown, never a value: an answer to this can be sent to whoever helps. With --json
    ONNX Runtime is loaded and asked for the execution providers that predictions may use.
    """
    lacking = {name: list(gone) for name in PARTS if (gone := missing(name))}
    data: dict[str, Any] = {
        "insula": __version__,
        "python": sys.version.split()[0],
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "parts": {name: name not in lacking for name in PARTS},
        "missing": lacking,
        "recipes": list(names()),
        "entries": {kind: list(found) for kind, found in entries().items()},
        "machine": machine(),
        "settings": _settings(os.environ),
    }
    if as_json:  # ONNX Runtime is loaded for it, and the text stays quick
        data["providers"] = _providers()
    emit(as_json, data, "" if as_json else "\n".join(_lines(data)))


def _lines(data: Mapping[str, Any]) -> list[str]:
    own, settings = data["machine"], data["settings"]
    memory = f", {own['memory_gib']} GiB of memory" if own["memory_gib"] else ""
    lines = [
        f"Insula {data['insula']}, Python {data['python']}. Research use only; not a medical device.",
        f"Machine: {own['system']}, {own['processor']}, {own['usable_cores']} of {own['cores']} cores{memory}",
        "  instructions: " + (", ".join(own["instructions"]) or "not told"),
        "  NVIDIA cards: " + (", ".join(own["gpus"]) or "none"),
        "Packages: " + ", ".join(f"{name} {found}" for name, found in data["packages"].items()),
        "  ONNX Runtime's execution providers: insula info --json",
        "Recipes: " + ", ".join(data["recipes"]),
        *(f"Entries, {kind}: {', '.join(found)}" for kind, found in data["entries"].items()),
        "Parts:",
    ]
    for name, part in PARTS.items():
        lacks = data["missing"].get(name)
        state = f"lacks {', '.join(lacks)}: {install(name)}" if lacks else "installed"
        lines.append(f"  {name + ' (' + part.use + ')':<48} {state}")
    lines.append("Settings in the environment (names alone): " + (", ".join(settings["set"]) or "none"))
    for name, meant in settings["unknown"].items():
        lines.append(f"  {name} is read by nothing" + (f"; {meant} is meant?" if meant else ""))
    return lines


def _settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Which of our variables are set, and those of our kind that nothing reads, with what may be meant."""
    ours = sorted(name for name in environment if name.upper().startswith(variables.START))
    odd = variables.strangers(ours)
    return {"source": "environment", "set": [name for name in ours if name not in odd], "unknown": odd}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _providers() -> list[str]:
    """The execution providers that are tried, in that order; none where ONNX Runtime cannot be loaded."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(tried(onnxruntime.get_available_providers()))
