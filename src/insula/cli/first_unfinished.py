"""A demo or a training in sight that was begun and has not ended: how it goes on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from insula.workflows.demo_finished import BEGUN, DONE

_MOST = 2000  # names of a folder that are looked at


def unfinished(here: Path, table: str, bundle: Path | None) -> tuple[str, list[tuple[str, str]]] | None:
    """What is said of the newest one and its next step; None where there is none, or where a bundle is newer.

    table: the split cohort of this folder, "" where there is none.
    """
    found = [(_when(path), path) for name in (BEGUN, "trained-on.json") for path in _named(here, name)]
    if not found:
        return None
    when, path = max(found)
    home, place = path.parent, path.parent.relative_to(here).as_posix()
    if bundle is not None and bundle.parent != home and _when(bundle / "manifest.json") > when:
        return None
    if path.name == BEGUN:
        return f"'{place}' is a demo that is not finished (where it is not at work, it was stopped):", _demo(
            path, place
        )
    command = f"insula train {table or 'COHORT'} --recipe {place}/recipe.yaml --out {place} --resume"
    said = f"'{place}' is a training that is not finished (where it is not at work, it was stopped):"
    return said, [(command, "goes on after its last finished epoch")]


def _demo(path: Path, place: str) -> list[tuple[str, str]]:
    words = ["insula", "demo", "--out", place]
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        words += ["--recipe", str(asked["recipe"]), "--patients", str(int(asked["patients"]))]
        words += [word for one in asked["set"] for word in ("--set", str(one))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return [(shlex.join(words), "makes it anew")]
    return [(shlex.join(words), "goes on with what it has made")]


def _named(here: Path, name: str) -> Iterable[Path]:
    ends = DONE if name == BEGUN else "weights.safetensors"
    for pattern in (f"*/{name}", f"runs/*/{name}"):
        try:
            yield from (path for path in islice(here.glob(pattern), _MOST) if not (path.parent / ends).is_file())
        except OSError:  # a folder that may not be listed
            continue


def _when(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
