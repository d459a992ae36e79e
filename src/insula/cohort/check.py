"""Looking at every file of a cohort before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from insula.cohort.associations import Association, associations
from insula.cohort.examine import Progress, Seen, every
from insula.cohort.found import Aside, look, shown, walk
from insula.cohort.gaps import classes_without_a_case, empty_folders
from insula.cohort.odd import Odd, odd
from insula.cohort.table import Notes
from insula.core.errors import CohortError, InsulaError
from insula.core.types import Case, Cohort, Verdict
from insula.scans.doubt import DOUBT, is_doubt

_SHOWN = 5_000
_NAMED = 5
_LISTS = ("unreadable", "outside", "blank", "unlabelled", "clashes", "text", "odd", "doubtful", "empty")
MEASURED = ("noise", "sharpness", "contrast", "clipped")


@dataclass(frozen=True)
class CheckReport:
    """What was found. classes: class → (cases, patients). unreadable, outside: files with reasons; outside are files
    below the root that belong to no case. blank, unlabelled: case keys. clashes: groups of case keys with equal
    pixels and different labels. text: (case key, letter-like marks) where text may be burned in. odd: (case key, what
    is unlike the rest). sizes, units, warnings: how many cases. associations: attributes against classes. seen: what
    was measured on each scan. doubtful: (case key, what its header says of its place that cannot be). missing: classes
    of the recipe without a case; needed: whether its question needs all of them. empty: folders without a file.
    """

    cases: int
    patients: int
    patient_ids: bool
    classes: dict[str, tuple[int, int]]
    splits: dict[str, int]
    unreadable: tuple[Aside, ...]
    outside: tuple[Aside, ...]
    blank: tuple[str, ...]
    unlabelled: tuple[str, ...]
    clashes: tuple[tuple[str, ...], ...]
    text: tuple[tuple[str, int], ...]
    odd: tuple[tuple[str, str], ...]
    sizes: dict[str, int]
    units: dict[str, int]
    warnings: dict[str, int]
    associations: tuple[Association, ...]
    seen: tuple[Seen, ...]
    layout: str = ""
    why: str = ""
    doubtful: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    needed: bool = False
    empty: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence per kind of problem, the gravest first."""
        said = [
            (len(self.unreadable), "case cannot be read", "cases cannot be read"),
            (
                len(self.clashes),
                "picture carries different labels in its copies",
                "pictures carry different labels in their copies",
            ),
            (len(self.blank), "case is blank", "cases are blank"),
            (len(self.doubtful), "case has a doubtful header", "cases have a doubtful header"),
            (len(self.unlabelled), "case has no label", "cases have no label"),
            (len(self.text), "case may bear burned-in text", "cases may bear burned-in text"),
            (len(self.outside), "file of the folder belongs to no case", "files of the folder belong to no case"),
        ]
        found = [f"{n:,} {one if n == 1 else many}" for n, one, many in said if n]
        if self.missing:
            none = f"no case is labelled {', '.join(self.missing)}: nothing can be learnt of it"
            found = [none, *found] if self.needed else [*found, none]
        if self.empty:
            named = ", ".join(self.empty[:_NAMED]) + (", ..." if len(self.empty) > _NAMED else "")
            one = len(self.empty) == 1
            found.append(f"{len(self.empty):,} folder{'' if one else 's'} hold{'s' if one else ''} no files ({named})")
        if not self.patient_ids:
            found.append("patients are not known: no split by patient is possible")
        found += [
            f"the scans of '{role}' mix units: {', '.join(units)}"
            for role, units in _units(self.seen)
            if len(units) > 1
        ]
        found += [
            f"'{a.title}' alone tells the classes apart ({a.sentence})"
            for a in self.associations
            if a.strong and not a.measured
        ]
        return tuple(found)

    @property
    def verdict(self) -> Verdict:
        """Fail for unreadable or blank cases, clashing labels and a class that is needed and has no case; cannot tell
        for lesser problems, of which a person has to judge.
        """
        if self.unreadable or self.clashes or self.blank or (self.missing and self.needed):
            return "fail"
        return "cannot tell" if self.problems else "pass"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data; of each list of files the first 5,000. What was measured is left out."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "seen"}
        content |= {"verdict": self.verdict, "problems": list(self.problems)}
        content["classes"] = {k: {"cases": c, "patients": p} for k, (c, p) in self.classes.items()}
        for name in ("unreadable", "outside"):
            content[name] = [asdict(item) for item in content[name][:_SHOWN]]
        for name in ("blank", "unlabelled", "clashes"):
            content[name] = list(content[name][:_SHOWN])
        content["text"] = [{"case": key, "marks": marks} for key, marks in self.text[:_SHOWN]]
        content["doubtful"] = [{"case": key, "what": what} for key, what in self.doubtful[:_SHOWN]]
        content["empty"] = list(self.empty[:_SHOWN])
        content["odd"] = [{"case": key, "what": what} for key, what in self.odd[:_SHOWN]]
        content["associations"] = [asdict(a) | {"strong": a.strong} for a in self.associations]
        content["counts"] = {name: len(getattr(self, name)) for name in _LISTS}
        return content


def _units(seen: Iterable[Seen]) -> list[tuple[str, list[str]]]:
    """The units of each role's scans; CT beside MR is no mixture."""
    found: dict[str, set[str]] = defaultdict(set)
    for scan in seen:
        if not scan.error:
            found[scan.role.partition(".")[0]].add(scan.units)
    return sorted((role, sorted(units)) for role, units in found.items())


def check(
    cohort: Cohort, progress: Progress | None = None, notes: Notes | None = None, workers: int | None = None
) -> CheckReport:
    """Read every scan of a cohort and report what is wrong with the files, the labels and the balance.

    Unreadable scans are collected with their reasons and raise nothing. Raises CohortError when the cohort's folder is
    gone. progress: called as progress(items, label, total), as `insula.cli.output.progress` is. notes: why the index
    left files out. workers: processes, as `examine.every` takes it.
    """
    root = Path(cohort.root)
    if not root.is_dir():
        raise CohortError(f"The cohort's folder '{root.name}' is not there any more; index it again where it lies now.")
    said = notes or Notes()
    seen = tuple(every(cohort.cases, root, progress, workers))
    keys = [case.key for case in cohort.cases]
    same: dict[bytes, list[Case]] = defaultdict(list)
    for scan in seen:
        if scan.digest:
            same[scan.digest].append(cohort.cases[scan.case])
    good = [s for s in seen if not s.error]
    return CheckReport(
        cases=len(cohort.cases),
        patients=len({case.patient for case in cohort.cases}),
        patient_ids=cohort.patient_ids,
        classes=_classes(cohort),
        splits=dict(Counter(case.split for case in cohort.cases if case.split)),
        unreadable=tuple(Aside(keys[s.case], s.error) for s in seen if s.error),
        outside=tuple(_outside(cohort, root, {item.path: item.reason for item in said.aside})),
        blank=tuple(keys[s.case] for s in good if s.blank),
        unlabelled=tuple(case.key for case in cohort.cases if not case.labels),
        clashes=tuple(tuple(c.key for c in group) for group in same.values() if _disagree(group)),
        text=tuple(sorted(((keys[s.case], s.text) for s in good if s.text), key=lambda t: -t[1])),
        odd=_by_case(odd(seen), keys),
        sizes=dict(Counter(_size(s) for s in good).most_common(20)),
        units=dict(Counter(s.units for s in good)),
        warnings=_warnings(good),
        associations=associations(cohort, _more(seen, len(keys)), MEASURED),
        seen=seen,
        layout=said.layout,
        why=said.why,
        doubtful=tuple((keys[s.case], text) for s in good if (text := _doubts(s))),
        missing=classes_without_a_case(cohort, said.asked),
        needed=said.asked.needs_all,
        empty=empty_folders(root),
    )


def _doubts(seen: Seen) -> str:
    return "; ".join(text.removeprefix(DOUBT) for text in seen.warnings if is_doubt(text))


def class_of(case: Case) -> str:
    """The class of a case, its labels joined by +, `none` for no label of several, or `unlabelled`."""
    return ", ".join("+".join(names) or "none" for _, names in sorted(case.labels.items())) or "unlabelled"


def _classes(cohort: Cohort) -> dict[str, tuple[int, int]]:
    cases: Counter[str] = Counter()
    patients: dict[str, set[str]] = defaultdict(set)
    for case in cohort.cases:
        for names in case.labels.values():
            for name in names or ("none",):
                cases[name] += 1
                patients[name].add(case.patient)
    return {name: (count, len(patients[name])) for name, count in sorted(cases.items())}


def _more(seen: Sequence[Seen], count: int) -> list[dict[str, str]]:
    """For each case what was found out by reading it, as attributes."""
    made: list[dict[str, str]] = [{} for _ in range(count)]
    # HU of one scan and shares of the scale of another are no common measure of noise
    mixed = len({scan.units == "HU" for scan in seen if scan.quality is not None}) > 1
    names = [name for name in MEASURED if not (mixed and name == "noise")]
    for scan in seen:
        made[scan.case] |= dict(scan.facts)
        if scan.quality is not None:
            made[scan.case] |= {name: f"{getattr(scan.quality, name):.4g}" for name in names}
        if not scan.error:
            made[scan.case]["burned-in text"] = "suspected" if scan.text else "not seen"
    return made


def _outside(cohort: Cohort, root: Path, reasons: dict[str, str]) -> Iterable[Aside]:
    """Files below the root that no case uses: why each is no scan, or why the index left it out."""
    used = {path for case in cohort.cases for scan in case.scans.values() for path in (*scan.paths, scan.mask)}
    for path in walk(root):
        relative = shown(path.relative_to(root).as_posix())
        if relative in used:
            continue
        if relative in reasons:
            yield Aside(relative, reasons[relative])
            continue
        try:
            item = look(path, relative)
        except InsulaError as error:
            yield Aside(relative, str(error))
            continue
        reason = item.header.aside if item.header is not None else ""
        yield Aside(relative, f"no slice of a scan ({reason})" if reason else "a readable scan that the index left out")


def _by_case(found: Sequence[Odd], keys: Sequence[str]) -> tuple[tuple[str, str], ...]:
    joined: dict[int, list[str]] = defaultdict(list)
    for item in found:
        joined[item.case].append(item.what)
    return tuple((keys[case], "; ".join(whats)) for case, whats in joined.items())


def _size(seen: Seen) -> str:
    width, height, slices = seen.size
    return f"{width}x{height}x{slices}" + (f" x{seen.channels} channels" if seen.channels > 1 else "")


def _disagree(group: list[Case]) -> bool:
    """Whether cases of equal pixels carry different labels, target by target."""
    seen: dict[str, tuple[str, ...]] = {}
    return any(seen.setdefault(target, names) != names for case in group for target, names in case.labels.items())


def _warnings(good: Sequence[Seen]) -> dict[str, int]:
    """What the reader said and in how many scans; warnings that differ in their numbers alone count together."""
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    for scan in good:
        for text in scan.warnings:
            texts[_kind(text)][text] += 1
    named = [(next(iter(c)) if len(c) == 1 else kind, sum(c.values())) for kind, c in texts.items()]
    return dict(sorted(named, key=lambda item: -item[1]))


def _kind(warning: str) -> str:
    """A warning without its numbers, so that like ones are counted together."""
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in warning.split())
