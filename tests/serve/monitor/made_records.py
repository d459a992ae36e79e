"""Rows of the records for the tests of monitoring: projects, patients, studies, predictions, reviews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from insula.serve.store.schema import new_id, patients, predictions, projects, reviews, studies, users

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUNDLE = "b" * 16


class Made:
    """Writes rows, an hour apart, and remembers the ids that further rows need."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.project = self._row(projects, name="one")
        self.count = 0

    def patient(self) -> str:
        self.count += 1
        return self._row(patients, project_id=self.project, key=f"key {self.count}")

    def user(self, name: str) -> str:
        return self._row(users, name=name, role="reviewer")

    def study(self, patient: str | None = None) -> str:
        return self._row(studies, project_id=self.project, patient_id=patient or self.patient())

    def prediction(self, study: str | None = None, at: datetime | None = None, **values: Any) -> str:
        self.count += 1
        row = {
            "created_at": at or START + timedelta(hours=self.count),
            "project_id": self.project,
            "study_id": study or self.study(),
            "bundle_id": BUNDLE,
            "model_name": "tiny",
            "action": "accept",
            "label": "normal",
            "confidence": 0.9,
            "answer": {},
            "monitored": {},
        }
        return self._row(predictions, **{**row, **values})

    def review(self, study: str, reader: str, label: str | None, **values: Any) -> str:
        verdict = "cannot_tell" if label is None else "override"
        row = {
            "study_id": study,
            "reviewer_id": reader,
            "target": "answer",
            "verdict": verdict,
            "label": label,
            "signature": "R",
            "blinded": True,
        }
        return self._row(reviews, **{**row, **values})

    def _row(self, table: Any, **values: Any) -> str:
        row = {"id": new_id(), "created_at": START, **values}
        self.connection.execute(insert(table).values(row))
        return str(row["id"])
