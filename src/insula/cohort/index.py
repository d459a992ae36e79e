"""From a folder to a cohort: which file belongs to which patient, which class and which scan."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from insula.cohort import labels
from insula.cohort.found import Aside, Found, survey
from insula.cohort.grouping import Member, cases
from insula.cohort.labels import Row
from insula.core.errors import CohortError, UnsuitableScanError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Split

_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_VOLUMES = frozenset({"nifti"})


@dataclass(frozen=True)
class Indexed:
    """A cohort and what was left out of it, each file with its reason; rows: table rows for which no scan was found."""

    cohort: Cohort
    aside: tuple[Aside, ...]
    rows_without_scan: int


def index(folder: Path, recipe: Recipe, patient_pattern: str | None = None) -> Cohort:
    """The cohort of a folder: `survey_cohort` without the list of what was left out."""
    return survey_cohort(folder, recipe, patient_pattern).cohort


def survey_cohort(folder: Path, recipe: Recipe, patient_pattern: str | None = None) -> Indexed:
    """Index a folder laid out as CLASS/patient/files, CLASS/file, the same below train, val and test, or as files
    anywhere beside a `labels.csv`; only headers are read.

    patient_pattern: a regular expression, searched in each relative path, whose first group is the patient id.
    Raises CohortError for a folder that makes no cohort (no scans, unknown classes, a patient under two classes) and
    UnsuitableScanError when the scans are of another modality or format than the recipe takes.
    """
    root = Path(folder).resolve()
    found, aside = survey(root)
    taken = _suitable(found, aside, recipe)
    pattern = _pattern(patient_pattern)
    rows_without = 0
    if (root / labels.NAME).is_file():
        rows = labels.read(root, recipe.target)
        members, rows_without = _by_table(taken, aside, rows, pattern)
    else:
        members = _by_folders(root, taken, aside, recipe, pattern)
    if not members:
        first = f" (the first: {aside[0].path}: {aside[0].reason})" if aside else ""
        raise CohortError(f"None of the {len(found) + len(aside)} files in '{root.name}' makes a case{first}.")
    if recipe.target.kind == "multiclass":
        _one_class_each(members)
    made = cases(members, aside, recipe)
    known = all(m.patient is not None for m in members)
    return Indexed(_cohort(made, root, known), tuple(aside), rows_without)


def _suitable(found: list[Found], aside: list[Aside], recipe: Recipe) -> list[Found]:
    wanted = recipe.input.modality
    taken: list[Found] = []
    kinds: Counter[str] = Counter()
    for item in found:
        stranger = ""
        if item.header is not None and wanted != "OT" and item.header.modality != wanted:
            stranger = f"modality {item.header.modality or 'not given'}"
        elif wanted == "SM" and item.kind in _VOLUMES:
            stranger = "NIfTI volume"
        if stranger:
            kinds[stranger] += 1
            aside.append(Aside(item.path, f"{stranger}; the recipe takes {wanted}"))
        else:
            taken.append(item)
    if not taken and kinds:
        listed = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common(4))
        raise UnsuitableScanError(
            f"Recipe '{recipe.name}' takes {wanted} and the folder holds none of it ({listed}); choose another recipe "
            "or folder."
        )
    return taken


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise CohortError(f"Patient pattern '{text}' is no regular expression ({error}); correct it.") from error
    if pattern.groups < 1:
        raise CohortError(f"Patient pattern '{text}' has no group; put the patient id in brackets, as in '(p[0-9]+)_'.")
    return pattern


def _by_pattern(path: str, pattern: re.Pattern[str]) -> str | None:
    match = pattern.search(path)
    return next((g for g in match.groups() if g), None) if match else None


def _by_folders(
    root: Path, found: list[Found], aside: list[Aside], recipe: Recipe, pattern: re.Pattern[str] | None
) -> list[Member]:
    tops = {item.path.split("/")[0] for item in found if "/" in item.path}
    split_first = bool(tops) and all(t.lower() in _SPLITS for t in tops)
    members: list[Member] = []
    unknown: set[str] = set()
    for item in found:
        parts = item.path.split("/")
        split: Split = _SPLITS[parts[0].lower()] if split_first and len(parts) > 1 else ""
        parts = parts[1:] if split else parts
        if len(parts) < 2:
            aside.append(Aside(item.path, "it lies in no class folder"))
            continue
        meaning = labels.named(parts[0], recipe.target)
        if meaning is None:
            unknown.add(parts[0])
            continue
        if pattern is not None:
            patient = _by_pattern(item.path, pattern)
            if patient is None:
                aside.append(Aside(item.path, "the patient pattern does not match its path"))
                continue
        elif len(parts) > 2:
            patient = parts[1]
        else:
            patient = item.header.attributes.get("patient_id") if item.header is not None else None
        members.append(Member(item, patient, meaning, split))
    if unknown:
        raise CohortError(
            f"'{root.name}' has the class folders {', '.join(sorted(unknown)[:6])}, which recipe '{recipe.name}' does "
            f"not know (its classes: {', '.join(recipe.target.classes)}); rename the folders, set the classes "
            f"(--set targets.{recipe.target_name}.classes=[...]), or add a {labels.NAME}."
        )
    loose = {m.patient is None for m in members}
    if len(loose) > 1:
        raise CohortError(
            f"Folder '{root.name}' mixes files of known and of unknown patients; put each patient's files into "
            "a folder of its own or give --patient-pattern."
        )
    return members


def _by_table(
    found: list[Found], aside: list[Aside], rows: list[Row], pattern: re.Pattern[str] | None
) -> tuple[list[Member], int]:
    by_scan = {row.scan: row for row in rows if row.scan}
    by_patient: dict[str, Row] = {}
    for row in rows:
        if not row.scan:
            by_patient.setdefault(row.patient, row)
    masks = {row.mask for row in rows if row.mask}
    members: list[Member] = []
    used: set[int] = set()
    for item in found:
        if item.path in masks:
            continue
        row_of = _row_by_path(item.path, by_scan) or _row_by_patient(item, by_patient, pattern)
        if row_of is None:
            aside.append(Aside(item.path, f"no row of {labels.NAME} is about it"))
            continue
        used.add(row_of.number)
        members.append(Member(item, row_of.patient, row_of.labels, "", row_of.mask, row_of.attributes, row_of.number))
    return members, sum(row.number not in used and row.patient not in {m.patient for m in members} for row in rows)


def _row_by_path(path: str, rows: Mapping[str, Row]) -> Row | None:
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        row = rows.get("/".join(parts[:length]))
        if row is not None:
            return row
    return rows.get(".")


def _row_by_patient(item: Found, rows: Mapping[str, Row], pattern: re.Pattern[str] | None) -> Row | None:
    """By the pattern, the DICOM PatientID, or a folder or file that bears the patient's id as its name."""
    if pattern is not None:
        return rows.get(_by_pattern(item.path, pattern) or "")
    if item.header is not None and (row := rows.get(item.header.attributes.get("patient_id", ""))):
        return row
    *folders, name = item.path.split("/")
    for part in (name, name.removesuffix(".gz").rsplit(".", 1)[0], *reversed(folders)):
        if row := rows.get(part):
            return row
    return None


def _one_class_each(members: list[Member]) -> None:
    classes: dict[str, set[str]] = defaultdict(set)
    for member in members:
        if member.patient is not None and member.labels:
            classes[member.patient].update(member.labels)
    torn = {patient: found for patient, found in classes.items() if len(found) > 1}
    if torn:
        example, found = next(iter(torn.items()))
        raise CohortError(
            f"{len(torn)} patient(s) stand under two classes, the first is '{example}' ({', '.join(sorted(found))}); "
            "correct the folders, or the patient pattern if two patients share an id."
        )


def _cohort(made: list[Case], root: Path, known: bool) -> Cohort:
    if not any(case.split for case in made):
        return Cohort(tuple(made), str(root), "", known)
    splits: dict[str, set[str]] = defaultdict(set)
    for case in made:
        splits[case.patient].add(case.split)
    by_patient = known and all(len(found) == 1 for found in splits.values())
    return replace(
        Cohort(tuple(made), str(root)), split_level="patient" if by_patient else "picture", patient_ids=known
    )
