"""From a folder to a cohort: which file belongs to which patient, which class and which scan."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from insula.cohort.found import Aside, Found, survey
from insula.cohort.grouping import Member, cases
from insula.cohort.layouts import choose
from insula.cohort.layouts.request import Request
from insula.core.errors import CohortError, UnsuitableScanError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort

_VOLUMES = frozenset({"nifti"})


@dataclass(frozen=True)
class Indexed:
    """A cohort and what was left out of it, each file with its reason; rows: table rows for which no scan was found.

    layout: how the folder was understood; why: what that was told by.
    """

    cohort: Cohort
    aside: tuple[Aside, ...]
    rows_without_scan: int
    layout: str
    why: str


@dataclass(frozen=True)
class Hints:
    """What the user says of a folder beyond what it shows.

    patient_pattern: a regular expression, searched in each relative path, whose first group is the patient id.
    layout: one of `layouts.choose.LAYOUTS`, or `auto`. labels: a table of labels anywhere. column: its column of
    labels. suffix: of NIfTI files, take those whose name ends with it (`T1w`, `flair`).
    """

    patient_pattern: str | None = None
    layout: str = choose.AUTO
    labels: Path | None = None
    column: str | None = None
    suffix: str | None = None


def index(folder: Path, recipe: Recipe, patient_pattern: str | None = None) -> Cohort:
    """The cohort of a folder: `survey_cohort` without the list of what was left out."""
    return survey_cohort(folder, recipe, Hints(patient_pattern)).cohort


def survey_cohort(folder: Path, recipe: Recipe, hints: Hints | None = None) -> Indexed:
    """Index a folder; only headers are read. Its layout is recognised, or forced by the hints:

    `folders`: CLASS/patient/files or CLASS/file, also below train, val and test folders; `table`: files anywhere beside
    a `labels.csv`; `rsna`: the table of the RSNA 2019 challenge; `dicom`: patients from the headers; `bids`.
    Raises CohortError for a folder that makes no cohort (no scans, unknown classes, a patient under two classes) and
    UnsuitableScanError when the scans are of another modality or format than the recipe takes.
    """
    said = hints or Hints()
    root = Path(folder).resolve()
    found, aside = survey(root)
    pattern = _pattern(said.patient_pattern)
    taken = _suitable(found, aside, recipe)
    if not taken:
        raise _nothing(root, len(found), aside)
    table = choose.table_of(root, said.labels)
    request = Request(root, recipe, taken, aside, table, pattern, said.column, said.suffix)
    laid, layout, why = choose.lay(request, said.layout)
    members, others = _of_role(laid.members, recipe.role, aside)
    if not members:
        raise _nothing(root, len(found), aside)
    if recipe.target.kind == "multiclass":
        _one_class_each(members)
    made = cases(members, aside, recipe)
    known = all(m.patient is not None for m in members)
    return Indexed(_cohort(made, root, known), tuple(aside), laid.rows_without_scan + others, layout, why)


def _of_role(members: list[Member], role: str, aside: list[Aside]) -> tuple[list[Member], int]:
    """The files that a table's column `role` gives to this role, and how many rows of patients without any are left.

    A table that never names the role in such a column means something else by it: then all files stay.
    """
    told = [(m.attributes or {}).get("role", role) for m in members]
    if not any((m.attributes or {}).get("role") == role for m in members):
        return members, 0
    kept = [m for m, own in zip(members, told, strict=True) if own == role]
    apart = [(m, own) for m, own in zip(members, told, strict=True) if own != role]
    aside += [Aside(m.item.path, f"its row in the table is of the role {own}; indexed is {role}") for m, own in apart]
    patients = {m.patient for m in kept}
    plain = [replace(m, attributes={k: v for k, v in (m.attributes or {}).items() if k != "role"}) for m in kept]
    return plain, len({m.row for m, _ in apart if m.patient not in patients})


def _nothing(root: Path, found: int, aside: list[Aside]) -> CohortError:
    kinds = Counter(without_name(item).rstrip(".") for item in aside).most_common(3)
    reasons = "; ".join(f"{count} {reason}" for reason, count in kinds if count > 1)
    first = f" (the first: {aside[0].path}: {aside[0].reason})" if aside and not reasons else ""
    said = f": {reasons}" if reasons else first.replace(".)", ")")
    return CohortError(f"None of the {max(found, len(aside))} files in '{root.name}' makes a case{said}.")


def without_name(item: Aside) -> str:
    """The reason of a file without its name, so that like ones can be counted together."""
    name = item.path.rpartition("/")[2]
    return item.reason.replace(f"'{name}'", "a file")


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
