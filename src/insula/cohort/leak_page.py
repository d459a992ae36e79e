"""What a cohort holds twice: one HTML page that needs nothing beside itself, JSON, and a table of all pairs."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from insula import __version__
from insula.cohort import leak_words
from insula.cohort.leaks import Group, LeakReport, Pair
from insula.cohort.prints import picture
from insula.core import cells, provenance, templates
from insula.core.errors import InsulaError
from insula.core.types import Case, Cohort

Progress = Callable[..., Iterable[Any]]
_SIDE = 220
_QUALITY = 82
_PER_GROUP = 4
_LISTED = 60
_COLUMNS = (
    *("kind", "first", "second", "first_split", "second_split", "first_label", "second_label"),
    *("likeness", "crosses_splits", "labels_clash", "evidence"),
)
_NAMES = {"identical": "Identical files", "near": "Near-duplicate", "patient": "One patient", "study": "One study"}


@dataclass(frozen=True)
class Shown:
    """One pair with its two pictures as JPEG in base64; empty where a picture cannot be read any more."""

    pair: Pair
    name: str
    pictures: tuple[str, str]


@dataclass(frozen=True)
class Section:
    """One group of duplicates with the pairs of it that are shown; left: pairs of it that are not."""

    group: Group
    pairs: tuple[Shown, ...]
    left: int


def write(report: LeakReport, cohort: Cohort, folder: Path, shown: int = 120, progress: Progress | None = None) -> Path:
    """Write leaks.html, leaks.json (the first 500 pairs) and pairs.csv (all pairs); return the path of the page."""
    provenance.write_json(folder / "leaks.json", report.to_dict())
    provenance.write_text(folder / "pairs.csv", table(report))
    path = folder / "leaks.html"
    provenance.write_text(path, render(report, cohort, shown, progress))
    return path


def table(report: LeakReport) -> str:
    """All pairs as CSV, one a line, in the order of the report."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for pair in report.pairs:
        said = (f"{pair.likeness:.4f}", int(pair.crosses), int(pair.clash), pair.evidence)
        writer.writerow(cells.row((pair.kind, pair.first, pair.second, *pair.splits, *pair.labels, *said)))
    return out.getvalue()


def render(report: LeakReport, cohort: Cohort, shown: int = 120, progress: Progress | None = None) -> str:
    """The page as text: groups of duplicates, clashes and those across splits first, up to `shown` pairs of pictures.

    Of each group at most four pairs are shown, so that one picture that was copied often does not fill the page; what
    is left out is said.
    """
    chosen = _chosen(report, shown)
    total = sum(len(pairs) for _, pairs, _ in chosen)
    by_key = {case.key: case for case in cohort.cases}
    wanted: Iterable[Pair] = [pair for _, pairs, _ in chosen for pair in pairs]
    if progress is not None:
        wanted = progress(wanted, "pictures", total)
    drawn = iter([_shown(pair, by_key, Path(cohort.root)) for pair in wanted])
    sections = [Section(group, tuple(next(drawn) for _ in pairs), left) for group, pairs, left in chosen]
    pages = templates.environment("insula.cohort")
    others = [pair for pair in report.pairs if pair.kind in ("patient", "study")]
    alike = sum(pair.kind in ("identical", "near") for pair in report.pairs)
    return pages.get_template("leaks.html").render(
        report=report,
        sections=sections,
        pairs_shown=total,
        pairs_left=alike - total,
        groups_left=len(report.groups) - len(sections),
        others=others[:_LISTED],
        others_left=max(0, len(others) - _LISTED),
        listed=_LISTED,
        kinds=leak_words.kinds(report),
        unknown=leak_words.unknown(report),
        steps=leak_words.steps(report),
        version=__version__,
    )


def _chosen(report: LeakReport, shown: int) -> list[tuple[Group, list[Pair], int]]:
    """Groups in the report's order with up to four pairs each, the pairs in the report's order, `shown` in all."""
    group_of = {key: number for number, group in enumerate(report.groups) for key in group.cases}
    pairs: dict[int, list[Pair]] = {}
    for pair in report.pairs:
        if pair.kind in ("identical", "near"):
            pairs.setdefault(group_of[pair.first], []).append(pair)
    chosen = []
    for number, group in enumerate(report.groups):
        taken = pairs.get(number, [])[: min(_PER_GROUP, shown)]
        if not taken:
            break
        shown -= len(taken)
        chosen.append((group, taken, len(pairs[number]) - len(taken)))
    return chosen


def _shown(pair: Pair, cases: dict[str, Case], root: Path) -> Shown:
    places = pair.places or (("", -1), ("", -1))
    first = _drawn(cases[pair.first], root, *places[0])
    second = _drawn(cases[pair.second], root, *places[1])
    return Shown(pair, _NAMES[pair.kind], (first, second))


def _drawn(case: Case, root: Path, role: str, place: int) -> str:
    try:
        grey = picture(case, root, role, place, _SIDE)
    except (InsulaError, OSError, IndexError):
        return ""
    encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return base64.b64encode(encoded.tobytes()).decode()
