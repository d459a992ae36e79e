"""`insula info`: versions, recipes, tables and what is installed, without importing any of it."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import click

from insula import __version__
from insula.cli.output import emit, json_option

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "pydicom",
    "nibabel",
    "pandas",
    "scikit-learn",
    "fastapi",
    "torch",
    "timm",
    "lightning",
)
_WINGS = {
    "predict, evaluate, report": ("numpy", "onnxruntime", "pydicom", "nibabel", "sklearn", "matplotlib"),
    "serve": ("fastapi", "uvicorn", "pydantic_settings", "python_multipart"),
    "train": ("torch", "torchvision", "timm", "lightning", "onnx"),
    "pacs": ("pynetdicom", "highdicom"),
    "cluster": ("ray",),
}


@click.command()
@json_option
def info(as_json: bool) -> None:
    """Show versions, the recipes that come with Insula, and which of its parts are installed."""
    data: dict[str, Any] = {
        "insula": __version__,
        "python": sys.version.split()[0],
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "recipes": _recipes(),
        "prep_steps": _prep_steps(),
        "parts": {wing: not _missing(names) for wing, names in _WINGS.items()},
        "missing": {wing: missing for wing, names in _WINGS.items() if (missing := _missing(names))},
    }
    lines = [f"Insula {data['insula']}, Python {data['python']}. Research use only; not a medical device."]
    lines += ["Packages: " + ", ".join(f"{k} {v}" for k, v in data["packages"].items())]
    lines += ["Recipes: " + ", ".join(data["recipes"]), "Preparation steps: " + ", ".join(data["prep_steps"])]
    for wing in _WINGS:
        missing = data["missing"].get(wing)
        lines.append(f"{wing}: " + (f"not installed (missing {', '.join(missing)})" if missing else "installed"))
    emit(as_json, data, "\n".join(lines))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if find_spec(name) is None]


def _recipes() -> list[str]:
    folder = files("insula").joinpath("recipes")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def _prep_steps() -> list[str]:
    from insula.prep.steps import STEPS

    return list(STEPS.names())
