"""A hundred thousand studies with their jobs and predictions, put into the records at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert

from insula.serve.store import schema
from insula.serve.store.connect import connect, writing

_AT_ONCE = 5000
_ACTIONS = ("accept", "refer", "accept", "accept", "reject")


def fill(address: str, project: str, bundle_id: str, count: int) -> None:
    """Put `count` studies into a project: each with a patient, three quarters with an answer, one in nine with none."""
    engine = connect(address)
    try:
        numbers = iter(range(count))
        while some := list(islice(numbers, _AT_ONCE)):
            with writing(engine) as connection:
                _put(connection, some, project, bundle_id)
    finally:
        engine.dispose()


def _put(connection: Connection, numbers: list[int], project: str, bundle_id: str) -> None:
    at = schema.now() - timedelta(days=400)
    ids = {n: (schema.new_id(), schema.new_id(), schema.new_id()) for n in numbers}
    moments = {n: at + timedelta(minutes=5 * n) for n in numbers}
    connection.execute(
        insert(schema.patients),
        [
            {"id": ids[n][0], "created_at": moments[n], "project_id": project, "key": f"B-{n:06d}", "name": f"Made {n}"}
            for n in numbers
        ],
    )
    connection.execute(
        insert(schema.studies),
        [
            {
                "id": ids[n][1],
                "created_at": moments[n],
                "project_id": project,
                "patient_id": ids[n][0],
                "title": "Head CT",
                "facts": {"files": {"scans": [{"modality": "CT", "slices": 28}]}},
            }
            for n in numbers
        ],
    )
    asked = [n for n in numbers if n % 9]
    connection.execute(
        insert(schema.jobs),
        [
            {
                "id": ids[n][2],
                "created_at": moments[n],
                "kind": "predict",
                "state": "failed" if n % 4 == 0 else "done",
                "project_id": project,
                "study_id": ids[n][1],
                "ended_at": moments[n],
                "progress": 1.0,
                "error": {"code": "unreadable_scan", "message": "A slice is missing."} if n % 4 == 0 else None,
            }
            for n in asked
        ],
    )
    connection.execute(insert(schema.predictions), list(_predictions(asked, ids, moments, project, bundle_id)))


def _predictions(
    asked: list[int], ids: dict[int, tuple[str, str, str]], moments: dict[int, Any], project: str, bundle_id: str
) -> Iterator[dict[str, Any]]:
    for n in asked:
        if n % 4:
            yield {
                "created_at": moments[n],
                "project_id": project,
                "study_id": ids[n][1],
                "job_id": ids[n][2],
                "bundle_id": bundle_id,
                "model_name": "haemorrhage-ct",
                "action": _ACTIONS[n % 5],
                "label": "normal" if n % 3 else "haemorrhage",
                "confidence": 0.5 + (n % 50) / 100,
                "entropy": (n % 70) / 100,
                "domain_score": (n % 100) / 100,
                "answer": {},
                "reviewed": n % 7 == 0,
            }
