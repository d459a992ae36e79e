"""The files of one DICOM series, put together by geometry; what does not belong is set aside and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.scans import dicom, header, limits
from insula.scans.header import Header
from insula.scans.limits import LIMITS, Limits
from insula.scans.orient import to_lps
from insula.scans.place import place


def read(paths: Sequence[Path], allowed: Limits = LIMITS) -> Volume:
    """The files of one series as a Volume, ordered by position along the image normal.

    array (C, Z, Y, X) float32, LPS. Localisers, screen captures, slices of another orientation or size, and slices at
    a repeated position are set aside with a warning. Raises ScanError when nothing is left or the files belong to
    several series, LimitError when they ask for too much.
    """
    if not paths:
        raise ScanError("No files were given; give the files of one series.")
    if len(paths) == 1:
        return dicom.read(paths[0], allowed)
    limits.total_size(paths, allowed)
    loaded: list[tuple[Header, Dataset]] = []
    aside: Counter[str] = Counter()
    for path in paths:
        dataset = header.load(path, allowed)
        facts = header.facts(dataset, path)
        if facts.aside:
            aside[facts.aside] += 1
        else:
            loaded.append((facts, dataset))
    if not loaded:
        listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(aside.items()))
        raise ScanError(f"None of the {len(paths)} files is a slice of a scan ({listed}); give the axial series.")
    _one_series([facts for facts, _ in loaded])
    if len(loaded) == 1:
        volume = dicom.read(loaded[0][0].path, allowed)
        return _with_notes(volume, _aside_notes(aside))
    if any(facts.frames > 1 for facts, _ in loaded):
        raise ScanError(f"The series has {len(loaded)} files with several frames each; give one of them.")
    return _assemble(loaded, aside, allowed)


def key(facts: Header) -> tuple[object, ...]:
    """What the slices of one stack have in common: size, channels, orientation (to about a tenth of a degree)."""
    orientation = tuple(round(v, 2) + 0.0 for v in facts.orientation) if facts.orientation else None
    return facts.rows, facts.columns, facts.samples, orientation


def ordered(headers: Sequence[Header]) -> tuple[list[Header], int]:
    """The headers of the largest matching stack, sorted along the normal, and how many were set aside.

    Without positions the instance numbers decide. Files that are no slices (localisers) are not to be passed in.
    """
    common = Counter(key(h) for h in headers).most_common(1)[0][0]
    kept = [h for h in headers if key(h) == common]
    placed = [h for h in kept if h.position is not None]
    if placed and placed[0].orientation is not None:
        kept = placed
        row, column = np.array(placed[0].orientation[:3]), np.array(placed[0].orientation[3:])
        normal = np.cross(row, column)
        kept.sort(key=lambda h: (round(float(np.dot(h.position or (0, 0, 0), normal)), 3), h.instance, h.path))
    else:
        kept.sort(key=lambda h: (h.instance, h.path))
    return kept, len(headers) - len(kept)


def _assemble(loaded: list[tuple[Header, Dataset]], aside: Counter[str], allowed: Limits) -> Volume:
    kept, other = ordered([facts for facts, _ in loaded])
    first = kept[0]
    notes: list[str] = []
    spacing = first.spacing or (1.0, 1.0)
    if first.spacing is None:
        notes.append("no pixel spacing in the header: 1 mm assumed")
    if first.position is not None and first.orientation is not None:
        placed = place([h.position for h in kept if h.position], first.orientation, spacing, first.thickness)
        order, affine = placed.order, placed.affine
        notes += placed.warnings
        if placed.repeated:
            aside["at a repeated position"] += placed.repeated
    else:
        order = tuple(range(len(kept)))
        affine = np.diag([spacing[1], spacing[0], first.thickness or 1.0, 1.0])
        notes.append("no positions in the headers: ordered by instance number, left and right as shown")
    if other:
        aside["of another orientation or size, or without a position"] += other
    notes += _aside_notes(aside)
    limits.shape((first.samples, len(order), first.rows, first.columns), first.path.parent.name, allowed)
    datasets = {facts.path: dataset for facts, dataset in loaded}
    slices = []
    for index in order:
        facts = kept[index]
        slices.append(dicom.decode(datasets.pop(facts.path), facts, allowed))
    units = {s.units for s in slices}
    if len(units) > 1:
        raise ScanError(f"The series mixes units ({', '.join(sorted(units))}); give the files of one reconstruction.")
    array, affine = to_lps(np.concatenate([s.array for s in slices], axis=1), affine)
    notes += sorted({note for s in slices for note in s.warnings})
    middle = slices[len(slices) // 2]
    attributes = {k: v for k, v in first.attributes.items() if k != "sop_uid"}
    return Volume(
        array=array,
        affine=affine,
        units=middle.units,
        modality=first.modality,
        source=str(first.path.parent),
        full_scale=middle.full_scale,
        window=middle.window,
        attributes=attributes,
        warnings=tuple(notes),
    )


def _one_series(headers: Sequence[Header]) -> None:
    counts = Counter(h.series_uid for h in headers)
    if len(counts) > 1:
        folders = sorted({h.path.parent.name for h in headers})
        where = f" (folders {', '.join(folders[:5])})" if len(folders) > 1 else ""
        raise ScanError(f"The files hold {len(counts)} series{where}; pass the folder or the files of one series only.")


def _aside_notes(aside: Counter[str]) -> list[str]:
    return [f"{count} file{'s' if count > 1 else ''} set aside: {kind}" for kind, count in sorted(aside.items())]


def _with_notes(volume: Volume, notes: list[str]) -> Volume:
    return replace(volume, warnings=volume.warnings + tuple(notes))
