"""How long a project's files and predictions are kept. The trail is kept in any case."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, delete, exists, func, null, select, update

from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.files import Files
from insula.serve.store.in_use import hold_files, in_use
from insula.serve.store.patients import not_found

MOST_DAYS: Final = 36_525
_BATCH: Final = 500
_COUNTED: Final = {  # table → what its rows are counted as
    "files": "files",
    "artefacts": "artefacts",
    "pacs_objects": "artefacts",
    "predictions": "predictions",
}


@dataclass(frozen=True)
class Rules:
    """Days after which they go, None to keep them: files (of studies, and made of predictions), and predictions."""

    files_days: int | None = None
    predictions_days: int | None = None


@dataclass(frozen=True)
class Gone:
    """Rows that go or went: files of studies, artefacts, predictions (with their reviews), studies and patients of
    which nothing is left, and stored files with their bytes.
    """

    files: int = 0
    artefacts: int = 0
    predictions: int = 0
    studies: int = 0
    patients: int = 0
    stored: int = 0

    def __add__(self, other: Gone) -> Gone:
        """Both together."""
        return Gone(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))


def set_rules(connection: Connection, project_id: str, rules: Rules) -> None:
    """Give a project its rules. Raises RequestError 422 for days outside of 1 to MOST_DAYS, 404 without the project."""
    for days in (rules.files_days, rules.predictions_days):
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise RequestError(422, "bad_days", f"{days} days were given; give 1 to {MOST_DAYS}, or none to keep all.")
    projects = schema.projects
    values = {"keep_files_days": rules.files_days, "keep_predictions_days": rules.predictions_days}
    if connection.execute(update(projects).where(projects.c.id == project_id).values(values)).rowcount == 0:
        raise not_found("project")


def rules_of(connection: Connection, project_id: str) -> Rules:
    """A project's rules. Raises RequestError 404 without the project."""
    projects = schema.projects.c
    wanted = select(projects.keep_files_days, projects.keep_predictions_days).where(projects.id == project_id)
    row = connection.execute(wanted).first()
    if row is None:
        raise not_found("project")
    return Rules(*row)


def rules_of_all(connection: Connection, project_ids: Collection[str]) -> dict[str, Rules]:
    """The rules of several projects, by one statement."""
    projects = schema.projects.c
    wanted = select(projects.id, projects.keep_files_days, projects.keep_predictions_days)
    return {row[0]: Rules(row[1], row[2]) for row in connection.execute(wanted.where(projects.id.in_(project_ids)))}


def due(connection: Connection, project_id: str, now: datetime) -> Gone:
    """What the rules would delete now, and nothing deleted: rows by age alone, as `apply` finds them at first."""
    gone = Gone()
    for table, rows in _old(connection, project_id, now):
        gone += Gone(**{_COUNTED[table.name]: _count(connection, rows)})
    return gone


def apply(connection: Connection, files: Files, project_id: str, now: datetime, most: int = _BATCH) -> Gone:
    """Delete at most `most` rows of each kind that are too old, and stored files that no record names any more.

    A study goes where it had files or predictions and none of them is left, nor a review; so does a patient without a
    study. To be called, a transaction each, until nothing goes.
    """
    hold_files(connection, alone=True)
    gone = Gone()
    studies: set[str] = set()
    hashes: set[str] = set()
    for table, rows in _old(connection, project_id, now):
        found = connection.execute(rows.order_by(table.c.seq).limit(most)).all()
        if table is schema.predictions and found:
            for made in (schema.artefacts, schema.pacs_objects):
                of_these = made.c.prediction_id.in_([row.id for row in found])
                hashes.update(connection.scalars(select(made.c.sha256).where(of_these)))
        if table is schema.files and found:
            _forget_as_it_came(connection, found)
        studies.update(row.study_id for row in found)
        hashes.update(row.sha256 for row in found if row.sha256)
        connection.execute(delete(table).where(table.c.seq.in_([row.seq for row in found])))
        gone += Gone(**{_COUNTED[table.name]: len(found)})
    gone += _emptied(connection, studies)
    for name in sorted(hashes - in_use(connection, hashes)):
        gone += Gone(stored=int(files.delete(name)))
    return gone


def _old(connection: Connection, project_id: str, now: datetime) -> list[tuple[Table, Select[Any]]]:
    """The tables in which rows are too old, with the rows: id, seq, study and hash."""
    rules = rules_of(connection, project_id)
    files, artefacts, predictions, studies = schema.files, schema.artefacts, schema.predictions, schema.studies
    objects = schema.pacs_objects
    found: list[tuple[Table, Select[Any]]] = []
    if rules.files_days is not None:
        before = now - timedelta(days=rules.files_days)
        of_study = select(files.c.seq, files.c.id, files.c.study_id, files.c.sha256).join(studies)
        found.append((files, of_study.where(studies.c.project_id == project_id, files.c.created_at < before)))
        columns = (artefacts.c.seq, artefacts.c.id, predictions.c.study_id, artefacts.c.sha256)
        made = select(*columns).join(predictions)
        found.append((artefacts, made.where(predictions.c.project_id == project_id, artefacts.c.created_at < before)))
        sent = select(objects.c.seq, objects.c.id, predictions.c.study_id, objects.c.sha256).join(predictions)
        found.append((objects, sent.where(predictions.c.project_id == project_id, objects.c.created_at < before)))
    if rules.predictions_days is not None:
        before = now - timedelta(days=rules.predictions_days)
        said = select(predictions.c.seq, predictions.c.id, predictions.c.study_id, null().label("sha256"))
        found.append(
            (predictions, said.where(predictions.c.project_id == project_id, predictions.c.created_at < before))
        )
    return found


def _forget_as_it_came(connection: Connection, found: Sequence[Row[Any]]) -> None:
    """Delete the received objects that are files of a study which go: they name the same stored bytes."""
    studies, series, instances = schema.pacs_studies.c, schema.pacs_series.c, schema.pacs_instances
    of_these = (
        select(series.id)
        .join(schema.pacs_studies, studies.id == series.pacs_study_id)
        .where(studies.study_id.in_({row.study_id for row in found}))
    )
    these = (instances.c.pacs_series_id.in_(of_these), instances.c.sha256.in_([row.sha256 for row in found]))
    connection.execute(delete(instances).where(*these))


def _count(connection: Connection, rows: Select[Any]) -> int:
    return int(connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one())


def _emptied(connection: Connection, study_ids: set[str]) -> Gone:
    """Delete those of the studies that hold nothing any more, and their patients where that was their last study."""
    studies, patients = schema.studies, schema.patients
    tables = (schema.files, schema.predictions, schema.reviews)
    holds = [exists().where(table.c.study_id == studies.c.id) for table in tables]
    empty = select(studies.c.id, studies.c.patient_id).where(studies.c.id.in_(study_ids), *(~one for one in holds))
    found = connection.execute(empty).all()
    connection.execute(delete(studies).where(studies.c.id.in_([row.id for row in found])))
    left = ~exists().where(studies.c.patient_id == patients.c.id)
    last = delete(patients).where(patients.c.id.in_({row.patient_id for row in found}), left)
    return Gone(studies=len(found), patients=connection.execute(last).rowcount)
