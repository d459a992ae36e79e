"""Reviewed cases as a cohort that `insula split`, `train` and `evaluate` read: readers' labels and the stored scans."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select, true

from insula.cohort import labels
from insula.cohort import table as tables
from insula.cohort.found import Aside
from insula.cohort.gaps import asked
from insula.cohort.index import Hints, survey_cohort
from insula.cohort.join import join
from insula.core.errors import CohortError, UnsuitableScanError
from insula.core.recipe import Recipe
from insula.core.recipe_target import Target
from insula.core.types import Cohort
from insula.serve.store import reviews, schema
from insula.serve.store.files import Files
from insula.serve.store.paging import Visible, seen
from insula.serve.store.studies import SORTED, StudyFile, files_of

NAME: Final = "cohort"
Room = Callable[[int], None]


@dataclass(frozen=True)
class Reviewed:
    """One study with the label that its readers agree on."""

    study_id: str
    patient_id: str
    label: str


@dataclass(frozen=True)
class LeftOut:
    """One study, or one of its files, that is no part of the cohort, and why."""

    study_id: str
    reason: str


@dataclass(frozen=True)
class Exported:
    """The table that was written, the number of its cases, and what was left out of it.

    withheld: studies that others answered and the one who asks has not yet; nothing else is said of them.
    """

    table: Path
    cases: int
    left_out: tuple[LeftOut, ...]
    withheld: int = 0


def reviewed(
    connection: Connection, target: str, visible: Visible, reader_id: str | None = None
) -> tuple[list[Reviewed], list[LeftOut], int]:
    """The studies of which readers gave one label, oldest first, those that they answered otherwise, and the number of
    those that are withheld: of which the reader `reader_id` must not know yet what others said (`reviews.open_to`).

    Of each reader the latest valid answer counts: the label of an override, or the prediction's where he agreed. A
    study is left out where readers' labels differ, where none could tell, and where what was agreed with is a
    rejection, which has no label.
    """
    said: dict[str, dict[str, Any]] = defaultdict(dict)
    patients: dict[str, str] = {}
    withheld: set[str] = set()
    for row in connection.execute(_answers(target, visible, reader_id)):
        if not row.told:
            withheld.add(row.study_id)
            continue
        said[row.study_id][row.reviewer_id or row.id] = row.label
        patients[row.study_id] = row.patient_id
    found, left = [], []
    for study, answers in said.items():
        given = {label for label in answers.values() if label}
        if len(given) == 1:
            found.append(Reviewed(study, patients[study], given.pop()))
        elif given:
            left.append(LeftOut(study, f"its readers differ ({', '.join(sorted(given))}); let them agree"))
        else:
            left.append(LeftOut(study, "no reader gave it a label"))
    return found, left, len(withheld)


def export(
    connection: Connection,
    files: Files,
    folder: Path,
    recipe: Recipe,
    visible: Visible,
    reader_id: str | None = None,
    room: Room = lambda size: None,
) -> Exported:
    """Lay the reviewed studies out in a new or empty folder and write the cohort's table with its schema and notes.

    Below a folder per role lies one per study, named by its id; patients are named by their ids too, not by their keys.
    A recipe of several roles takes the studies that have any of them. reader_id: of one who reads himself, for whom the
    studies are withheld that others answered and he has not yet; the notes say how many. room: told the bytes of all
    scans before the first is laid out; it may raise. Raises CohortError where the folder holds something or no case is
    left, MissingFileError and ChangedFileError as `Files.fetch`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise CohortError(f"'{folder.name}' is not empty; give a new folder for the cohort.")
    found, left, withheld = reviewed(connection, recipe.target_name, visible, reader_id)
    found, unknown = _understood(found, recipe.target)
    left += unknown
    rows: dict[str, list[Reviewed]] = {role: [] for role in recipe.inputs}
    wanted: list[tuple[Path, list[StudyFile]]] = []
    for one in found:
        stored = files_of(connection, one.study_id)
        by_role = {role: [f for f in stored if f.role.partition(".")[0] in (role, SORTED)] for role in recipe.inputs}
        if not any(by_role.values()):
            left.append(LeftOut(one.study_id, f"it has no file of the role {' or '.join(recipe.inputs)}"))
        for role, of_role in by_role.items():
            if of_role:
                wanted.append((folder / role / one.study_id, of_role))
                rows[role].append(one)
    given = {role: some for role, some in rows.items() if some}
    if not given:
        why = f" ({left[0].reason})" if left else ""
        why += f"; {_said_of(withheld)}" if withheld else ""
        raise CohortError(f"None of the reviewed studies makes a case{why}; review studies of this question first.")
    room(sum(file.size for _, some in wanted for file in some))
    for place, some in wanted:
        _lay(files, some, place)
    cohort, aside = _indexed(folder, recipe, given)
    table = folder / tables.name_here(NAME)
    tables.save(cohort, table)
    made_of = "made of the readers' labels" + (f"; {_said_of(withheld)}" if withheld else "")
    tables.save_notes(table, "reviews", made_of, aside, asked(recipe))
    below = 0 if len(given) == 1 else 1  # of a path, the part that is the study's id
    left += [LeftOut(item.path.split("/")[below], item.reason) for item in aside]
    return Exported(table, len(cohort.cases), tuple(left), withheld)


def _said_of(withheld: int) -> str:
    studies = "1 study that others answered is" if withheld == 1 else f"{withheld} studies that others answered are"
    return f"{studies} withheld until the one who asks has answered too"


def _indexed(folder: Path, recipe: Recipe, rows: Mapping[str, Sequence[Reviewed]]) -> tuple[Cohort, list[Aside]]:
    """The cohort of the folders of all roles, as `insula index` and `insula join` make it, and what it leaves out."""
    made: list[Cohort] = []
    aside: list[Aside] = []
    for role, some in rows.items():
        _write_labels(folder / role / labels.NAME, some)
        try:
            indexed = survey_cohort(folder / role, recipe.only(role), Hints(layout="table"))
        except UnsuitableScanError as error:
            raise CohortError(f"The reviewed scans do not suit the recipe: {error}") from error
        made.append(indexed.cohort)
        place = "" if len(rows) == 1 else f"{role}/"
        aside += [Aside(f"{place}{item.path}", item.reason) for item in indexed.aside]
    return made[0] if len(made) == 1 else join(made).cohort, aside


def _answers(target: str, visible: Visible, reader_id: str | None) -> Any:
    said, studies = schema.reviews, schema.studies
    told = true() if reader_id is None else reviews.open_to(said, reader_id)
    columns = [said.c.id, said.c.study_id, said.c.reviewer_id, said.c.label, studies.c.patient_id, told.label("told")]
    joined = said.join(studies, said.c.study_id == studies.c.id)
    where = (said.c.target == target, said.c.replaced_by.is_(None), *seen(visible, studies))
    return select(*columns).select_from(joined).where(*where).order_by(said.c.seq)


def _understood(found: Sequence[Reviewed], target: Target) -> tuple[list[Reviewed], list[LeftOut]]:
    """Those with labels of the recipe, and of exclusive classes one a patient."""
    kept, left = [], []
    for one in found:
        label = _meant(one.label, target)
        if label is None:
            left.append(LeftOut(one.study_id, f"its label '{one.label[:40]}' is none of the recipe's"))
        else:
            kept.append(Reviewed(one.study_id, one.patient_id, label))
    classes: dict[str, set[str]] = defaultdict(set)
    for one in kept:
        classes[one.patient_id].add(one.label)
    torn = {patient for patient, given in classes.items() if target.exclusive and len(given) > 1}
    left += [LeftOut(one.study_id, "its patient has studies of two classes") for one in kept if one.patient_id in torn]
    return [one for one in kept if one.patient_id not in torn], left


def _meant(text: str, target: Target) -> str | None:
    """A reader's label as a table of labels writes it: 'no any' of labels that stand together is `none`."""
    if target.kind == "multilabel" and text == f"no {target.positive}":
        return "none" if target.any_of_the_others else None
    parts = [part.strip() for part in (text.split(";") if target.kind == "multilabel" else [text])]
    if any(labels.named(part, target) is None for part in parts):
        return None
    return ";".join(parts)


def _lay(files: Files, wanted: Sequence[StudyFile], place: Path) -> None:
    for role, of_role in _by_role(wanted):
        (place / role).mkdir(parents=True)
        for number, file in enumerate(of_role, start=1):
            files.fetch(file.sha256, place / role / f"{number:05d}")


def _by_role(wanted: Sequence[StudyFile]) -> Iterator[tuple[str, list[StudyFile]]]:
    groups: dict[str, list[StudyFile]] = defaultdict(list)
    for file in wanted:
        groups[file.role].append(file)
    yield from groups.items()


def _write_labels(path: Path, rows: Sequence[Reviewed]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "scan", "label"])
        writer.writerows([row.patient_id, row.study_id, row.label] for row in rows)
