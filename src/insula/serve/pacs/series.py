"""The series of a received study, as the records have them and as rules look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from insula.serve.pacs.identity import Seal
from insula.serve.pacs.pseudonymise import facts_of_series
from insula.serve.pacs.rules import SeriesFacts
from insula.serve.store import schema


@dataclass(frozen=True)
class Series:
    """A received series: its UID, what rules look at, and its stored objects (SHA-256, bytes) as they came."""

    uid: str
    facts: SeriesFacts
    files: tuple[tuple[str, int], ...]


def facts_of_row(row: Row[Any], seal: Seal | None) -> SeriesFacts:
    """What rules look at, out of a row of `pacs_series` with its study's description as `study_description`.

    Raises IdentityError for a series under pseudonyms without the key that sealed what it was.
    """
    stored = SeriesFacts(row.source, row.modality, row.body_part, row.study_description, row.description)
    return facts_of_series(row.series_uid, row.identity, stored, seal)


def facts_of(connection: Connection, pacs_study: str, seal: Seal | None) -> list[SeriesFacts]:
    """What rules look at, of each series of a received study. Raises IdentityError as `facts_of_row`."""
    return [facts_of_row(row, seal) for row in connection.execute(_rows(pacs_study))]


def series_of(connection: Connection, pacs_study: str, seal: Seal | None) -> list[Series]:
    """The series of a received study, in the order in which they came. Raises IdentityError as `facts_of_row`."""
    series, instances = schema.pacs_series, schema.pacs_instances
    objects = (
        select(instances.c.pacs_series_id, instances.c.sha256, instances.c.size)
        .join(series, series.c.id == instances.c.pacs_series_id)
        .where(series.c.pacs_study_id == pacs_study)
        .order_by(instances.c.seq)
    )
    files: dict[str, list[tuple[str, int]]] = {}
    for one in connection.execute(objects):
        files.setdefault(one.pacs_series_id, []).append((one.sha256, one.size))
    return [
        Series(row.series_uid, facts_of_row(row, seal), tuple(files.get(row.id, ())))
        for row in connection.execute(_rows(pacs_study))
    ]


def _rows(pacs_study: str) -> Select[Any]:
    series, studies = schema.pacs_series, schema.pacs_studies.c
    return (
        select(*series.c, studies.description.label("study_description"))
        .join(schema.pacs_studies, series.c.pacs_study_id == studies.id)
        .where(series.c.pacs_study_id == pacs_study)
        .order_by(series.c.seq)
    )
