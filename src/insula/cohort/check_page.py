"""The check of a cohort as one HTML page that needs nothing beside itself, as JSON, and as a table of scans."""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insula import __version__
from insula.cohort import associations, examine, leak_words
from insula.cohort.associations import Association
from insula.cohort.check import MEASURED, CheckReport, class_of
from insula.cohort.choose_pictures import Choice, choose
from insula.cohort.examine import Progress
from insula.cohort.found import Aside
from insula.cohort.index import without_name
from insula.cohort.leaks import LeakReport
from insula.cohort.quality import Quality
from insula.core import cells, provenance, templates
from insula.core.types import Cohort, Verdict

_LISTED = 30
_VALUES = 14
_ASIDE_PICTURES = 16
_PICTURES = ("png", "jpg", "jpeg", "tif", "tiff", "dcm", "")
_COLUMNS = (
    *("case", "patient", "class", "split", "error", "width", "height", "slices"),
    *("spacing_x", "spacing_y", "spacing_z", "units", "blank"),
)
_PLACES = ("train", "val", "test", "")


@dataclass(frozen=True)
class Line:
    """One row of the quality table: a class, how many scans, and 5%, 50%, 95% of each measure; hu: noise is in HU."""

    name: str
    hu: bool
    scans: int
    values: Mapping[str, tuple[float, float, float]]


def write(
    report: CheckReport,
    cohort: Cohort,
    folder: Path,
    leaks: LeakReport | None = None,
    progress: Progress | None = None,
    name: str = "cohort",
) -> Path:
    """Write `check.html`, `check.json` and `scans.csv` into the folder; return the path of the page.

    leaks: what `leaks.find` found, None where it was not asked for. name: what the page calls the cohort.
    """
    text = render(report, cohort, leaks, progress, name)
    provenance.write_json(folder / "check.json", report.to_dict())
    provenance.write_text(folder / "scans.csv", table(report, cohort))
    path = folder / "check.html"
    provenance.write_text(path, text)
    return path


def render(
    report: CheckReport,
    cohort: Cohort,
    leaks: LeakReport | None = None,
    progress: Progress | None = None,
    name: str = "cohort",
) -> str:
    """The page as text: pictures embedded, no address of any other file, readable without colour."""
    pages = templates.environment("insula.cohort")
    sheets = choose(report, cohort)
    choices = [*sheets.suspicious, *(c for some, _ in sheets.classes.values() for c in some)]
    aside = _pictured(report.outside)
    paths = [next(iter(c.case.scans.values())).paths for c in choices] + [(item.path,) for item in aside]
    pictures = examine.thumbnails(paths, Path(cohort.root), progress)
    coded = [base64.b64encode(data).decode() for data in pictures]
    of_case = {c.case.key: data for c, data in zip(choices, coded, strict=False)}
    beside = [(item, data) for item, data in zip(aside, coded[len(choices) :], strict=True) if data]
    shortcuts = [a for a in report.associations if not a.measured]
    return pages.get_template("check.html").render(
        report=report,
        cohort=cohort,
        name=name,
        version=__version__,
        counts=_counts(cohort),
        per_patient=_per_patient(cohort),
        reasons=_by_reason(report.outside),
        sheets=sheets,
        pictures=of_case,
        beside=beside,
        leaks=leaks,
        kinds=leak_words.kinds(leaks) if leaks else (),
        unknown=leak_words.unknown(leaks) if leaks else (),
        steps=leak_words.steps(leaks) if leaks else (),
        verdict=overall(report, leaks),
        shortcuts=[_shown(a) for a in shortcuts],
        measured=[_shown(a) for a in report.associations if a.measured],
        quality=_quality(report, cohort),
        listed=_LISTED,
        caption=_caption,
    )


def overall(report: CheckReport, leaks: LeakReport | None) -> Verdict:
    """The graver verdict of the two."""
    both = (report.verdict, leaks.verdict if leaks else "pass")
    return "fail" if "fail" in both else "cannot tell" if "cannot tell" in both else "pass"


def table(report: CheckReport, cohort: Cohort) -> str:
    """One row per scan as CSV: case, patient, class, split, size, spacing, units, quality, text, what stands out."""
    odd = dict(report.odd)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*_COLUMNS, *MEASURED, "score", "text_marks", "odd"))
    for scan in report.seen:
        case, q = cohort.cases[scan.case], scan.quality
        spacing = [f"{v:.4g}" for v in scan.spacing] if scan.spacing else ["", "", ""]
        measures = [f"{getattr(q, m):.4g}" for m in (*MEASURED, "score")] if q else [""] * (len(MEASURED) + 1)
        writer.writerow(
            cells.row(
                (
                    case.key,
                    case.patient if cohort.patient_ids else "",
                    class_of(case),
                    case.split,
                    scan.error,
                    *(scan.size if not scan.error else ("", "", "")),
                    *spacing,
                    scan.units,
                    int(scan.blank),
                    *measures,
                    scan.text,
                    odd.get(case.key, ""),
                )
            )
        )
    return stream.getvalue()


def _caption(choice: Choice) -> str:
    parts = [choice.label, choice.case.split, f"score {choice.score:.0f}" if choice.score is not None else ""]
    return ", ".join(part for part in parts if part)


def _counts(cohort: Cohort) -> dict[str, Any]:
    """Cases and patients by class and split."""
    cases: Counter[tuple[str, str]] = Counter()
    patients: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cohort.cases:
        names = [n for given in case.labels.values() for n in given or ("none",)] or ["unlabelled"]
        for name in (*names, "all cases"):
            for place in ("all", case.split):
                cases[name, place] += 1
                patients[name, place].add(case.patient)
    there = {case.split for case in cohort.cases}
    places = ["all", *(p for p in _PLACES if p in there)] if there != {""} else ["all"]
    names = sorted({name for name, _ in cases if name != "all cases"})
    return {
        "places": places,
        "rows": [(n, [(cases[n, p], len(patients[n, p])) for p in places]) for n in (*names, "all cases")],
    }


def _per_patient(cohort: Cohort) -> tuple[int, float, int] | None:
    """Fewest, median and most cases of a patient."""
    if not cohort.patient_ids:
        return None
    numbers = list(Counter(case.patient for case in cohort.cases).values())
    return (min(numbers), float(np.median(numbers)), max(numbers)) if numbers else None


def _by_reason(aside: Sequence[Aside]) -> list[tuple[str, int, list[str]]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for item in aside:
        groups[without_name(item)].append(item.path)
    return sorted(((reason, len(paths), paths) for reason, paths in groups.items()), key=lambda g: -g[1])


def _pictured(aside: Sequence[Aside]) -> list[Aside]:
    """Files left out that may have a picture: some of each reason."""
    groups: dict[str, list[Aside]] = defaultdict(list)
    for item in aside:
        name = item.path.rpartition("/")[2]
        if (
            name.rpartition(".")[2] if "." in name else ""
        ).lower() in _PICTURES and "index of files" not in item.reason:
            groups[without_name(item)].append(item)
    each = max(4, _ASIDE_PICTURES // max(1, len(groups)))
    return [item for items in groups.values() for item in items[:each]][:_ASIDE_PICTURES]


def _shown(association: Association) -> dict[str, Any]:
    """A table with one column per class; the rarest values are joined."""
    names = sorted({name for row in association.table.values() for name in row})
    rows = [(value, [row.get(name, 0) for name in names]) for value, row in association.table.items()]
    totals = [sum(counts[i] for _, counts in rows) for i in range(len(names))]
    left = 0
    if len(rows) > _VALUES:
        keep = {value for value, _ in sorted(rows, key=lambda r: -sum(r[1]))[:_VALUES]}
        others = [counts for value, counts in rows if value not in keep]
        left = len(others)
        rows = [r for r in rows if r[0] in keep]
        rows.append((f"{left} other values", [sum(c[i] for c in others) for i in range(len(names))]))
    return {"of": association, "names": names, "rows": rows, "totals": totals}


def _quality(report: CheckReport, cohort: Cohort) -> list[Line]:
    groups: dict[tuple[str, bool], list[Quality]] = defaultdict(list)
    names = associations.groups(cohort)
    for scan in report.seen:
        if scan.quality is not None:
            groups[names[scan.case] or "unlabelled", scan.units == "HU"].append(scan.quality)
            groups["all scans", scan.units == "HU"].append(scan.quality)
    made = []
    for name, hu in sorted(groups, key=lambda n: (n[0] == "all scans", n)):
        values = {}
        for measure in ("score", *MEASURED):
            low, middle, high = np.quantile([getattr(q, measure) for q in groups[name, hu]], (0.05, 0.5, 0.95))
            values[measure] = (float(low), float(middle), float(high))
        made.append(Line(name, hu, len(groups[name, hu]), values))
    return made[:20]
