"""The files of one DICOM series, put together by geometry; what does not belong is set aside and said."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.scans import dicom, header, limits, mixed, stacks, threads
from insula.scans.ahead import Ahead
from insula.scans.assemble import assemble
from insula.scans.header import Header
from insula.scans.limits import LIMITS, Limits

_TOGETHER = 4  # deflated files for each thread at a time


class SeveralSeriesError(ScanError):
    """Files of more than one series where those of one are wanted."""


def read(paths: Sequence[Path], allowed: Limits = LIMITS) -> Volume:
    """The files of one series as a Volume, ordered by position along the image normal.

    array (C, Z, Y, X) float32, LPS. Localisers, screen captures, slices of another orientation or size, of another
    stack (echo, time point), and at a repeated position are set aside with a warning. Uneven gaps are resampled to an
    even grid (`place`), a tilted gantry stays as a sheared affine (`regrid.untilt`); both are said. Raises ScanError
    when nothing is left, a wide gap cannot be filled or the files belong to several series, studies or patients,
    LimitError when they ask for too much.
    """
    if not paths:
        raise ScanError("No files were given; give the files of one series.")
    if len(paths) == 1:
        return dicom.read(paths[0], allowed)
    limits.total_size(paths, allowed)
    loaded: list[tuple[Header, Dataset]] = []
    aside: Counter[str] = Counter()
    named: dict[str, str] = {}
    with warnings.catch_warnings(), Ahead(allowed) as ahead:
        warnings.simplefilter("ignore")  # in all threads: pydicom's warnings quote header values
        for facts, dataset in _parsed(paths, allowed):
            if facts.aside:
                aside[facts.aside] += 1
                continue
            loaded.append((facts, dataset))
            if facts.series_uid != loaded[0][0].series_uid:  # said before the files of many studies are held at once
                raise _several([header.read(p, allowed) for p in paths])
            mixed.check(named, facts)
            ahead.begin(len(loaded) - 1, facts, dataset)
        if not loaded:
            listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(aside.items()))
            raise ScanError(f"None of the {len(paths)} files is a slice of a scan ({listed}); give the axial series.")
        notes = [f"{count} file{'s' if count > 1 else ''} set aside: {kind}" for kind, count in sorted(aside.items())]
        source = loaded[0][0].path if len(loaded) == 1 else loaded[0][0].path.parent
        return assemble(loaded, allowed, notes, str(source), ahead)


def _parsed(paths: Sequence[Path], allowed: Limits) -> Iterator[tuple[Header, Dataset]]:
    """The files one after the other, deflated ones by several threads; an error when the turn of its file comes."""

    def one(path: Path) -> tuple[Header, Dataset] | Exception:
        try:
            dataset = header.load(path, allowed, later=True)
            return header.facts(dataset, path), dataset
        except Exception as error:  # noqa: BLE001  broad: it is raised below
            return error

    start, count = 0, 1
    while start < len(paths):
        for found in threads.each(one, paths[start : start + count]):
            if isinstance(found, Exception):
                raise found
            yield found
            if start == 0 and header.is_deflated(found[1]):
                count = _TOGETHER * threads.COUNT
        start += 1 if start == 0 else count


def ordered(headers: Sequence[Header]) -> tuple[list[Header], int]:
    """The headers of the largest matching stack, sorted along the normal, and how many were set aside.

    Without positions the instance numbers decide. Files that are no slices (localisers) are not to be passed in.
    """
    common = Counter(_key(h) for h in headers).most_common(1)[0][0]
    kept = [h for h in headers if _key(h) == common]
    placed = [h for h in kept if h.position is not None]
    if placed and placed[0].orientation is not None:
        kept = placed
        normal = np.cross(placed[0].orientation[:3], placed[0].orientation[3:])
        heights = {h.path: float(np.dot(h.position or (0, 0, 0), normal)) for h in kept}
        kept.sort(key=lambda h: (round(heights[h.path], 3), h.instance, h.path))
        if all(h.frames == 1 for h in kept):
            places: list[Hashable] = [round(heights[h.path], 2) for h in kept]
            kept = [kept[i] for i in stacks.one([h.traits for h in kept], places)[0]]
    else:
        kept.sort(key=lambda h: (h.instance, h.path))
    return kept, len(headers) - len(kept)


def _key(facts: Header) -> tuple[object, ...]:
    """What the slices of one stack have in common, as in `assemble`."""
    orientation = tuple(round(v, 2) + 0.0 for v in facts.orientation) if facts.orientation else None
    spacing = tuple(round(v, 3) for v in facts.spacing) if facts.spacing else None
    return facts.rows, facts.columns, facts.samples, spacing, orientation


def _several(headers: Sequence[Header]) -> SeveralSeriesError:
    count = len({h.series_uid for h in headers if not h.aside})
    folders = sorted({h.path.parent.name for h in headers})
    where = f" (folders {', '.join(folders[:5])})" if len(folders) > 1 else ""
    return SeveralSeriesError(f"The files hold {count} series{where}; pass the folder or the files of one series only.")
