"""Rows of the records for the tests of which model answers: patients, studies, answers of two models, reviews."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert

from insula.serve.store import schema


class Answers:
    """Writes rows of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self.project = self._row(schema.projects, name="one")
        self.reader = self._row(schema.users, name="reader", role="reviewer")

    def patient(self) -> str:
        self._count += 1
        return self._row(schema.patients, project_id=self.project, key=f"key {self._count}")

    def study(self, patient: str = "") -> str:
        return self._row(schema.studies, project_id=self.project, patient_id=patient or self.patient())

    def answer(self, study: str, bundle_id: str, label: str, action: str = "accept", arm: str = "main") -> str:
        values = {"study_id": study, "bundle_id": bundle_id, "label": label, "action": action, "arm": arm}
        values |= {"project_id": self.project, "model_name": "tiny"}
        return self._row(schema.predictions, confidence=0.9, answer={}, **values)

    def review(self, study: str, label: str | None, **values: Any) -> str:
        verdict = "override" if label else "cannot_tell"
        row = {"study_id": study, "reviewer_id": self.reader, "target": "answer", "verdict": verdict, "label": label}
        return self._row(schema.reviews, **{**row, "signature": "R", **values})

    def _row(self, table: Table, **values: Any) -> str:
        name = schema.new_id()
        self._connection.execute(insert(table).values(id=name, **values))
        return name
