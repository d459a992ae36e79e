"""Old records: made by the first migration, with a row in every table, as a program of that time left them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from insula.serve.store import migrate
from insula.serve.store.connect import reading, writing

AT = "2026-01-02 03:04:05.678901"
TRAIL = {"seq": 1, "at": AT, "actor": "u1", "action": "study.read", "subject": "s1", "outcome": "done"}
ROWS: dict[str, list[dict[str, Any]]] = {
    "projects": [{"id": "p1", "name": "Ulus"}, {"id": "p2", "name": "Bebek"}],
    "users": [
        {"id": "u1", "name": "ayşe", "full_name": "Ayşe 張", "role": "reviewer", "active": True, "failed_logins": 2}
    ],
    "members": [{"user_id": "u1", "project_id": "p1"}],
    "sessions": [{"id": "n1", "user_id": "u1", "secret_hash": "a", "csrf_hash": "b", "seen_at": AT, "ends_at": AT}],
    "api_keys": [
        {"id": "k1", "user_id": "u1", "name": "pacs", "prefix": "ik", "secret_hash": "c", "scopes": "[]", "ends_at": AT}
    ],
    "patients": [{"id": "a1", "project_id": "p1", "key": "007", "name": "Ayşe 張"}],
    "studies": [
        {"id": "s1", "project_id": "p1", "patient_id": "a1", "created_by": "u1", "title": "CT", "note": "n"}
        | {"attributes": '{"age": 61}', "facts": "{}", "version": 3}
    ],
    "glass": [{"id": "g1", "user_id": "u1", "study_id": "s1", "reason": "night shift", "ends_at": AT}],
    "files": [{"id": "f1", "study_id": "s1", "role": "ct", "name": "a.nii", "sha256": "d" * 64, "size": 5_000_000_000}],
    "models": [
        {"id": "m1", "bundle_id": "b1", "name": "stroke-ct", "path": "/x", "state": "live", "share": 0.5}
        | {"info": "{}", "changed_at": AT}
    ],
    "jobs": [
        {"id": "j1", "kind": "predict", "state": "done", "unique_key": "k", "study_id": "s1", "payload": "{}"}
        | {"progress": 1.0, "step": "", "attempts": 1, "most_attempts": 5, "run_after": AT}
    ],
    "predictions": [
        {"id": f"r{i}", "project_id": "p1", "study_id": "s1", "job_id": f"j{i}", "bundle_id": "b1", "arm": "main"}
        | {"model_name": "stroke-ct", "action": "accept", "label": "stroke", "confidence": 0.9, "entropy": 0.3}
        | {
            "answer": '{"label": "stroke"}',
            "monitored": "{}",
            "milliseconds": 12.5,
            "reviewed": True,
            "disagreed": False,
        }
        for i in (1, 2)
    ],
    "artefacts": [
        {"id": "t1", "prediction_id": "r1", "kind": "map", "role": "ct", "sha256": "e" * 64, "size": 7}
        | {"media_type": "image/png"}
    ],
    "reviews": [
        {
            "id": f"v{i}",
            "study_id": "s1",
            "prediction_id": of,
            "reviewer_id": "u1",
            "target": "answer",
            "label": "stroke",
        }
        | {"verdict": "agree", "comment": "", "signature": "A", "blinded": True}
        for i, of in enumerate(("r1", "r2", None))
    ],
    "idempotency": [{"caller": "u1", "key": "x", "request_hash": "h", "status": 201, "body": '{"id": "s1"}'}],
    "trail": [TRAIL | {"detail": "{}", "previous": "", "mac": "m"}],
    "alerts": [
        {"id": f"l{i}", "kind": "drift", "bundle_id": "b1", "message": "far", "detail": "{}", "closed_at": closed}
        for i, closed in enumerate((AT, None, None))
    ],
}


def make(engine: Engine) -> None:
    """Empty the database and fill it as an old program did."""
    empty(engine)
    migrate.upgrade(engine, "0001")
    with writing(engine) as connection:
        for table, rows in ROWS.items():
            for row in rows:
                filled = row if table == "trail" else {"created_at": AT} | row
                names = ", ".join(filled)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES (:{', :'.join(filled)})"), filled)
    there = inspect(engine)
    _columns.update({table: [str(column["name"]) for column in there.get_columns(table)] for table in ROWS})


def empty(engine: Engine) -> None:
    there = MetaData()
    there.reflect(engine)
    there.drop_all(engine)


def content(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every row of the old tables, by the columns that they had."""
    with reading(engine) as connection:
        return {table: _rows(connection, table, names) for table, names in _columns.items()}


def _rows(connection: Connection, table: str, names: list[str]) -> list[dict[str, Any]]:
    found = connection.execute(text(f"SELECT {', '.join(names)} FROM {table}"))
    return sorted((dict(row._mapping) for row in found), key=str)


_columns: dict[str, list[str]] = {}  # of each old table
