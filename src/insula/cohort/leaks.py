"""What of the test data the training data have seen already: patients, files, pictures, contradicting labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from insula.cohort import duplicates
from insula.cohort.prints import Album, Prints, Slices, prints
from insula.core.errors import CohortError, InsulaError
from insula.core.provenance import sha256_file
from insula.core.types import Case, Cohort, Verdict
from insula.scans.read import read_files

Progress = Callable[..., Iterable[Any]]
_SHOWN = 500
_PER_GROUP = 200
ONE_PICTURE = 0.97
Files = dict[str, list[tuple[int, str, str, int]]]


@dataclass(frozen=True)
class Pair:
    """Two cases that share something. kind: patient, study, identical or near. crosses: they stand in two splits.

    likeness: 1 for identical files, the correlation for near-duplicates. clash: their labels differ. labels: of both,
    in words. places: role and slice of the pictures that are alike, for the kinds identical and near.
    """

    kind: str
    first: str
    second: str
    splits: tuple[str, str]
    likeness: float
    clash: bool
    evidence: str
    labels: tuple[str, str] = ("", "")
    places: tuple[tuple[str, int], tuple[str, int]] | None = None

    @property
    def crosses(self) -> bool:
        """Whether the two cases stand in two different splits."""
        return bool(self.splits[0] and self.splits[1] and self.splits[0] != self.splits[1])


@dataclass(frozen=True)
class Group:
    """Cases that hang together by identical files or near-duplicates; splits and labels: those that occur."""

    cases: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def crosses(self) -> bool:
        """Whether its cases stand in different splits."""
        return len([s for s in self.splits if s]) > 1


@dataclass(frozen=True)
class LeakReport:
    """What was found. patients, studies: how many stand in two splits; identical, near: pairs of cases across splits.

    identical_groups: groups of cases with one and the same file that stand in two splits. inside: identical or near
    pairs that do not cross splits. clashes: pairs of one picture (identical files, or near-duplicates from a
    correlation of 0.97 on) with different labels, anywhere. groups: what hangs together by identical files and
    near-duplicates. looked_at: cases whose pictures were compared; pictures: how many these were; skipped: cases that
    could not be read.
    """

    split: bool
    patient_ids: bool
    patients: int
    studies: int
    identical: int
    identical_groups: int
    near: int
    inside: int
    clashes: int
    looked_at: int
    pictures: int
    skipped: int
    pairs: tuple[Pair, ...]
    groups: tuple[Group, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail when anything crosses splits or labels clash; cannot tell without a split or without patient ids."""
        if self.patients or self.studies or self.identical or self.near or self.clashes:
            return "fail"
        return "pass" if self.split and self.patient_ids and not self.skipped else "cannot tell"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data; of pairs and groups the first 500, clashes and those across splits first."""
        content = asdict(self) | {"verdict": self.verdict}
        content |= {"pairs_found": len(self.pairs), "groups_found": len(self.groups)}
        content["pairs"] = [_plain(p) for p in self.pairs[:_SHOWN]]
        content["groups"] = [
            {"cases": list(g.cases), "splits": list(g.splits), "labels": list(g.labels), "crosses": g.crosses}
            for g in self.groups[:_SHOWN]
        ]
        return content


def find(cohort: Cohort, progress: Progress | None = None, slices: Slices = "middle") -> LeakReport:
    """Compare all cases of a cohort: patients and studies across splits, identical files, near-duplicate pictures.

    Files are compared by SHA-256 (blank pictures excepted), pictures by `duplicates.near` and only between different
    patients: up to three slices around the middle of each scan, or all of them. Cases that cannot be read are counted,
    not raised. Raises CohortError when the cohort's folder is gone.
    """
    root = Path(cohort.root)
    if not root.is_dir():
        raise CohortError(f"The cohort's folder '{root.name}' is not there any more; index it again where it lies now.")
    cases = cohort.cases
    pairs = _shared(cases, "patient", lambda c: c.patient) if cohort.patient_ids else []
    pairs += _shared(cases, "study", lambda c: next((s.study_uid for s in c.scans.values()), ""))
    files, found, skipped = _read(cases, root, slices, progress)
    same, identical_groups = _identical(cases, files, root)
    known = {frozenset((p.first, p.second)) for p in same}
    near = [p for p in _near(cases, found, progress) if frozenset((p.first, p.second)) not in known]
    alike = same + near
    ordered = sorted(pairs + alike, key=lambda p: (not p.clash, not p.crosses, p.kind, -p.likeness, p.first, p.second))
    return LeakReport(
        split=any(case.split for case in cases),
        patient_ids=cohort.patient_ids,
        patients=len({p.evidence for p in pairs if p.kind == "patient"}),
        studies=len({p.evidence for p in pairs if p.kind == "study"}),
        identical=sum(p.crosses for p in same),
        identical_groups=identical_groups,
        near=sum(p.crosses for p in near),
        inside=sum(not p.crosses for p in alike),
        clashes=sum(p.clash and p.likeness >= ONE_PICTURE for p in alike),
        looked_at=len(np.unique(found.cases)),
        pictures=len(found),
        skipped=skipped,
        pairs=tuple(ordered),
        groups=_groups(cases, alike),
    )


def _plain(pair: Pair) -> dict[str, Any]:
    places = None if pair.places is None else [{"role": role, "slice": place} for role, place in pair.places]
    return asdict(pair) | {"splits": list(pair.splits), "labels": list(pair.labels), "places": places}


def _read(cases: tuple[Case, ...], root: Path, slices: Slices, progress: Progress | None) -> tuple[Files, Prints, int]:
    """SHA-256 → (case, role, path, number of the file in its scan); thumbnails; cases that could not be read."""
    files: Files = defaultdict(list)
    album = Album()
    skipped = 0
    numbered: Iterable[tuple[int, Case]] = enumerate(cases)
    for number, case in progress(numbered, "reading", len(cases)) if progress else numbered:
        try:
            for role, scan in case.scans.items():
                for place, path in enumerate(scan.paths):
                    files[sha256_file(root / path)].append((number, role, path, place))
                for one in prints(case, root, role, slices):
                    album.add(number, role, one)
        except (InsulaError, OSError):
            skipped += 1
    return files, album.close(), skipped


def _shared(cases: Iterable[Case], kind: str, of: Callable[[Case], str]) -> list[Pair]:
    """One pair for each patient or study that stands in two splits (and, for studies, under two patients)."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if of(case) and case.split:
            groups[of(case)].append(case)
    made = []
    for name, members in groups.items():
        first = members[0]
        other = next((c for c in members if c.split != first.split), None)
        if other is None or (kind == "study" and other.patient == first.patient):
            continue
        made.append(_pair(kind, first, other, 1.0, name))
    return made


def _identical(cases: tuple[Case, ...], files: Files, root: Path) -> tuple[list[Pair], int]:
    """Pairs of cases that hold one file, and how many such files stand in two splits."""
    made: dict[tuple[int, int], Pair] = {}
    across = 0
    for places in files.values():
        if len({number for number, *_ in places}) < 2 or _blank(root / places[0][2]):
            continue
        across += len({cases[number].split for number, *_ in places} - {""}) > 1
        for (a, role, path, place), (b, other_role, _, other) in combinations(places[:_PER_GROUP], 2):
            if a != b and (a, b) not in made:
                spots = _spot(cases[a], role, place), _spot(cases[b], other_role, other)
                made[a, b] = _pair("identical", cases[a], cases[b], 1.0, path, spots)
    return list(made.values()), across


def _spot(case: Case, role: str, place: int) -> tuple[str, int]:
    """Where to look at an identical file: its slice, or the middle (-1) of a file that may hold many."""
    return role, place if len(case.scans[role].paths) > 1 else -1


def _blank(path: Path) -> bool:
    """Whether a file shows nothing: empty slices are alike in all patients."""
    try:
        array = read_files((path,), tiles="overview").array
    except InsulaError:
        return False
    return bool(np.ptp(array) == 0)


def _near(cases: tuple[Case, ...], found: Prints, progress: Progress | None) -> list[Pair]:
    """The best pair of pictures of each two cases of different patients."""
    owners = duplicates.numbered([case.patient for case in cases])[found.cases]
    best: dict[tuple[int, int], Pair] = {}
    for one in duplicates.near(found, owners, progress):
        a, b = int(found.cases[one.first]), int(found.cases[one.second])
        if (a, b) not in best or one.value > best[a, b].likeness:
            how = f", {one.how}" if one.how else ""
            spots = (found.place(one.first), found.place(one.second))
            best[a, b] = _pair("near", cases[a], cases[b], one.value, f"correlation {one.value:.3f}{how}", spots)
    return list(best.values())


def _groups(cases: tuple[Case, ...], alike: list[Pair]) -> tuple[Group, ...]:
    """Connected groups; those with several labels first, then those across splits, then the larger."""
    by_key = {case.key: case for case in cases}
    made = []
    for keys in duplicates.components((p.first, p.second) for p in alike):
        members = [by_key[key] for key in keys]
        splits, labels = {c.split for c in members}, {_label(c) for c in members}
        made.append(Group(tuple(sorted(keys)), tuple(sorted(splits)), tuple(sorted(labels))))
    return tuple(sorted(made, key=lambda g: (len(g.labels) < 2, not g.crosses, -len(g.cases), g.cases)))


def _pair(
    kind: str,
    first: Case,
    second: Case,
    likeness: float,
    evidence: str,
    places: tuple[tuple[str, int], tuple[str, int]] | None = None,
) -> Pair:
    return Pair(
        kind=kind,
        first=first.key,
        second=second.key,
        splits=(first.split, second.split),
        likeness=round(likeness, 4),
        clash=dict(first.labels) != dict(second.labels) and bool(first.labels) and bool(second.labels),
        evidence=evidence,
        labels=(_label(first), _label(second)),
        places=places,
    )


def _label(case: Case) -> str:
    return "; ".join(" + ".join(names) or "none" for _, names in sorted(case.labels.items()))
