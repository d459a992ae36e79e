"""All of one patient: erased from the records and the file store, or written out as a zip."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, delete, select

from insula.serve.store import came, schema
from insula.serve.store.came import rows_in
from insula.serve.store.files import Files
from insula.serve.store.in_use import hold_files, in_use, named_in, text_of
from insula.serve.store.patients import not_found

_STORED: Final = ("files", "artefacts", "pacs_instances", "pacs_objects")  # tables of which each row names a file
_UNNAMED: Final = ("pacs_series", "pacs_instances")  # tables whose ids stand in no job


@dataclass(frozen=True)
class Erased:
    """What was erased: rows of each table (those that hold anything), and stored files that nobody else uses."""

    rows: Mapping[str, int]
    stored: int
    kept: int


def erase_patient(connection: Connection, files: Files, patient_id: str) -> Erased:
    """Erase a patient: studies, files, predictions, what was made of them, reviews, jobs, and answers kept for repeats.

    A job goes where its JSON names one of these rows, with the files that it names; a kept answer also where it has the
    patient's key or name as a value. A stored file stays (`kept`) where another record has the same bytes. The trail
    stays; it names rows by ids alone.
    Files are deleted before the caller commits: where that fails, the patient is still there and can be erased again.
    Raises RequestError 404 without such a patient.
    """
    hold_files(connection, alone=True)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")  # the bytes of deleted rows are overwritten
    held = _held(connection, patient_id)
    ids, named = _words(held)
    wanted = {row["id"] for row in held["jobs"]}
    jobs = [row for row in connection.execute(_jobs()) if row.id in wanted or _holds(row[1:], ids)]
    ids |= {json.dumps(row.id) for row in jobs}
    answers = [
        (row.caller, row.key)
        for row in connection.execute(select(schema.idempotency))
        if _holds((row.body,), ids | named)
    ]
    hashes = {str(row["sha256"]) for name in _STORED for row in held[name]}
    hashes |= {name for row in jobs for name in named_in(row[1:])}
    kept_answers = schema.idempotency.c
    for caller, key in answers:
        connection.execute(delete(schema.idempotency).where(kept_answers.caller == caller, kept_answers.key == key))
    for job in jobs:
        connection.execute(delete(schema.jobs).where(schema.jobs.c.id == job.id))
    for item in held["workitems"]:
        connection.execute(delete(schema.workitems).where(schema.workitems.c.id == item["id"]))
    connection.execute(delete(schema.patients).where(schema.patients.c.id == patient_id))  # the rest hangs on it
    used = in_use(connection, hashes)
    stored = sum(files.delete(name) for name in sorted(hashes - used))
    counts = {name: len(rows) for name, rows in held.items()} | {"jobs": len(jobs), "idempotency": len(answers)}
    return Erased({name: count for name, count in counts.items() if count}, stored, len(used))


def forget(engine: Engine) -> None:
    """After an erasure was committed: write SQLite's log back and cut it, since it still holds the old pages.

    PostgreSQL keeps old rows until its own VACUUM, and in its log and backups as long as these are kept.
    """
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def export_patient(connection: Connection, files: Files, patient_id: str, target: Path) -> Mapping[str, int]:
    """Write all of one patient as a zip: `record.json`, and the stored files by role; rows of each table.

    The file names within are made of roles and numbers; `record.json` says the shown name of each. Raises RequestError
    404 without such a patient, MissingFileError and ChangedFileError for a stored file that is not as it was.
    """
    held = _held(connection, patient_id)
    try:
        target.touch(0o600, exist_ok=False)  # all of a patient: for its owner alone
        with target.open("wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            there: dict[str, str] = {}
            for kind, row in _stored_rows(held):
                said = row.get("role") or row.get("kind", "")
                row["path"] = there.setdefault(row["sha256"], f"{kind}/{row['seq']:08d}{'-' if said else ''}{said}")
                if row["path"] in archive.NameToInfo:  # the object that came is the study's file
                    continue
                with files.open(row["sha256"]) as source, archive.open(row["path"], "w", force_zip64=True) as inside:
                    shutil.copyfileobj(source, inside, 1 << 20)
            content = json.dumps(held, ensure_ascii=False, indent=2, default=_plain)
            archive.writestr("record.json", content)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return {name: len(rows) for name, rows in held.items()}


def _held(connection: Connection, patient_id: str) -> dict[str, list[dict[str, Any]]]:
    """All rows about a patient, by table."""
    patients = rows_in(connection, schema.patients.c.id, [patient_id])
    if not patients:
        raise not_found("patient")
    studies = rows_in(connection, schema.studies.c.patient_id, [patient_id])
    ids = [row["id"] for row in studies]
    predictions = rows_in(connection, schema.predictions.c.study_id, ids)
    held = {"patients": patients, "studies": studies, "predictions": predictions}
    held |= {
        table.name: rows_in(connection, table.c.study_id, ids)
        for table in (schema.files, schema.reviews, schema.jobs, schema.glass)
    }
    of_these = [row["id"] for row in predictions]
    held |= {
        table.name: rows_in(connection, table.c.prediction_id, of_these)
        for table in (schema.artefacts, schema.prediction_sources, schema.pacs_objects, schema.pacs_deliveries)
    }
    held |= came.received(connection, ids)
    uids = [row["study_uid"] for row in held["pacs_studies"]]
    items = came.workitems(connection, patients[0]["project_id"], patients[0]["key"], uids)
    return held | {"workitems": items}


def _stored_rows(held: Mapping[str, list[dict[str, Any]]]) -> Iterable[tuple[str, dict[str, Any]]]:
    return [(name, row) for name in _STORED for row in held[name]]


def _words(held: Mapping[str, list[dict[str, Any]]]) -> tuple[set[str], set[str]]:
    """What a JSON text about the patient would hold, as JSON strings: ids of rows, UIDs of studies; key and name."""
    ids = {str(row["id"]) for table, rows in held.items() if table not in _UNNAMED for row in rows}
    ids |= {str(row["study_uid"]) for row in held["pacs_studies"]}
    named = {str(row[name]) for row in held["patients"] for name in ("key", "name") if row[name]}
    return {json.dumps(one) for one in ids}, {json.dumps(one, ensure_ascii=False) for one in named}


def _holds(values: Iterable[Any], words: set[str]) -> bool:
    return any(word in text for value in values if value is not None for text in (text_of(value),) for word in words)


def _jobs() -> Select[Any]:
    jobs = schema.jobs.c
    return select(jobs.id, jobs.payload, jobs.result, jobs.error)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
