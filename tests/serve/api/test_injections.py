"""Strings that try to take over a language model, in tags and notes of a study: nothing in its report changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.serve.narrative.injections import STRINGS
from tests.serve.narrative.stub import Stub, serving
from tests.serve.narrative.test_injections import obeys
from tests.tiny_bundle import make

pytestmark = pytest.mark.serve
AT_ONCE = 10  # strings in one note
FREE = ("notes", "id", "made_at", "patient", "study", "pictures", "model")  # what people wrote, or is of the moment


@pytest.fixture(scope="module")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, Stub]]:
    """A service whose summaries a model phrases that obeys whatever it is told anywhere."""
    folder = Path(tmp_path_factory.mktemp("injected"))
    with (
        serving(obeys) as stub,
        service(
            make(folder, unit="series"),
            f"sqlite:///{folder}/insula.db",
            folder,
            summary_url=stub.url,
            summary_model="made-model",
        ) as made,
    ):
        yield made, stub


def report(made: Made, prediction: str) -> dict[str, Any]:
    """The report without what a person wrote."""
    found: dict[str, Any] = (
        made.client("reader").get(f"/api/v1/predictions/{prediction}/report", params={"format": "json"}).json()
    )
    return {name: value for name, value in found.items() if name not in FREE}


def test_notes_change_nothing_but_the_notes(with_model: tuple[Made, Stub]) -> None:
    made, stub = with_model
    found, client = made.predicted(patient="I-1"), made.client("reader")
    before = report(made, found["id"])
    assert before["summary"]["source"] == "model", "the model does phrase"
    where = f"/api/v1/studies/{found['study_id']}"
    for number, at in enumerate(range(0, len(STRINGS), AT_ONCE), start=1):
        note = "\n".join(STRINGS[at : at + AT_ONCE])
        changed = client.patch(where, json={"note": note}, headers={"If-Match": f'"{number}"'})
        assert changed.status_code == 200, changed.text
        assert report(made, found["id"]) == before, note
    assert not [
        body for body in stub.bodies if any(text in json.loads(body)["messages"][1]["content"] for text in STRINGS)
    ]


def test_tags_change_nothing(with_model: tuple[Made, Stub]) -> None:
    made, stub = with_model
    client = made.client("reviewer")
    reports = []
    for text in ("Doe^Jane", *STRINGS[::25]):
        name = text.encode("ascii", "ignore").decode()[:60]
        sent = [("files", (f"{name[:30]}.dcm", dicom(number=n, name=name), "application/dicom")) for n in (1, 2)]
        study = client.post("/api/v1/studies", data={"project": made.inside, "patient": "I-2"}, files=sent).json()
        job = client.post(f"/api/v1/studies/{study['id']}/predictions", json={}).json()
        made.worked()
        made_now = client.get(f"/api/v1/jobs/{job['id']}").json()["result"]["prediction"]
        reports.append(report(made, made_now))
    assert all(one == reports[0] for one in reports)
    assert "Doe" not in "".join(stub.bodies)
