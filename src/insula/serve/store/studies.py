"""Studies: the scans of one patient that are looked at together, with their files by role."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update

from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.errors import MissingFileError
from insula.serve.store.files import Files, Stored
from insula.serve.store.in_use import hold_files
from insula.serve.store.paging import Page, Visible, checked_limit, newest_first, paged, seen
from insula.serve.store.patients import not_found, plain

SORTED: Final = "scan"  # the role of files that are told apart by their headers when they are used
PERSONAL: Final = ("persons", "families", "born")  # facts of a role: digests of whom its headers name (`one_patient`)
_ROLE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[1-9][0-9]{0,3})?")
LONGEST_TITLE, LONGEST_NOTE, LONGEST_FILE_NAME = 200, 20_000, 120


@dataclass(frozen=True)
class Study:
    """One study with its patient's key. version: grows with each change, and is the study's ETag."""

    id: str
    project_id: str
    patient_id: str
    patient_key: str
    patient_name: str
    created_at: datetime
    created_by: str | None
    title: str
    note: str
    attributes: Mapping[str, Any]
    facts: Mapping[str, Any]
    version: int


@dataclass(frozen=True)
class StudyFile:
    """One file of a study. role: the recipe's input (`ct`, `mri`, `slide`); further scans of one are `role.2` …

    name: the last part of the sender's file name, to be shown and never used as a path. created_at: since when the file
    is one of this study.
    """

    id: str
    role: str
    name: str
    sha256: str
    size: int
    created_at: datetime


def create(
    connection: Connection,
    patient_id: str,
    created_by: str | None,
    title: str = "",
    note: str = "",
    attributes: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """A new study of a patient, in the patient's project; its id. Raises RequestError 404 without such a patient."""
    patients = schema.patients.c
    project = connection.execute(select(patients.project_id).where(patients.id == patient_id)).scalar_one_or_none()
    if project is None:
        raise not_found("patient")
    values = {
        "id": schema.new_id(),
        "project_id": project,
        "patient_id": patient_id,
        "created_by": created_by,
        "title": _title(title),
        "note": _note(note),
        "attributes": dict(attributes or {}),
        "facts": dict(facts or {}),
    }
    connection.execute(insert(schema.studies).values(values))
    return str(values["id"])


def add_files(
    connection: Connection, files: Files, study_id: str, role: str, named: Sequence[tuple[str, Stored]]
) -> list[str]:
    """Name stored files (shown name, what `Files.put` gave) as those of one role, in their order; their ids.

    Raises RequestError 422 for a role that is none, MissingFileError for a file that was swept since: put it again.
    """
    if not _ROLE.fullmatch(role):
        raise RequestError(
            422, "bad_role", f"'{role[:40]}' is no role; give small letters, digits and underscores, as ct, mri, slide."
        )
    hold_files(connection, alone=False)
    rows = []
    for name, stored in named:
        if not files.has(stored.sha256):
            raise MissingFileError(f"The file {stored.sha256[:12]}… was removed before it was named; send it again.")
        shown = "".join(c for c in name if c.isprintable())[-LONGEST_FILE_NAME:]
        one = {"id": schema.new_id(), "study_id": study_id, "role": role, "name": shown}
        rows.append({**one, "sha256": stored.sha256, "size": stored.size})
    if rows:
        connection.execute(insert(schema.files), rows)
    return [str(row["id"]) for row in rows]


def files_of(connection: Connection, study_id: str) -> list[StudyFile]:
    """The files of a study, in the order in which they were added."""
    found = schema.files.c
    wanted = select(*(found[name] for name in StudyFile.__dataclass_fields__)).where(found.study_id == study_id)
    return [StudyFile(*row) for row in connection.execute(wanted.order_by(found.seq))]


def get(connection: Connection, study_id: str, visible: Visible) -> Study:
    """One study. Raises RequestError 404 where there is none that may be seen."""
    wanted = _rows().where(schema.studies.c.id == study_id, *seen(visible, schema.studies))
    row = connection.execute(wanted).first()
    if row is None:
        raise not_found("study")
    return _study(row)


def several(connection: Connection, study_ids: Collection[str], visible: Visible) -> dict[str, Study]:
    """Those of some studies that may be seen, by their ids."""
    wanted = _rows().where(schema.studies.c.id.in_(study_ids), *seen(visible, schema.studies))
    return {row.id: _study(row) for row in connection.execute(wanted)}


def page(
    connection: Connection,
    visible: Visible,
    before: int | None = None,
    limit: int = 50,
    patient_id: str | None = None,
    created_by: str | None = None,
) -> Page[Study]:
    """Studies that may be seen, newest first. Raises RequestError for a wrong limit."""
    wanted = checked_limit(limit) + 1
    studies = schema.studies.c
    filters: list[ColumnElement[bool]] = []
    if patient_id is not None:
        filters.append(studies.patient_id == patient_id)
    if created_by is not None:
        filters.append(studies.created_by == created_by)
    rows = newest_first(connection, lambda w: _rows().where(*w, *filters), schema.studies, visible, before, wanted)
    return paged([_study(row) for row in rows], [row.seq for row in rows], limit)


def update_text(
    connection: Connection, study_id: str, version: int, title: str | None = None, note: str | None = None
) -> int:
    """Change title or note of the version that the caller saw; the new version.

    Raises RequestError 412 where the study was changed since, 404 without such a study.
    """
    values: dict[str, Any] = {} if title is None else {"title": _title(title)}
    if note is not None:
        values["note"] = _note(note)
    studies = schema.studies.c
    these = update(schema.studies).where(studies.id == study_id, studies.version == version)
    if connection.execute(these.values(version=version + 1, **values)).rowcount == 1:
        return version + 1
    now = connection.execute(select(studies.version).where(studies.id == study_id)).scalar_one_or_none()
    if now is None:
        raise not_found("study")
    raise RequestError(412, "changed", f"The study was changed since (version {now}, not {version}); load it again.")


def join(connection: Connection, study_ids: Sequence[str]) -> str:
    """Make one study of several of one patient: the first, with the files, predictions and reviews of all; its id.

    The files of a role that the first has already become `role.2`, `role.3` and so on. The other studies go; so do the
    permissions to open them that break-glass gave. Raises RequestError 404 for a study that is not there, 422 for fewer
    than two or for studies of several patients.
    """
    ids = list(dict.fromkeys(study_ids))
    studies = schema.studies.c
    wanted = select(studies.id, studies.patient_id, studies.facts).where(studies.id.in_(ids)).with_for_update()
    rows = connection.execute(wanted).all()
    if len(rows) != len(ids):
        raise not_found("study")
    if len(ids) < 2 or len({row.patient_id for row in rows}) != 1:
        raise RequestError(
            422, "not_one_patient", f"{len(ids)} studies were named; name two or more, all of one patient."
        )
    first, *others = ids
    known = {row.id: row.facts for row in rows}
    facts = dict(known[first])
    taken = set(_roles(connection, first))
    for other in others:
        for role in _roles(connection, other):
            free = _free(role, taken)
            taken.add(free)
            these = update(schema.files).where(schema.files.c.study_id == other, schema.files.c.role == role)
            connection.execute(these.values(role=free, study_id=first, created_at=schema.now()))
            if role in known[other]:
                facts[free] = known[other][role]
        for table in (schema.predictions, schema.reviews, schema.jobs, schema.pacs_studies):
            connection.execute(update(table).where(table.c.study_id == other).values(study_id=first))
        connection.execute(delete(schema.studies).where(studies.id == other))
    one = update(schema.studies).where(studies.id == first)
    connection.execute(one.values(facts=facts, version=studies.version + 1))
    return first


def remove(connection: Connection, study_id: str) -> None:
    """Delete a study with all that hangs on it; stored files that no record names any more are left to `sweep`."""
    connection.execute(delete(schema.studies).where(schema.studies.c.id == study_id))


def _roles(connection: Connection, study_id: str) -> list[str]:
    found = schema.files.c
    rows = select(found.role).where(found.study_id == study_id).group_by(found.role).order_by(func.min(found.seq))
    return list(connection.scalars(rows))


def _free(role: str, taken: set[str]) -> str:
    kind, number = role.partition(".")[0], 2
    if role not in taken and (role == kind or kind in taken):
        return role
    if kind not in taken:
        return kind
    while f"{kind}.{number}" in taken:
        number += 1
    return f"{kind}.{number}"


def _rows() -> Select[Any]:
    studies, patients = schema.studies, schema.patients
    named = [patients.c.key.label("patient_key"), patients.c.name.label("patient_name")]
    return select(studies, *named).join(patients, studies.c.patient_id == patients.c.id)


def _study(row: Any) -> Study:
    return Study(**{name: getattr(row, name) for name in Study.__dataclass_fields__})


def _title(text: str) -> str:
    return plain(text, "title", LONGEST_TITLE) if text.strip() else ""


def _note(text: str) -> str:
    if len(text) > LONGEST_NOTE or "\0" in text:
        raise RequestError(422, "bad_text", f"The note has {len(text)} characters; write at most {LONGEST_NOTE}.")
    return text


def add_facts(connection: Connection, study_id: str, facts: Mapping[str, Any]) -> Mapping[str, str]:
    """Keep what is known of further files, beside what is known; a new version. RequestError 404 without the study.

    The answer names for each of their roles the one to keep the files under. Where a role has files already and both
    are DICOM, that is the same one; both facts are kept, without their number (`files`): series are counted anew.
    Other scans cannot be told apart within a role; the further one gets the next free role, as in `join`.
    """
    studies = schema.studies.c
    row = connection.execute(select(studies.facts).where(studies.id == study_id).with_for_update()).one_or_none()
    if row is None:
        raise not_found("study")
    kept = dict(row.facts)
    roles: dict[str, str] = {}
    there = set(_roles(connection, study_id))
    taken = set(there)
    for role, new in facts.items():
        if role in there and _are_series(kept.get(role, {}), new):
            roles[role], kept[role] = role, _both(kept[role], new)
        else:
            roles[role] = _free(role, taken) if role in taken else role
            kept[roles[role]] = new
        taken.add(roles[role])
    these = update(schema.studies).where(studies.id == study_id)
    connection.execute(these.values(facts=kept, version=studies.version + 1))
    return roles


def set_facts(connection: Connection, study_id: str, facts: Mapping[str, Any]) -> None:
    """Replace what is known of the files of some roles; a new version. Raises RequestError 404 without the study."""
    studies = schema.studies.c
    kept = connection.execute(
        select(studies.facts).where(studies.id == study_id).with_for_update()
    ).scalar_one_or_none()
    if kept is None:
        raise not_found("study")
    these = update(schema.studies).where(studies.id == study_id)
    connection.execute(these.values(facts={**kept, **facts}, version=studies.version + 1))


def _are_series(*several: Mapping[str, Any]) -> bool:
    return all(one.get("kinds") == ["dicom"] for one in several)


def _both(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    kinds = sorted({*before.get("kinds", ()), *new.get("kinds", ())})
    lists = ("scans", "aside", *PERSONAL)
    return {"kinds": kinds} | {name: [*before.get(name, ()), *new.get(name, ())] for name in lists}
