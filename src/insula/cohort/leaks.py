"""What of the test data the training data have seen already: patients, files, pictures, contradicting labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from insula.cohort import prints
from insula.cohort.prints import Print
from insula.core.errors import InsulaError
from insula.core.provenance import sha256_file
from insula.core.types import Case, Cohort, Verdict
from insula.scans.read import read_files

Progress = Callable[..., Iterable[Any]]
_SHOWN = 500
_PER_GROUP = 200
_ONE_PICTURE = 0.99


@dataclass(frozen=True)
class Pair:
    """Two cases that share something. kind: patient, study, identical or near. crosses: they stand in two splits.

    likeness: 1 for identical files, the correlation for near-duplicates. clash: their labels differ.
    """

    kind: str
    first: str
    second: str
    splits: tuple[str, str]
    likeness: float
    clash: bool
    evidence: str

    @property
    def crosses(self) -> bool:
        """Whether the two cases stand in two different splits."""
        return bool(self.splits[0] and self.splits[1] and self.splits[0] != self.splits[1])


@dataclass(frozen=True)
class LeakReport:
    """What was found. patients, studies: how many stand in two splits; identical, near: pairs of cases across splits.

    inside: identical or near pairs that do not cross splits. clashes: pairs of one picture (identical files, or
    near-duplicates above 0.99) with different labels, anywhere. looked_at: cases whose pictures were compared;
    skipped: cases that could not be read.
    """

    split: bool
    patient_ids: bool
    patients: int
    studies: int
    identical: int
    near: int
    inside: int
    clashes: int
    looked_at: int
    skipped: int
    pairs: tuple[Pair, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail when anything crosses splits or labels clash; cannot tell without a split or without patient ids."""
        if self.patients or self.studies or self.identical or self.near or self.clashes:
            return "fail"
        return "pass" if self.split and self.patient_ids and not self.skipped else "cannot tell"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data; of the pairs the first 500, clashes and those across splits first."""
        content = asdict(self) | {"verdict": self.verdict, "pairs_found": len(self.pairs)}
        content["pairs"] = [asdict(p) | {"splits": list(p.splits)} for p in self.pairs[:_SHOWN]]
        return content


def find(cohort: Cohort, progress: Progress | None = None) -> LeakReport:
    """Compare all cases of a cohort: patients and studies across splits, identical files, near-duplicate pictures.

    Files are compared by SHA-256 (blank pictures excepted), pictures by `prints.similar` on the slices around the
    middle of each scan and only between different patients. Cases that cannot be read are counted, not raised.
    """
    root = Path(cohort.root)
    cases = cohort.cases
    pairs = _shared(cases, "patient", lambda c: c.patient) if cohort.patient_ids else []
    pairs += _shared(cases, "study", lambda c: next((s.study_uid for s in c.scans.values()), ""))
    files: dict[str, list[tuple[int, str]]] = defaultdict(list)
    found: list[Print] = []
    skipped = 0
    numbered: Iterable[tuple[int, Case]] = list(enumerate(cases))
    for number, case in progress(numbered, "comparing", len(cases)) if progress else numbered:
        try:
            for role, scan in case.scans.items():
                for path in scan.paths:
                    files[sha256_file(root / path)].append((number, path))
                found += prints.prints(case, number, root, role)
        except (InsulaError, OSError):
            skipped += 1
    same = _identical(cases, files, root)
    known = {frozenset((p.first, p.second)) for p in same}
    near = [p for p in _near(cases, found) if frozenset((p.first, p.second)) not in known]
    alike = same + near
    ordered = sorted(pairs + alike, key=lambda p: (not p.clash, not p.crosses, p.kind, -p.likeness, p.first, p.second))
    return LeakReport(
        split=any(case.split for case in cases),
        patient_ids=cohort.patient_ids,
        patients=len({p.evidence for p in pairs if p.kind == "patient"}),
        studies=len({p.evidence for p in pairs if p.kind == "study"}),
        identical=sum(p.crosses for p in same),
        near=sum(p.crosses for p in near),
        inside=sum(not p.crosses for p in alike),
        clashes=sum(p.clash and p.likeness >= _ONE_PICTURE for p in alike),
        looked_at=len({p.case for p in found}),
        skipped=skipped,
        pairs=tuple(ordered),
    )


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


def _identical(cases: tuple[Case, ...], files: dict[str, list[tuple[int, str]]], root: Path) -> list[Pair]:
    made: dict[tuple[int, int], Pair] = {}
    for places in files.values():
        if len({number for number, _ in places}) < 2 or _blank(root / places[0][1]):
            continue
        for (a, path), (b, _) in combinations(places[:_PER_GROUP], 2):
            if a != b and (a, b) not in made:
                made[a, b] = _pair("identical", cases[a], cases[b], 1.0, path)
    return list(made.values())


def _blank(path: Path) -> bool:
    """Whether a file shows nothing: empty slices are alike in all patients."""
    try:
        array = read_files((path,)).array
    except InsulaError:
        return False
    return bool(np.ptp(array) == 0)


def _near(cases: tuple[Case, ...], found: list[Print]) -> Iterator[Pair]:
    best: dict[tuple[int, int], float] = {}
    for i, j, likeness in prints.similar(found):
        a, b = sorted((found[i].case, found[j].case))
        if cases[a].patient != cases[b].patient:
            best[a, b] = max(likeness, best.get((a, b), 0.0))
    for (a, b), likeness in best.items():
        yield _pair("near", cases[a], cases[b], likeness, f"correlation {likeness:.2f}")


def _pair(kind: str, first: Case, second: Case, likeness: float, evidence: str) -> Pair:
    return Pair(
        kind=kind,
        first=first.key,
        second=second.key,
        splits=(first.split, second.split),
        likeness=round(likeness, 4),
        clash=dict(first.labels) != dict(second.labels) and bool(first.labels) and bool(second.labels),
        evidence=evidence,
    )
