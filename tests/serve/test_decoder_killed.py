"""Decoding processes that somebody kills: the service says that it could not look, and blames no scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serve.api.made import Made, service
from tests.serve.client import dicom

from insula.scans import sandbox

pytestmark = pytest.mark.serve
FAULTS = "tests.scans.made_faults:"
SENT = [("files", ("1.dcm", dicom(), "application/dicom"))]


@pytest.fixture
def made(tmp_path: Path, tiny_bundle: Any) -> Any:
    with service(tiny_bundle(unit="series"), f"sqlite:///{tmp_path}/insula.db", tmp_path) as one:
        yield one


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whatever is to be decoded from here on, its process is killed."""

    def arm() -> None:
        real = sandbox.Sandbox.run
        monkeypatch.setattr(
            sandbox.Sandbox, "run", lambda self, task, about, facts, *more: real(self, FAULTS + "killed", about, facts)
        )

    return arm


def test_an_upload_whose_decoder_is_killed_twice_is_a_503(made: Made, killed: Any) -> None:
    """It was 422 with a text that blamed the scan, or 500."""
    client = made.client("reviewer")
    form = {"project": made.inside, "patient": "P-1"}
    killed()
    answer = client.post("/api/v1/studies", data=form, files=SENT)
    assert (answer.status_code, answer.json()["code"]) == (503, "decoder_killed")
    assert "scan" in answer.json()["detail"]
    assert client.get("/api/v1/studies").json()["items"] == []


def test_a_job_whose_decoder_is_killed_twice_is_tried_again(made: Made, killed: Any) -> None:
    client = made.client("reviewer")
    study = made.study()
    asked = client.post(f"/api/v1/studies/{study['id']}/predictions", json={}).json()
    killed()
    made.worked()
    job = client.get(f"/api/v1/jobs/{asked['id']}").json()
    assert (job["state"], job["error"]["code"]) == ("waiting", "decoder_killed")
