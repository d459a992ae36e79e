"""A demo that was stopped on its way: what it was asked for, and what of it is kept when it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from insula import __version__
from insula.core.errors import UsageError
from insula.core.provenance import write_json, write_text
from insula.workflows.demo_finished import BEGUN, DONE, MARKER


def begin(folder: Path, name: str, patients: int, overrides: tuple[str, ...], say: Callable[[str], None]) -> str:
    """Make the folder ready; where the patients of the same demo lie in it, their place below the folder, else "".

    A demo that was stopped goes on where it was asked for in the same way, and otherwise is made anew, as a finished
    one is; `say` gets which. UsageError for a folder that is not empty and that no demo made.
    """
    place = str(folder.resolve())  # the cohort's table names it
    asked = {"recipe": name, "patients": patients, "set": list(overrides), "version": __version__, "folder": place}
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UsageError(f"'{folder}' is not empty and no earlier demo made it; give another --out.")
        held = _held(folder)
        scans = str(held.pop("scans", ""))
        if (folder / DONE).is_file():
            say(f"'{folder}' holds a finished demo; it is made anew.")
        elif held != asked:
            say(f"'{folder}' holds a demo of other settings that was not finished; it is made anew.")
        elif not scans:
            say(f"'{folder}' holds a demo that was stopped before its patients were made; it is made anew.")
        else:
            kept = "patients and finished epochs" if (folder / "run" / "checkpoints").is_dir() else "patients"
            say(f"'{folder}' holds this demo unfinished; it goes on, and its {kept} are kept.")
            shutil.rmtree(folder / "bundle", ignore_errors=True)
            return scans
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / MARKER, "This folder was made by `insula demo`, which replaces it when it runs again.\n")
    write_json(folder / BEGUN, asked)
    return ""


def patients_made(folder: Path, scans: Path) -> None:
    """Note that the patients are whole, and where they lie."""
    write_json(folder / BEGUN, {**_held(folder), "scans": str(scans.relative_to(folder))})


def _held(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
