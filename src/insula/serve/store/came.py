"""Rows about a patient's studies that came over the network: received objects, and work items that name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, or_, select

from insula.serve.store import schema
from insula.serve.store.patients import key_of

_PATIENT_ID, _ISSUER = "00100020", "00100021"  # as DICOM's JSON has them (PS3.18, F.2)


def rows_in(connection: Connection, column: Column[Any], values: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table of which a column has one of some values, in the order in which they came."""
    statement = select(column.table).where(column.in_(values)).order_by(column.table.c.seq)
    return [dict(row._mapping) for row in connection.execute(statement)]


def received(connection: Connection, study_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What came of some studies of the records: studies, series and instances, by table."""
    came = rows_in(connection, schema.pacs_studies.c.study_id, study_ids)
    series = rows_in(connection, schema.pacs_series.c.pacs_study_id, [row["id"] for row in came])
    objects = rows_in(connection, schema.pacs_instances.c.pacs_series_id, [row["id"] for row in series])
    return {"pacs_studies": came, "pacs_series": series, "pacs_instances": objects}


def workitems(connection: Connection, project_id: str, key: str, uids: Collection[str]) -> list[dict[str, Any]]:
    """Work items for a project's patient of this key, or about studies of some UIDs."""
    items, wanted = schema.workitems, set(uids)
    these = or_(items.c.project_id == project_id, items.c.project_id.is_(None))
    rows = connection.execute(select(items).where(these).order_by(items.c.seq))
    return [dict(row._mapping) for row in rows if _about(row.attributes, key, wanted)]


def _about(attributes: Mapping[str, Any], key: str, uids: set[str]) -> bool:
    issuer = next(iter(_values(attributes, _ISSUER)), "")
    named = {one for one in _values(attributes, _PATIENT_ID) if key_of(one, issuer) == key}
    if not issuer:  # it may be of any that has this number
        named |= {one for one in _values(attributes, _PATIENT_ID) if key.startswith(f"{one} (")}
    return bool(named) or bool(uids & set(_texts(attributes)))


def _values(attributes: Mapping[str, Any], tag: str) -> list[str]:
    said = attributes.get(tag, {})
    return [str(one) for one in said.get("Value", []) if one] if isinstance(said, dict) else []


def _texts(value: Any) -> list[str]:
    """All texts within a JSON value, however deep."""
    found: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, Mapping):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return found
