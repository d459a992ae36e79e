"""Where runs of `insula train` and `insula pretrain` lie below one folder; no link leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from insula.serve.faults import RequestError

RECIPE, CURVES, METRICS = "recipe.yaml", "curves", "metrics.csv"
RECORDS: Final = ("run.json", "pretrain.json")  # written last
_BESIDE: Final = ("trained-on.json", "checkpoints", *RECORDS)  # a bundle has a recipe too, and none of these
_DEEP: Final = 4
_MOST: Final = 5000  # folders that are looked at; a folder of scans must not keep a page waiting


def names(home: Path) -> list[str]:
    """Names of the runs below a folder, as `study/member-0`, the newest first by their last sign of life.

    Four levels are looked at. Links are not followed, nor names that are no text.
    """
    found = []
    for folder in _below(home):
        try:
            found.append((last_sign(folder), folder.relative_to(home).as_posix()))
        except OSError:  # it was taken away meanwhile
            continue
    return [name for _, name in sorted(found, key=lambda one: (-one[0], one[1]))]


def folder_of(home: Path | None, name: str) -> Path:
    """The folder of a run. Raises RequestError 404 for whatever is none, an address that leads elsewhere included."""
    parts = name.split("/")
    there = home is not None and len(parts) <= _DEEP and all(_plain(part) for part in parts)
    folder = home or Path()
    for part in parts if there else ():
        folder = folder / part
        there = there and folder.is_dir() and not folder.is_symlink()
    if not there or not _is_run(folder):
        raise RequestError(404, "no_such_run", f"There is no training run '{name[:100]}'; see the list of runs.")
    return folder


def parts_of(folder: Path) -> list[Path]:
    """The tables of a run's curves in the order of their making: each time that it was resumed began another."""
    made = []
    for one in folder.iterdir():
        head, _, number = one.name.partition("-")
        table = one / METRICS
        if head == CURVES and (number == "" or number.isdecimal()) and not one.is_symlink() and is_file(table):
            made.append((int(number or 1), table))
    return [table for _, table in sorted(made)]


def last_sign(folder: Path) -> float:
    """When a run last wrote something about itself, in seconds since 1970. Raises OSError where it is there no more."""
    signs = [one for one in (*(folder / name for name in RECORDS), *parts_of(folder)) if is_file(one)]
    return max(one.stat().st_mtime for one in (folder / RECIPE, *signs))


def is_file(path: Path) -> bool:
    """Whether a file lies there, and no link to one."""
    return path.is_file() and not path.is_symlink()


def _plain(part: str) -> bool:
    return part not in ("", ".", "..") and not part.startswith(".") and "\\" not in part and part.isprintable()


def _is_run(folder: Path) -> bool:
    return is_file(folder / RECIPE) and (any((folder / one).exists() for one in _BESIDE) or bool(parts_of(folder)))


def _below(home: Path) -> Iterator[Path]:
    looked = 0
    waiting = [(home, 0)]
    while waiting:
        folder, depth = waiting.pop(0)  # the upper ones first: what is left out at the limit lies deep
        looked += 1
        if looked > _MOST:
            return
        try:
            if depth and _is_run(folder):
                yield folder
                continue
            if depth == _DEEP:
                continue
            inside = sorted(one.name for one in os.scandir(folder) if one.is_dir(follow_symlinks=False))
        except OSError:  # not ours to read
            continue
        waiting += [(folder / name, depth + 1) for name in inside if _plain(name)]
