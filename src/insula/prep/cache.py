"""The prepared cache: each case decoded and prepared once, then read as slices of one memory-mapped array.

A cache is a folder: `slices.f32` (total slices, C, H, W) of float32, and `index.json` with the key, the offset and the
count of slices of each case. It is named by what it holds: the recipe's input section and the scans' hashes, so a
changed step or file never meets an old cache. It is written under a temporary name and renamed when whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import CohortError, InsulaError
from insula.core.provenance import sha256_text, write_json
from insula.core.recipe import Input
from insula.core.types import Case, FloatArray, Scan
from insula.prep.run import prepare
from insula.scans.read import read_files


@dataclass(frozen=True)
class Prepared:
    """An opened cache: `slices[offset : offset + count]` are one case's slices, (count, C, H, W)."""

    slices: NDArray[np.float32]
    places: dict[str, tuple[int, int]]
    failures: dict[str, str]

    def case(self, key: str) -> FloatArray:
        """One case's prepared slices, as a view of the mapped file."""
        offset, count = self.places[key]
        return self.slices[offset : offset + count]


def build(
    cases: Iterable[Case],
    root: Path,
    role: str,
    section: Input,
    folder: Path,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
) -> Prepared:
    """Prepare every case that the cache does not hold yet and open it; a case that cannot be read is listed, not lost.

    Raises CohortError when no case at all can be prepared, or the prepared slices differ in shape.
    """
    chosen = sorted(cases, key=lambda c: c.key)
    target = folder / cache_name(chosen, root, role, section)
    if not (target / "index.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        working = folder / f".{target.name}.{os.getpid()}"
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir()
        try:
            _fill(chosen, root, role, section, working, progress)
            shutil.rmtree(target, ignore_errors=True)
            working.rename(target)
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return open_cache(target)


def open_cache(folder: Path) -> Prepared:
    """Map a cache that `build` wrote."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    array = np.memmap(folder / "slices.f32", np.float32, "r", shape=tuple(index["shape"]))
    return Prepared(array, {k: (o, n) for k, o, n in index["cases"]}, index["failures"])


def cache_name(cases: list[Case], root: Path, role: str, section: Input) -> str:
    """A name that changes with the input section, the cases, and each file's size and time of change."""
    parts = [section.model_dump_json(), role]
    for case in cases:
        for path in case.scans[role].paths:
            state = (root / path).stat() if (root / path).exists() else None
            parts += [case.key, path, f"{state.st_size}:{state.st_mtime_ns}" if state else "missing"]
    return f"{role}-{sha256_text(parts)[:16]}"


def scan_files(scan: Scan, root: Path) -> list[Path]:
    """The files of one scan, under the cohort's root."""
    return [root / p for p in scan.paths]


def _fill(
    cases: list[Case],
    root: Path,
    role: str,
    section: Input,
    folder: Path,
    progress: Callable[[Iterable[Case]], Iterator[Case]],
) -> None:
    places: list[tuple[str, int, int]] = []
    failures: dict[str, str] = {}
    shape: tuple[int, ...] | None = None
    total = 0
    with (folder / "slices.f32").open("wb") as stream:
        for case in progress(cases):
            try:
                slices = prepare(read_files(scan_files(case.scans[role], root)), section)
            except InsulaError as error:
                failures[case.key] = str(error)
                continue
            if shape is None:
                shape = slices.shape[1:]
            if slices.shape[1:] != shape:
                raise CohortError(
                    f"Case '{case.key}' gives slices of {slices.shape[1:]}, the cases before it {shape}; "
                    "add a 'resize' step to the recipe so that all have one size."
                )
            slices.tofile(stream)
            places.append((case.key, total, len(slices)))
            total += len(slices)
    if shape is None:
        reason = next(iter(failures.values()), "the cohort is empty")
        raise CohortError(f"None of {len(cases)} cases could be prepared; the first reason: {reason}")
    index: dict[str, Any] = {"shape": [total, *shape], "cases": places, "failures": failures}
    write_json(folder / "index.json", index)
