"""Patients of a project, each by the key that the project knows them by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.paging import Page, Visible, checked_limit, newest_first, paged, seen

LONGEST_KEY, LONGEST_NAME = 64, 200
_DIGEST = 12  # letters at the end of a key that would be too long


@dataclass(frozen=True)
class Patient:
    """One patient: id is the name that others see, key the project's own, name "" where none was given."""

    id: str
    project_id: str
    key: str
    name: str


def get_or_create(connection: Connection, project_id: str, key: str, name: str = "") -> str:
    """The id of a project's patient, made where there is none; a name is kept where none was known.

    Safe where several ask at once. Raises RequestError 422 for a key or name that is empty, too long or not printable.
    """
    key = plain(key, "patient key", LONGEST_KEY)
    name = plain(name, "patient name", LONGEST_NAME) if name else ""
    insert_if_new(connection, schema.patients, project_id=project_id, key=key, name=name)
    patients = schema.patients.c
    this = (patients.project_id == project_id, patients.key == key)
    if name:
        connection.execute(update(schema.patients).where(*this, patients.name == "").values(name=name))
    return str(connection.execute(select(patients.id).where(*this)).scalar_one())


def get(connection: Connection, patient_id: str, visible: Visible) -> Patient:
    """One patient. Raises RequestError 404 where there is none that may be seen."""
    row = connection.execute(_rows().where(schema.patients.c.id == patient_id, *seen(visible, schema.patients))).first()
    if row is None:
        raise not_found("patient")
    return Patient(row.id, row.project_id, row.key, row.name)


def page(connection: Connection, visible: Visible, before: int | None = None, limit: int = 50) -> Page[Patient]:
    """Patients that may be seen, newest first. Raises RequestError for a wrong limit."""
    wanted = checked_limit(limit) + 1
    rows = newest_first(connection, lambda w: _rows().where(*w), schema.patients, visible, before, wanted)
    found = [Patient(row.id, row.project_id, row.key, row.name) for row in rows]
    return paged(found, [row.seq for row in rows], limit)


def key_of(patient_id: str, issuer: str) -> str:
    """The key of a patient as headers name him: PatientID, with IssuerOfPatientID where there is one.

    Numbers of two hospitals may be the same. What is too long ends with a digest of the whole.
    """
    if not patient_id or not issuer:
        return patient_id
    text = f"{patient_id} ({issuer})"
    if len(text) <= LONGEST_KEY:
        return text
    return f"{patient_id[: LONGEST_KEY - _DIGEST - 3]} ({hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]})"


def plain(text: str, what: str, longest: int) -> str:
    """Text without blanks around it. Raises RequestError 422 where it is empty, too long or not printable."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise RequestError(
            422, "bad_text", f"The {what} has {len(text)} characters; give 1 to {longest} printable ones."
        )
    return text


def not_found(what: str) -> RequestError:
    """No such row, or none that this caller may see: the two are not told apart."""
    return RequestError(404, "not_found", f"There is no such {what}; look it up in the list.")


def insert_if_new(connection: Connection, table: Table, **values: Any) -> None:
    """Insert a row, or leave the one that has the same unique values."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(**values).on_conflict_do_nothing())


def _rows() -> Any:
    patients = schema.patients.c
    return select(patients.seq, patients.id, patients.project_id, patients.key, patients.name)
