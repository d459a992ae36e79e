"""From parsed DICOM files to one Volume: which slices belong together, where they lie, and their values."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.scans import frames as framing
from insula.scans import limits, mixed, pixels, stacks, threads
from insula.scans.ahead import Ahead
from insula.scans.frames import Frame
from insula.scans.header import Header
from insula.scans.limits import Limits
from insula.scans.orient import to_lps
from insula.scans.pixels import Pixels
from insula.scans.place import place
from insula.scans.regrid import between


@dataclass(frozen=True)
class Slice:
    """One slice of a stack: the file it comes from, its number there, and what the header says of it."""

    source: int
    number: int
    frame: Frame
    facts: Header

    @cached_property
    def height(self) -> float | None:
        """Millimetres along the normal of its plane, None without a place."""
        if self.frame.position is None or self.frame.orientation is None:
            return None
        (px, py, pz), (ax, ay, az, bx, by, bz) = self.frame.position, self.frame.orientation
        return px * (ay * bz - az * by) + py * (az * bx - ax * bz) + pz * (ax * by - ay * bx)


def assemble(
    loaded: Sequence[tuple[Header, Dataset]],
    allowed: Limits,
    notes: Sequence[str],
    source: str,
    ahead: Ahead | None = None,
) -> Volume:
    """The frames of all files as one Volume, ordered by position along the normal, or as they were given without one.

    ahead: what of their decoding has begun, by their numbers. Slices of another size, spacing or orientation than most,
    of another stack (echo, time point), and at a repeated position are set aside with a warning. Raises ScanError and
    LimitError as `series.read`.
    """
    name = loaded[0][0].path.name if len(loaded) == 1 else loaded[0][0].path.parent.name
    for facts, _ in loaded:
        pixels.check(facts, allowed)
    each = [_frames(facts, dataset) for facts, dataset in loaded]
    found = [Slice(i, k, frame, loaded[i][0]) for i, frames in enumerate(each) for k, frame in enumerate(frames)]
    said = [*notes, *_counted(loaded, lambda facts: [facts.preamble, facts.end])]
    said += _counted(loaded, lambda facts: facts.doubts.values())
    noun = "file" if len(found) == len(loaded) else "frame"
    kept, aside = _stack(found, noun, said)
    first = kept[0]
    spacing = first.frame.spacing or (1.0, 1.0)
    if first.frame.spacing is None:
        usable = "usable " if first.facts.doubts.get("PixelSpacing") else ""
        said.append(f"no {usable}pixel spacing in the header: 1 mm assumed")
    grid: NDArray[np.float64] | None = None
    if first.height is not None and first.frame.orientation is not None:
        points = [s.frame.position for s in kept if s.frame.position is not None]
        thickest = max((s.frame.thickness for s in kept if s.frame.thickness), default=None)
        placed = place(points, first.frame.orientation, spacing, thickest)
        kept, affine, grid = [kept[i] for i in placed.order], placed.affine, placed.grid
        said += placed.warnings
        said += mixed.frames_of_reference([s.facts for s in kept])
        if placed.repeated:
            aside["at a repeated position"] += placed.repeated
    else:
        if len(kept) > 1 and len(loaded) > 1 and noun == "frame":
            raise ScanError(
                f"The series has {len(loaded)} files with several frames each and no positions; give one of them."
            )
        affine = np.diag([spacing[1], spacing[0], first.frame.thickness or 1.0, 1.0])
        said.append(_unplaced(len(loaded), len(kept), any(name.startswith("Image") for name in first.facts.doubts)))
    said += mixed.scales([(s.frame.slope, s.frame.intercept) for s in kept], first.facts.modality)
    said += [f"{count} {noun}{'s' if count > 1 else ''} set aside: {kind}" for kind, count in sorted(aside.items())]
    depth = len(kept) if grid is None else len(grid)
    limits.shape((first.facts.samples, depth, first.facts.rows, first.facts.columns), name, allowed)
    array, parts = _values(loaded, kept, each, allowed, ahead)
    said += mixed.repeated_pictures(array)
    if grid is not None:
        array = between(array, grid)
    array, affine = to_lps(array, affine)
    said += sorted({note for part in parts for note in part.warnings})
    middle = parts[len(parts) // 2]
    attributes = dict(first.facts.attributes)
    if len(loaded) > 1:
        attributes.pop("sop_uid", None)
    return Volume(
        array=array,
        affine=affine,
        units=middle.units,
        modality=first.facts.modality,
        source=source,
        full_scale=middle.full_scale,
        window=kept[len(kept) // 2].frame.window or middle.window,
        attributes=attributes,
        warnings=tuple(said),
    )


def _frames(facts: Header, dataset: Dataset) -> tuple[Frame, ...]:
    try:
        return framing.of(dataset, facts)
    except ScanError:
        raise
    except Exception as error:  # broad: pydicom converts values when they are asked for, and raises anything
        raise ScanError(
            f"'{facts.path.name}' has a damaged DICOM header ({limits.reason(error)}); export it again."
        ) from error


def _stack(found: Sequence[Slice], noun: str, said: list[str]) -> tuple[list[Slice], Counter[str]]:
    """The largest set of slices that fit on each other, sorted along the normal, and what was set aside."""
    aside: Counter[str] = Counter()
    common = Counter(_key(s) for s in found).most_common(1)[0][0]
    alike = [s for s in found if _key(s) == common]
    if any(s.height is not None for s in alike):
        alike = [s for s in alike if s.height is not None]
        alike.sort(key=lambda s: (round(s.height or 0.0, 3), s.facts.instance, s.facts.path, s.number))
    elif len({s.source for s in alike}) > 1:
        alike.sort(key=lambda s: (s.facts.instance, s.facts.path))
    if len(alike) < len(found):
        aside["of another orientation or size, or without a position"] += len(found) - len(alike)
    if alike[0].height is None:
        return alike, aside
    places: list[Hashable] = [round(s.height or 0.0, 2) for s in alike]
    chosen, notes = stacks.one([s.frame.traits for s in alike], places, noun)
    said += notes
    return [alike[i] for i in chosen], aside


def _key(s: Slice) -> tuple[object, ...]:
    """What the slices of one stack have in common: size, channels, spacing, orientation (two decimals)."""
    pose = tuple(round(v, 2) + 0.0 for v in s.frame.orientation) if s.frame.orientation else None
    spacing = tuple(round(v, 3) for v in s.frame.spacing) if s.frame.spacing else None
    return s.facts.rows, s.facts.columns, s.facts.samples, spacing, pose


def _values(
    loaded: Sequence[tuple[Header, Dataset]],
    kept: Sequence[Slice],
    each: Sequence[tuple[Frame, ...]],
    allowed: Limits,
    ahead: Ahead | None,
) -> tuple[NDArray[np.float32], list[Pixels]]:
    """The values of the kept slices, each file decoded once, and what its decoding said; each: frames of each file.

    A file with one frame is decoded straight into its place, and by several threads where its decoder lets them.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for index, s in enumerate(kept):
        wanted.setdefault(s.source, []).append((index, s.number))
    first, dataset = loaded[kept[0].source]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        array = np.empty((pixels.channels(dataset, first), len(kept), first.rows, first.columns), np.float32)

    def decode(source: int) -> Pixels:
        facts, dataset = loaded[source]
        pairs = wanted[source]
        place = array[:, pairs[0][0] : pairs[0][0] + 1]
        found = ahead.take(source) if ahead else None
        part = pixels.decode_into(dataset, facts, allowed, each[source], place, found)
        if part.array.shape[0] == array.shape[0] and not np.may_share_memory(part.array, place):
            for index, number in pairs:
                array[:, index] = part.array[:, number]
        return replace(part, array=part.array[:, :0])  # without its values, which are in place now

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in all threads
        if ahead:
            ahead.stop()
        # what holds Python's lock, or takes as little time as copying, is slower by several threads
        several = pixels.unlocked_frames(dataset)
        parts = threads.each(decode, wanted) if several else [decode(number) for number in wanted]
    if len({(part.array.shape[0], part.units) for part in parts}) > 1:
        units = ", ".join(sorted({part.units for part in parts}))
        raise ScanError(f"The series mixes units ({units}); give the files of one reconstruction.")
    return array, parts


def _unplaced(files: int, slices: int, doubtful: bool) -> str:
    no = "no usable" if doubtful else "no"
    if files > 1:
        return f"{no} positions in the headers: ordered by instance number, left and right as shown"
    if slices > 1:
        return f"{no} positions of the frames in the header: in the order of the file, left and right as shown"
    return f"{no} position or orientation in the header: left and right as shown"


def _counted(loaded: Sequence[tuple[Header, Dataset]], of: Callable[[Header], Iterable[str]]) -> list[str]:
    """What the headers of the files have to be warned of, each with the number of its files where there are several."""
    counts = Counter(note for facts, _ in loaded for note in of(facts) if note)
    return [f"{note} ({_files(count)})" if len(loaded) > 1 else note for note, count in counts.items()]


def _files(count: int) -> str:
    return f"{count} file{'s' if count > 1 else ''}"
