"""Looking at every file of a cohort before anything is trained on it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insula.cohort.associations import Association, associations
from insula.cohort.found import Aside, look, walk
from insula.core.errors import CohortError, InsulaError
from insula.core.types import Case, Cohort, Verdict
from insula.scans.read import read_files

Progress = Callable[..., Iterable[Any]]
_BLANK = 0.01  # of the full scale; a picture that spans less shows nothing
_SHOWN = 200


@dataclass(frozen=True)
class CheckReport:
    """What was found. classes: class → (cases, patients). unreadable, outside: files with reasons; outside are files
    below the root that belong to no case. blank, unlabelled: case keys. clashes: groups of case keys with equal
    pixels and different labels. sizes, units, warnings: how many cases. associations: attributes against classes.
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
    sizes: dict[str, int]
    units: dict[str, int]
    warnings: dict[str, int]
    associations: tuple[Association, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence per kind of problem, the gravest first."""
        said = [
            (len(self.unreadable), "{n} case(s) cannot be read"),
            (len(self.clashes), "{n} group(s) of equal pictures carry different labels"),
            (len(self.blank), "{n} case(s) are blank"),
            (0 if self.patient_ids else 1, "patients are not known: no split by patient is possible"),
            (len(self.unlabelled), "{n} case(s) have no label"),
            (len(self.outside), "{n} file(s) of the folder belong to no case"),
            (len(self.units) - 1 if self.units else 0, "the cases mix units: " + ", ".join(sorted(self.units))),
        ]
        found = [text.format(n=count) for count, text in said if count > 0]
        found += [
            f"'{a.attribute}' alone tells the classes apart ({a.sentence})" for a in self.associations if a.strong
        ]
        return tuple(found)

    @property
    def verdict(self) -> Verdict:
        """Fail for unreadable or blank cases and clashing labels, cannot tell for lesser problems."""
        if self.unreadable or self.clashes or self.blank:
            return "fail"
        return "cannot tell" if self.problems else "pass"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data; of each list of files the first 200."""
        content = asdict(self) | {"verdict": self.verdict, "problems": list(self.problems)}
        content["classes"] = {k: {"cases": c, "patients": p} for k, (c, p) in self.classes.items()}
        for name in ("unreadable", "outside", "blank", "unlabelled", "clashes"):
            content[name] = content[name][:_SHOWN]
        content["counts"] = {
            name: len(getattr(self, name)) for name in ("unreadable", "outside", "blank", "unlabelled", "clashes")
        }
        return content


def check(cohort: Cohort, progress: Progress | None = None) -> CheckReport:
    """Read every scan of a cohort and report what is wrong with the files, the labels and the balance.

    Unreadable scans are collected with their reasons and raise nothing. Raises CohortError when the cohort's folder is
    gone. progress: called as progress(items, label, total), as `insula.cli.output.progress` is.
    """
    root = Path(cohort.root)
    if not root.is_dir():
        raise CohortError(f"The cohort's folder '{root.name}' is not there any more; index it again where it lies now.")
    unreadable: list[Aside] = []
    blank: list[str] = []
    same: dict[bytes, list[Case]] = defaultdict(list)
    sizes, units, warnings = Counter[str](), Counter[str](), Counter[str]()
    items: Iterable[Case] = progress(cohort.cases, "checking", len(cohort.cases)) if progress else cohort.cases
    for case in items:
        for scan in case.scans.values():
            try:
                volume = read_files([root / path for path in scan.paths])
            except InsulaError as error:
                unreadable.append(Aside(case.key, str(error)))
                continue
            channels, slices, height, width = volume.array.shape
            sizes[f"{width}x{height}x{slices}" + (f" x{channels} channels" if channels > 1 else "")] += 1
            units[volume.units] += 1
            warnings.update(_kind(text) for text in volume.warnings)
            span = float(np.ptp(volume.array))
            if span <= _BLANK * (volume.full_scale or 0.0) or span == 0.0:
                blank.append(case.key)
            else:
                same[hashlib.sha256(np.ascontiguousarray(volume.array).data).digest()].append(case)
    return CheckReport(
        cases=len(cohort.cases),
        patients=len({case.patient for case in cohort.cases}),
        patient_ids=cohort.patient_ids,
        classes=_classes(cohort),
        splits=dict(Counter(case.split for case in cohort.cases if case.split)),
        unreadable=tuple(unreadable),
        outside=tuple(_outside(cohort, root)),
        blank=tuple(blank),
        unlabelled=tuple(case.key for case in cohort.cases if not case.labels),
        clashes=tuple(tuple(c.key for c in group) for group in same.values() if _disagree(group)),
        sizes=dict(sizes.most_common(20)),
        units=dict(units),
        warnings=dict(warnings.most_common()),
        associations=associations(cohort),
    )


def _classes(cohort: Cohort) -> dict[str, tuple[int, int]]:
    cases: Counter[str] = Counter()
    patients: dict[str, set[str]] = defaultdict(set)
    for case in cohort.cases:
        for names in case.labels.values():
            for name in names or ("none",):
                cases[name] += 1
                patients[name].add(case.patient)
    return {name: (count, len(patients[name])) for name, count in sorted(cases.items())}


def _outside(cohort: Cohort, root: Path) -> Iterable[Aside]:
    """Files below the root that no case uses: why each is no scan, or that the index left it out."""
    used = {path for case in cohort.cases for scan in case.scans.values() for path in (*scan.paths, scan.mask)}
    for path in walk(root):
        relative = path.relative_to(root).as_posix()
        if relative in used:
            continue
        try:
            item = look(path, relative)
        except InsulaError as error:
            yield Aside(ascii(relative)[1:-1], str(error))
            continue
        reason = item.header.aside if item.header is not None else ""
        yield Aside(relative, f"no slice of a scan ({reason})" if reason else "a readable scan that the index left out")


def _disagree(group: list[Case]) -> bool:
    """Whether cases of equal pixels carry different labels, target by target."""
    seen: dict[str, tuple[str, ...]] = {}
    return any(seen.setdefault(target, names) != names for case in group for target, names in case.labels.items())


def _kind(warning: str) -> str:
    """A warning without its numbers, so that like ones are counted together."""
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in warning.split())
