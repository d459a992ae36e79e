"""A demo that was made before: what of it is there, without training wing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from insula.core.errors import BundleError

DONE = "demo.json"  # written last, so that a demo with it is a whole one
BEGUN = "demo-begun.json"  # written first: what was asked for
MARKER = ".insula-demo"  # of a folder that a demo may replace


@dataclass(frozen=True)
class Finished:
    """A finished demo. bundle, page: where model and report lie."""

    folder: Path
    recipe: str
    bundle: Path
    page: Path


def finished(folder: Path, recipe: str) -> Finished | None:
    """The demo of a recipe that lies in a folder; None where there is none, or it was broken off.

    Raises BundleError where it says that it is finished and its bundle is gone.
    """
    try:
        content = json.loads((folder / DONE).read_text(encoding="utf-8"))
        said = str(content["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if said != recipe:
        return None
    bundle = folder / "bundle"
    if not (bundle / "manifest.json").is_file():
        raise BundleError(f"The demo in '{folder}' has no bundle any more; make it anew: delete '{folder / DONE}'.")
    return Finished(folder, said, bundle, folder / "report.html")
