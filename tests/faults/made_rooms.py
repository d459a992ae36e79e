"""A service with two projects that are full of the same things, for tries of getting from one into the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydicom.uid import generate_uid
from sqlalchemy import insert, select
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import result, values, with_rules, workitem
from tests.serve.pacs.made_arrived import arrived

from insula.core.log import configure
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

DICOM_JSON = {"Content-Type": "application/dicom+json"}
# words of the other project that must show nowhere: its patient's key, title, note, comment and full name
MARKS = ("THEIRS-7Q", "Theirtitle", "Theirnote", "Theircomment", "Theirhand")
OURS = ("OURS-7Q", "Ourtitle", "Ournote", "Ourcomment", "Ourhand")
RULES = """
rules:
  - {name: of others, when: {study_description: 'others*'}, project: Outside}
  - {name: heads, when: {modality: CT}, project: Inside, model: tiny-ct}
"""


@dataclass(frozen=True, eq=False)
class Rooms:
    """The service, and what fills an address by the parameter's name: `ours` in the project of all, `theirs` not.

    Of no role but the stranger's is the second one's project.
    """

    made: Made
    ours: Mapping[str, str]
    theirs: Mapping[str, str]

    @cached_property
    def routes(self) -> list[APIRoute]:
        """Every route as the router has it."""
        return [route for route in self.made.app.routes if isinstance(route, APIRoute)]

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the other project's tables, to see that nothing has changed."""
        study, prediction = self.theirs["study_id"], self.theirs["prediction_id"]
        wanted = {
            "studies": select(schema.studies).where(schema.studies.c.id == study),
            "patients": select(schema.patients).where(schema.patients.c.id == self.theirs["patient_id"]),
            "files": select(schema.files).where(schema.files.c.study_id == study),
            "predictions": select(schema.predictions).where(schema.predictions.c.study_id == study),
            "artefacts": select(schema.artefacts).where(schema.artefacts.c.prediction_id == prediction),
            "reviews": select(schema.reviews).where(schema.reviews.c.study_id == study),
            "jobs": select(schema.jobs).where(schema.jobs.c.study_id == study),
            "workitems": select(schema.workitems).where(schema.workitems.c.uid == self.theirs["workitem"]),
            "arrived": select(schema.pacs_studies).where(schema.pacs_studies.c.id == self.theirs["pacs_study_id"]),
        }
        with reading(self.made.service.records) as connection:
            return {name: [tuple(row) for row in connection.execute(one)] for name, one in wanted.items()}


@contextmanager
def rooms(folder: Path) -> Iterator[Rooms]:
    """A service whose two projects are filled alike."""
    configure(level="CRITICAL")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_PACS_PEERS", "archive=dicom://ARCHIVE@127.0.0.1:1")
        with with_rules(folder, f"sqlite:///{folder}/insula.db", RULES, burst=100_000) as made:
            ours = _filled(made, "reviewer", made.inside, "Inside", OURS)
            yield Rooms(made, ours, _filled(made, "stranger", made.outside, "Outside", MARKS))


def _filled(made: Made, who: str, project: str, name: str, words: tuple[str, ...]) -> dict[str, str]:
    """A case with everything that can hang on it; the ids by the names that addresses have for them."""
    key, title, note, comment, hand = words
    client = made.client(who)
    found = made.predicted(who, project=project, patient=key, title=title, note=note, patient_name=title)
    study, prediction = found["study_id"], found["id"]
    whole = client.get(f"/api/v1/studies/{study}").json()
    said = {
        "target": found["answer"]["target"],
        "verdict": "override", "label": "normal", "signature": hand, "comment": comment, "prediction": prediction,
    }  # fmt: skip
    review = client.post(f"/api/v1/studies/{study}/reviews", json=said)
    assert review.status_code == 201, review.text
    jobs = client.get("/api/v1/jobs").json()["items"]
    made_key = client.post("/api/v1/keys", json={"name": title, "scopes": ["study.read"], "days": 1}).json()
    uid, item = str(generate_uid()), workitem(t00741202={"vr": "LO", "Value": [name]})
    item["00100020"] = {"vr": "LO", "Value": [key]}
    ordered = client.post(f"/dicom-web/workitems?workitem={uid}", content=json.dumps([item]), headers=DICOM_JSON)
    assert ordered.status_code == 201, ordered.text
    study_uid = str(generate_uid())
    drawn = result(made, prediction, study_uid, PatientID=key, PatientName=title)
    with writing(made.service.records) as connection:
        came = arrived(connection, f"{study_uid}.9", project_id=project, study_id=study, description=title, series=())
        connection.execute(insert(schema.pacs_deliveries).values(prediction_id=prediction, peer="archive", objects=1))
    assert values(client.get(f"/dicom-web/workitems/{uid}").json()[0], "00100020") == [key]
    return {
        "study_id": study, "prediction_id": prediction, "patient_id": whole["patient_id"],
        "file_id": whole["files"][0]["id"], "job_id": jobs[0]["id"], "key_id": made_key["id"],
        "pacs_study_id": came, "project_id": project, "study": study_uid, "series": str(drawn.SeriesInstanceUID),
        "instance": str(drawn.SOPInstanceUID), "workitem": uid, "user_id": made.ids[who],
        "review_id": review.json()["id"], "api_key": made_key["key"],
    }  # fmt: skip
