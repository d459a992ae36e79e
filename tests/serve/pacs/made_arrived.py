"""Rows of studies that came over the network, for tests that look at lists of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert

from insula.serve.store import schema


def arrived(
    connection: Connection, uid: str, state: str = "taken", series: tuple[int, ...] = (2,), **values: Any
) -> str:
    """A study with so many instances in each of its series; its id."""
    study = schema.new_id()
    plain = {"source": "SCANNER", "description": "Head", "id": study, "study_uid": uid, "state": state}
    connection.execute(insert(schema.pacs_studies).values({**plain, **values}))
    for number, count in enumerate(series):
        one = schema.new_id()
        mine = {"id": one, "pacs_study_id": study, "series_uid": f"{uid}.{number}", "source": "SCANNER"}
        connection.execute(insert(schema.pacs_series).values(**mine, modality="CT"))
        for k in range(count):
            name = f"{uid}.{number}.{k}"
            row = {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "sha256": "0" * 64, "content": "0" * 64}
            connection.execute(
                insert(schema.pacs_instances).values(pacs_series_id=one, sop_instance_uid=name, size=1, **row)
            )
    return study
