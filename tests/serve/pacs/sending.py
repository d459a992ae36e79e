"""A predicted head CT in the records, reviews of it, and what was made and sent of it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.client import dicom

from insula.scans.write import made_uid
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.jobs.worker import work
from insula.serve.pacs import send
from insula.serve.pacs.objects import Kept
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now

TAKES = [
    UID("1.2.840.10008.5.1.4.1.1.88.34"),  # Comprehensive 3D SR
    UID("1.2.840.10008.5.1.4.1.1.7"),
    UID("1.2.840.10008.5.1.4.1.1.30"),
    UID("1.2.840.10008.5.1.4.1.1.104.1"),
    UID("1.2.840.10008.5.1.4.1.1.66.4"),
]
SOON = timedelta(hours=1)  # after any wait
NAME, PATIENT, ACCESSION = "Öztürk^Işıl", "TR-0042", "ACC-17"


def head(number: int, patient: str) -> bytes:
    """One slice of a made head CT of a named patient, in Unicode."""
    one = pydicom.dcmread(io.BytesIO(dicom(number=number, patient=patient)))
    one.SpecificCharacterSet = "ISO_IR 192"
    one.PatientName, one.PatientBirthDate, one.PatientSex = NAME, "19700131", "F"
    one.AccessionNumber, one.StudyID, one.ReferringPhysicianName = ACCESSION, "7", ""
    one.StudyDate, one.StudyTime, one.StudyDescription = "20261125", "093000", "Head"
    one.BodyPartExamined, one.SeriesNumber, one.Manufacturer = "HEAD", "2", "Made"
    one.StudyInstanceUID = made_uid("study of", patient)
    one.SeriesInstanceUID = made_uid("series of", patient)
    one.FrameOfReferenceUID = made_uid("frame of", patient)
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = made_uid("slice of", patient, number)
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def predicted(made: Made, patient: str, role: str = "reviewer", **payload: Any) -> dict[str, Any]:
    """A prediction of a new study of four slices. payload: more of its job's."""
    client = made.client(role)
    form = {"project": made.inside, "patient": patient}
    sent = [("files", (f"{n}.dcm", head(n, patient), "application/dicom")) for n in (3, 1, 4, 2)]
    study = client.post("/api/v1/studies", data=form, files=sent)
    assert study.status_code == 201, study.text
    asked = client.post(f"/api/v1/studies/{study.json()['id']}/predictions", json={})
    assert asked.status_code == 202, asked.text
    if payload:
        with writing(made.service.records) as connection:
            this = schema.jobs.c.id == asked.json()["id"]
            known = connection.execute(select(schema.jobs.c.payload).where(this)).scalar_one()
            connection.execute(schema.jobs.update().where(this).values(payload={**known, **payload}))
    return _answered(made, client, asked.json()["id"])


def again(made: Made, prediction: Mapping[str, Any], role: str = "reviewer") -> dict[str, Any]:
    """A later prediction of the same study."""
    client = made.client(role)
    asked = client.post(f"/api/v1/studies/{prediction['study_id']}/predictions", json={})
    assert asked.status_code == 202, asked.text
    return _answered(made, client, asked.json()["id"])


def _answered(made: Made, client: Any, name: str) -> dict[str, Any]:
    made.worked()
    job = client.get(f"/api/v1/jobs/{name}").json()
    assert job["state"] == "done", job
    found: dict[str, Any] = client.get(f"/api/v1/predictions/{job['result']['prediction']}").json()
    return found


def reviewed(made: Made, prediction: Mapping[str, Any], role: str = "reviewer", verdict: str = "agree") -> str:
    """A review of a prediction; its id."""
    said = {
        "target": prediction["answer"]["target"],
        "verdict": verdict,
        "signature": "Dr. Ayşe 王",
        "prediction": prediction["id"],
    }
    answer = made.client(role).post(f"/api/v1/studies/{prediction['study_id']}/reviews", json=said)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def read(made: Made, kept: Kept) -> FileDataset:
    """An object as it lies in the file store."""
    return pydicom.dcmread(io.BytesIO(made.service.files.get(kept.sha256)))


def settings_of(**peers: str) -> PacsSettings:
    """Settings with peers, name → address."""
    return read_pacs_settings(peers=",".join(f"{name}={address}" for name, address in peers.items()))


def ask(made: Made, prediction: Mapping[str, Any], peer: str, objects: list[str], **more: Any) -> str:
    """Put a job that sends; its id."""
    content = {"prediction": prediction["id"], "peer": peer, "objects": objects, **more}
    wanted = Wanted(send.KIND, content, project_id=made.inside, study_id=prediction["study_id"], most_attempts=3)
    with writing(made.service.records) as connection:
        return queue.put(connection, wanted, now()).id


def worked(made: Made, settings: PacsSettings, later: timedelta = timedelta()) -> int:
    """Work on all sendings that wait, at a later time; how many ended."""
    done = {send.KIND: send.handler(made.service, settings)}
    return work(made.service.records, done, "sender", threading.Event(), clock=lambda: now() + later, until_idle=True)


def job(made: Made, name: str) -> Any:
    """A job's row."""
    with reading(made.service.records) as connection:
        return queue.get(connection, name, None)


def deliveries(made: Made, prediction: str) -> list[tuple[str, int, str | None]]:
    """What was delivered: peer, objects, review."""
    table = schema.pacs_deliveries.c
    wanted = select(table.peer, table.objects, table.review_id).where(table.prediction_id == prediction)
    with reading(made.service.records) as connection:
        return [(row.peer, row.objects, row.review_id) for row in connection.execute(wanted.order_by(table.seq))]


@contextmanager
def rejecting(made: Made, prediction: str) -> Iterator[None]:
    """As if a prediction had been rejected, for as long as the block runs."""
    table = schema.predictions
    this = table.c.id == prediction
    with reading(made.service.records) as connection:
        before = connection.execute(select(table.c.action, table.c.label, table.c.answer).where(this)).one()
    bare = {**before.answer, "action": "reject", "label": "", "positive": None, "prediction_set": []}
    bare |= {"probabilities": dict.fromkeys(before.answer["probabilities"]), "spread": None, "uncertainty": {}}
    bare |= {"reasons": ["the scan is no head"], "kinds": ["body_part"], "also": {}}
    with writing(made.service.records) as connection:
        connection.execute(table.update().where(this).values(action="reject", label="", answer=bare))
    try:
        yield
    finally:
        with writing(made.service.records) as connection:
            connection.execute(table.update().where(this).values(**before._mapping))


def warm(dataset: FileDataset) -> int:
    """How many pixels of a picture are in colour."""
    pixels = dataset.pixel_array.astype(np.int16)
    return int((np.ptp(pixels, axis=-1) > 20).sum())


def parsed(data: bytes) -> pydicom.Dataset:
    """A data set as it came by C-STORE."""
    return pydicom.dcmread(io.BytesIO(data), force=True)


def delayed(made: Made, *names: str) -> None:
    """Let jobs wait, as after a try that failed."""
    these = schema.jobs.update().where(schema.jobs.c.id.in_(names))
    with writing(made.service.records) as connection:
        connection.execute(these.values(run_after=schema.now() + timedelta(minutes=5)))
