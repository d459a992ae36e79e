"""Several cohorts as one: all scans of a patient, of every role, in one case."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from insula.core.errors import CohortError, SplitError
from insula.core.labels import clinical
from insula.core.recipe import ClinicalColumn
from insula.core.types import Case, Cohort, Scan, Split

# What a scanner or a request decides: it may differ between two scans of one patient.
OF_SCANS = frozenset(
    {"body_part", "contrast", "field_strength", "institution", "kernel", "kvp", "manufacturer", "scanner", "site"}
    | {"station", "tilt"}
)
_NUMBER = {"value": ClinicalColumn(kind="number")}


@dataclass(frozen=True)
class Joined:
    """A joined cohort and how it came about.

    roles: patients who have a scan of the role. complete: patients who have every role. several: patients with more
    than one scan of a role. twice: scans that stood in two cases and were kept once. unsplit: patients without a split
    where others have one. of_scans: attributes that differ between the scans of a patient and went to the scans.
    """

    cohort: Cohort
    roles: Mapping[str, int]
    complete: int
    several: int
    twice: int
    unsplit: int
    of_scans: tuple[str, ...]


def join(cohorts: Sequence[Cohort], of_scans: Iterable[str] = ()) -> Joined:
    """One case per patient, whose key is the patient's: the scans of every cohort by role, in the order given.

    Several scans of a role are named `role`, `role.2`, `role.3`; a role that a patient lacks is left out. of_scans:
    attributes, beside `OF_SCANS`, that each scan may have for itself: where they differ they go to the scans, and to
    the case as `<attribute>_<role>` where the role has but one value. The root is the folder above all roots.
    Raises CohortError for cohorts without patient ids and for a patient whose labels or other attributes differ, and
    SplitError for a patient in two splits.
    """
    if not cohorts or not any(cohort.cases for cohort in cohorts):
        raise CohortError("There are no cases to join; give at least one table with cases.")
    if not all(cohort.patient_ids for cohort in cohorts):
        raise CohortError("A table names no patients, so nobody knows what to join; index it with --patient-pattern.")
    root = _common([cohort.root for cohort in cohorts])
    members: dict[str, list[Case]] = defaultdict(list)
    for cohort in cohorts:
        below = PurePosixPath(Path(cohort.root).resolve().relative_to(root).as_posix())
        for case in cohort.cases:
            members[case.patient].append(_moved(case, below))
    free = OF_SCANS | set(of_scans)
    differing: Counter[str] = Counter()
    made = tuple(_patient(patient, cases, free, differing) for patient, cases in members.items())
    split = any(case.split for case in made)
    roles: Counter[str] = Counter(role for case in made for role in _roles(case))
    given, kept = (sum(len(c.scans) for c in cases) for cases in ([c for m in members.values() for c in m], made))
    return Joined(
        Cohort(made, str(root), "patient" if split else "", True),
        dict(roles),
        sum(len(_roles(case)) == len(roles) for case in made),
        sum(len(case.scans) > len(_roles(case)) for case in made),
        given - kept,
        sum(not case.split for case in made) if split else 0,
        tuple(sorted(differing)),
    )


def with_role(cohort: Cohort, role: str) -> Cohort:
    """The same cohort with its one role under another name. Raises CohortError where it has several roles."""
    found = sorted({name for case in cohort.cases for name in _roles(case)})
    if len(found) > 1:
        raise CohortError(
            f"The table holds the roles {', '.join(found)}; only a table of one role can be given another."
        )
    made = [replace(c, scans={role + _tail(name): scan for name, scan in c.scans.items()}) for c in cohort.cases]
    return replace(cohort, cases=tuple(made))


def _common(roots: Sequence[str]) -> Path:
    try:
        return Path(os.path.commonpath([Path(root).resolve() for root in roots]))
    except ValueError as error:  # two drives
        raise CohortError("The tables' folders have no folder in common; bring the scans below one folder.") from error


def _moved(case: Case, below: PurePosixPath) -> Case:
    """The case with its paths below another root."""
    scans = {
        name: replace(
            scan,
            paths=tuple((below / path).as_posix() for path in scan.paths),
            mask=(below / scan.mask).as_posix() if scan.mask else "",
        )
        for name, scan in case.scans.items()
    }
    return replace(case, scans=scans)


def _patient(patient: str, cases: Sequence[Case], free: frozenset[str], differing: Counter[str]) -> Case:
    """One case out of all cases of a patient."""
    told = _differences(patient, cases, free)
    differing.update(told)
    scans: dict[str, list[Scan]] = defaultdict(list)
    by_role: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        own = {name: case.attributes[name] for name in told if name in case.attributes}
        for role in _roles(case):
            for name, value in own.items():
                by_role[name, role].add(value)
            for scan in case.scans_of(role):
                if all(set(scan.paths) != set(had.paths) for had in scans[role]):
                    scans[role].append(replace(scan, attributes={**own, **scan.attributes}) if own else scan)
    attributes: dict[str, str] = {}
    for case in cases:
        for name, value in case.attributes.items():
            if name not in told:
                attributes.setdefault(name, value)
    attributes |= {f"{name}_{role}": next(iter(v)) for (name, role), v in sorted(by_role.items()) if len(v) == 1}
    return Case(
        key=patient,
        patient=patient,
        scans={_numbered(role, k): scan for role, found in scans.items() for k, scan in enumerate(found, start=1)},
        labels=_labels(patient, cases),
        attributes=attributes,
        split=_split(patient, cases),
    )


def _labels(patient: str, cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    """The labels of all cases; a target that one of them lacks is taken from another."""
    labels: dict[str, tuple[str, ...]] = {}
    for case in cases:
        for target, names in case.labels.items():
            had = labels.setdefault(target, names)
            if set(had) != set(names):
                first, second = (";".join(n) or "none" for n in (had, names))
                raise CohortError(
                    f"Patient '{patient}' is labelled '{first}' and '{second}' for {target}; correct one of the tables."
                )
    return labels


def _differences(patient: str, cases: Sequence[Case], free: frozenset[str]) -> list[str]:
    """The attributes in which the cases of a patient differ; CohortError for one that may not."""
    first: dict[str, str] = {}
    told: list[str] = []
    for case in cases:
        for name, value in case.attributes.items():
            had = first.setdefault(name, value)
            if same(had, value) or name in told:
                continue
            if name not in free:
                raise CohortError(
                    f"Patient '{patient}' has '{had[:40]}' and '{value[:40]}' as {name}; correct one of the tables, or "
                    f"give --of-scan {name} where each scan has a value of its own."
                )
            told.append(name)
    return told


def same(first: str, second: str) -> bool:
    """Whether two cells say the same: equal text, or equal numbers (DICOM's `063Y` is the age 63)."""
    if first.strip() == second.strip():
        return True
    a, b = (clinical({"value": text}, _NUMBER)[0] for text in (first, second))
    return a == b


def _split(patient: str, cases: Sequence[Case]) -> Split:
    """The split of a patient; a case without one has no say."""
    found = sorted({case.split for case in cases if case.split})
    if len(found) > 1:
        raise SplitError(
            f"Patient '{patient}' stands in the splits {' and '.join(found)}; join first and split the joined table."
        )
    return found[0] if found else ""


def _roles(case: Case) -> list[str]:
    """The roles of a case, each once."""
    return list(dict.fromkeys(name.partition(".")[0] for name in case.scans))


def _tail(name: str) -> str:
    return name[len(name.partition(".")[0]) :]


def _numbered(role: str, number: int) -> str:
    return role if number == 1 else f"{role}.{number}"
