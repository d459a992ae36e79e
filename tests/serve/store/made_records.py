"""A project with people, a patient and studies, as the tests of the records need them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, insert

from insula.core.types import Decision, Prediction
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
