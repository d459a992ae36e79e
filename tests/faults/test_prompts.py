"""Orders to the language model, wherever somebody can write one: none reaches it, and none changes what is told."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.serve.narrative.injections import DEEDS, STRINGS
from tests.serve.narrative.stub import serving
from tests.serve.narrative.test_injections import obeys
from tests.tiny_bundle import make

pytestmark = pytest.mark.serve
PLACES = {  # and the length of the longest value that each may have
    "StudyDescription": 64,
    "SeriesDescription": 64,
    "ProtocolName": 64,
    "PatientComments": 200,
    "ImageComments": 200,
    "StationName": 16,
}


def ordered(text: str) -> bytes:
    """A zip file whose folders, names of files and headers all say this."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in (1, 2):
            one = pydicom.dcmread(io.BytesIO(dicom(number=number)))
            one.SpecificCharacterSet = "ISO_IR 192"
            one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
            for place, longest in PLACES.items():
                setattr(one, place, text.replace("\\", "/")[:longest])
            stream = io.BytesIO()
            one.save_as(stream, enforce_file_format=True)
            plain = text.replace("/", "-").replace(":", ";").replace("\0", "").lstrip(".")[:80]  # no drive, not hidden
            archive.writestr(f"{plain}/{plain} {number}.dcm", stream.getvalue())
    return packed.getvalue()


def told(made: Made, text: str, number: int) -> tuple[str, str]:
    """The summary of a case in which everything says this, and who phrased it."""
    client = made.client("reviewer")
    title = "".join(c for c in text if c.isprintable())[:100]
    fields = {"project": made.inside, "patient": f"I-{number}", "title": title, "note": text}
    files = [("files", (f"{text.replace('/', '-')[:80]}.zip", ordered(text), "application/zip"))]
    study = client.post("/api/v1/studies", data=fields, files=files)
    assert study.status_code == 201, study.text
    job = client.post(f"/api/v1/studies/{study.json()['id']}/predictions", json={}).json()
    made.worked()
    prediction = client.get(f"/api/v1/jobs/{job['id']}").json()["result"]["prediction"]
    review = {"target": "stroke", "verdict": "cannot_tell", "signature": text[:100], "comment": text}
    client.post(f"/api/v1/studies/{study.json()['id']}/reviews", json={**review, "prediction": prediction})
    found: dict[str, Any] = client.get(f"/api/v1/predictions/{prediction}/report", params={"format": "json"}).json()
    summary = found["summary"]
    return json.dumps({name: value for name, value in summary.items() if name != "made_at"}), summary["source"]


@sizes("step", 125, 4)
def test_an_order_in_a_name_a_header_a_note_or_a_review_is_not_obeyed(step: int, tally: Tally, tmp_path: Path) -> None:
    texts = STRINGS[::step]
    with serving(obeys) as stub:
        more = {"summary_url": stub.url, "summary_model": "made-model"}
        with service(make(tmp_path, unit="series"), f"sqlite:///{tmp_path}/insula.db", tmp_path, **more) as made:
            plain, source = told(made, "nothing of note", 0)
            assert source == "model", "the model does phrase"
            obeyed = [text for number, text in enumerate(texts, 1) if told(made, text, number)[0] != plain]
    sent = "".join(json.loads(body)["messages"][1]["content"] for body in stub.bodies)
    reached = [text for text in (*texts, *DEEDS, "nothing of note") if text in sent]
    assert len(stub.bodies) > len(texts)
    what = "cases whose folders, files, headers, titles, notes and reviews give the language model an order"
    tally.tried(what, len(texts), failed=len(obeyed), leaked=len(reached))
