"""The project's own documents: where they lie, and in what order whom they are for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

PICTURES: Final[Mapping[str, str]] = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}
RESULTS: Final = "results/"
SHELVES: Final[Mapping[str, tuple[str, ...]]] = {  # the names are sentences of the catalogues
    "First steps": (
        "index",
        "quick-start",
        "first-hour",
        "your-scans",
        "tutorials/haemorrhage-ct",
        "tutorials/stroke-ct",
        "tutorials/brain-tumour",
        "tutorials/clot-origin",
        "how-to",
    ),
    "Notebooks": (
        "notebooks",
        "notebooks/01-explore-a-cohort",
        "notebooks/02-augmentation",
        "notebooks/03-train-and-evaluate",
        "notebooks/04-heat-maps",
        "notebooks/05-uncertainty",
        "notebooks/06-audit",
        "notebooks/07-export",
    ),
    "For everybody": ("readme", "clinical-background", "ethics-privacy", "limits", "glossary", "changelog"),
    "For clinicians": ("dashboard", "case-report", "summary", "explanation", "uncertainty"),
    "For neuroradiologists who judge a model": ("honest-evaluation", "evaluation", "audit", "features", "monitoring"),
    "For researchers": (
        "cohorts",
        "reading",
        "preparation",
        "deidentification",
        "models",
        "training",
        "pretraining",
        "search",
        "tracking",
        "optimise",
        "phantoms",
        "migration",
        "cards/haemorrhage-ct",
        "cards/stroke-ct",
        "cards/brain-tumour",
        "cards/clot-origin",
        "cards/phantoms",
    ),
    "For hospital engineers": (
        "install",
        "deployment",
        "service",
        "api",
        "pacs",
        "ihe",
        "people",
        "records",
        "audit-trail",
        "batch",
        "scale",
        "security",
        "reliability",
    ),
    "For developers": ("architecture", "adding", "python", "client", "export", "benchmarks"),
    "Reference": (
        "reference/cli",
        "reference/recipe",
        "reference/registry",
        "reference/settings",
        "reference/python",
        "reference/rest",
        "errors",
    ),
}
_TOP: Final[Mapping[str, str]] = {"readme": "README.md", "changelog": "CHANGELOG.md"}
_INSTALLED: Final = "documents"  # within the package, where pyproject.toml puts them into the wheel


@cache
def shelf() -> Mapping[str, Traversable]:
    """Address → file of every document (`people`, `results/drift`, `readme`) and picture (`results/scale.svg`)."""
    return shelf_of(files("insula"))


def shelf_of(package: Traversable) -> Mapping[str, Traversable]:
    """The same for the package as it lies somewhere: with its documents within it, or in a checkout beside them."""
    root: Traversable = package.joinpath(_INSTALLED)
    if not root.is_dir():
        root = Path(str(package)).parents[1]
    found = {name: root.joinpath(file) for name, file in _TOP.items()}
    found = {name: file for name, file in found.items() if file.is_file()}
    docs = root.joinpath("docs")
    return found | (_below(docs, "") if docs.is_dir() else {})


def results() -> tuple[str, ...]:
    """The addresses of the pages of results."""
    return tuple(sorted(name for name in shelf() if name.startswith(RESULTS) and not is_picture(name)))


def is_picture(name: str) -> bool:
    """Whether an address is that of a picture."""
    return name.endswith(tuple(PICTURES))


def _below(folder: Traversable, start: str) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for one in folder.iterdir():
        if one.is_dir():
            found |= _below(one, f"{start}{one.name}/")
        elif one.name.endswith(".md"):
            found[f"{start}{one.name.removesuffix('.md')}"] = one
        elif is_picture(one.name):
            found[f"{start}{one.name}"] = one
    return found
