"""A project with people, a patient and studies, as the tests of the records need them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, insert

from insula.core.types import Decision, Prediction
from insula.serve.jobs import queue
from insula.serve.store import patients, predictions, schema, studies
from insula.serve.store.files import Files, Stored, open_files
from insula.serve.store.predictions import Made

MADE = Made("stroke-ct", "multiclass")


def files_at(folder: Path) -> Files:
    return open_files(str(folder / "files"))


def project(connection: Connection, name: str = "A") -> str:
    name_of = schema.new_id()
    connection.execute(insert(schema.projects).values(id=name_of, name=name))
    return name_of


def user(connection: Connection, name: str = "ada") -> str:
    name_of = schema.new_id()
    connection.execute(insert(schema.users).values(id=name_of, name=name, role="reviewer"))
    return name_of


def study(connection: Connection, project_id: str, key: str = "P1", title: str = "") -> str:
    return studies.create(connection, patients.get_or_create(connection, project_id, key), None, title)


def put(files: Files, content: bytes) -> Stored:
    return files.put(io.BytesIO(content), 1 << 20)


def came(connection: Connection, files: Files, study_id: str, of: str, key: str, scan: Stored) -> str:
    """What the network brings with a study and takes of it: its UID.

    Two received objects, one of them a file of the study; a made object, sent once; two work items, one of which names
    the patient's key and the other the study; a fetched study's job.
    """
    uid = f"1.2.{int(hashlib.sha256(key.encode()).hexdigest()[:12], 16)}"
    one, series = schema.new_id(), schema.new_id()
    there = {"id": one, "study_uid": uid, "study_id": study_id, "source": "CT1", "state": "taken", "identity": key}
    connection.execute(insert(schema.pacs_studies).values(there))
    mine = {"id": series, "pacs_study_id": one, "series_uid": f"{uid}.1", "source": "CT1"}
    connection.execute(insert(schema.pacs_series).values(mine))
    other = put(files, f"scout {key}".encode())
    for number, stored in enumerate((scan, other)):
        values = {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "sha256": stored.sha256, "size": stored.size}
        values |= {"pacs_series_id": series, "sop_instance_uid": f"{uid}.1.{number}", "content": stored.sha256}
        connection.execute(insert(schema.pacs_instances).values(values))
    made = put(files, f"report {key}".encode())
    names = {"study_uid": uid, "series_uid": f"{uid}.9", "sop_instance_uid": f"{uid}.9.1", "sop_class_uid": "1.2"}
    values = {"prediction_id": of, "kind": "report", "modality": "SR", "sha256": made.sha256, "size": made.size}
    connection.execute(insert(schema.pacs_objects).values(values | names))
    connection.execute(insert(schema.pacs_deliveries).values(prediction_id=of, peer="archive", objects=1))
    items: list[dict[str, object]] = [
        {"00100020": {"vr": "LO", "Value": [key]}},
        {"00404021": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": [uid]}}]}},
    ]
    for number, item in enumerate(items):
        connection.execute(insert(schema.workitems).values(uid=f"{uid}.5.{number}", attributes=item))
    queue.put(connection, queue.Wanted("pacs_pull", {"peer": "archive", "study_uid": uid}), schema.now())
    return uid


def predicted(connection: Connection, study_id: str, p: float = 0.9, action: str = "accept", made: Made = MADE) -> str:
    """A prediction of stroke with the probability p, or of normal where that is below a half."""
    label = "" if action == "reject" else "stroke" if p >= 0.5 else "normal"
    prediction = Prediction(
        case="upload",
        bundle_id="b1",
        target="answer",
        classes=("normal", "stroke"),
        probabilities=np.array([1 - p, p], np.float32),
        spread=None,
        prediction_set=(),
        domain_score=0.25,
        embedding=np.zeros(3, np.float32),
    )
    decision = Decision(label, p >= 0.5, max(p, 1 - p), action, ())  # type: ignore[arg-type]  # given by the tests
    return predictions.store(connection, study_id, prediction, decision, made)
