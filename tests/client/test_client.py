"""The client against the service itself, over a socket of this machine."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nibabel as nib
import pytest
from sqlalchemy import func, select
from tests.client.live import Live, live, series

from insula.client import Client, Job, JobFailedError, RemoteError, UnfinishedError, UnreachableError
from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve


class Losing(httpx.BaseTransport):
    """Real connections, of which the first answers get lost after the service has done its work."""

    def __init__(self, lost: int) -> None:
        self.inner = httpx.HTTPTransport()
        self.lost, self.sent = lost, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        answer = self.inner.handle_request(request)
        if self.sent <= self.lost:
            answer.read()
            raise httpx.RemoteProtocolError("the answer was lost on the way")
        return answer

    def close(self) -> None:
        self.inner.close()


def count(server: Live, table: str) -> int:
    with reading(server.made.service.records) as connection:
        return connection.execute(select(func.count()).select_from(schema.metadata.tables[table])).scalar_one()


def test_upload_predict_and_everything_that_follows(server: Live, scan: Path) -> None:
    with server.client("reviewer") as client:
        assert client.health().model_loaded
        assert client.model_info().classes == ("normal", "stroke")
        (project,) = client.projects()
        assert (project.id, project.name) == (server.made.inside, "Inside")
        sent: list[tuple[int, int]] = []
        study = client.upload(
            scan,
            project.id,
            "P-7",
            patient_name="İğdır Çınar",
            title="Head",
            attributes={"age": "63"},
            told=lambda done, whole: sent.append((done, whole)),
        )
        assert (study.patient_key, study.patient_name, study.attributes) == ("P-7", "İğdır Çınar", {"age": "63"})
        assert [one.name for one in study.files] == ["1.dcm", "2.dcm"]
        assert sent[-1][0] == sent[-1][1] > sum(one.size for one in study.files)
        assert client.study(study) == study

        found = client.predict_study(study, wait=60, uncertainty=True)
        assert found.study_id == study.id
        assert found.answer["probabilities"].keys() == {"normal", "stroke"}
        assert client.prediction(found.id) == found
        assert [one.id for one in client.history(patient="P-7", since=datetime(2020, 1, 1, tzinfo=UTC))] == [found.id]
        assert list(client.history(patient="P-7", disagreed=True)) == []

        assert client.report(found).startswith(b"%PDF-1.")
        assert "İğdır Çınar" in client.report(found, "html", "tr").decode()
        assert json.loads(client.report(found, "fhir"))["resourceType"] == "DiagnosticReport"
        (one,) = client.scans(found)
        assert (one.scan, one.slices) == ("ct", 2)
        assert client.slice_png(found, "ct", 1, one.classes[1]).startswith(b"\x89PNG")
        heat, under = client.heat(found, "ct", one.classes[1]), client.scan_nifti(found, "ct")
        shapes = [nib.Nifti1Image.from_bytes(gzip.decompress(data)).shape for data in (heat, under)]
        assert shapes == [(one.columns, one.rows, 2)] * 2
        assert client.summary(found).source == "template"
        assert client.ask(found, "What is the decision?").quotes

        assert found.id in {one.id for one in client.queue()}
        made = client.review(study, found.answer["target"], "agree", "R. Viewer", prediction=found)
        assert [one.id for one in client.reviews(study)] == [made.id]
        assert found.id not in {one.id for one in client.queue()}
        assert [m.state for m in client.models()] == ["active"]
    with server.client("auditor") as auditor:
        lines = b"".join(auditor.trail_export(action="review.write")).splitlines()
        assert [json.loads(line)["subject"] for line in lines] == [study.id]
        assert b"".join(auditor.trail_export("csv")).count(b"\n") > len(lines)


def test_the_plain_endpoint(server: Live, scan: Path) -> None:
    with server.client("reader") as client:
        plain, spread = client.predict(scan), client.predict(scan / "1.dcm", uncertainty=True)
        assert plain.uncertainty is None
        assert spread.uncertainty is not None
        assert set(spread.uncertainty) == {"normal", "stroke"}
        assert plain.insula.decision in ("accept", "refer", "reject")


def test_answers_lost_on_the_way_make_nothing_twice(server: Live, scan: Path) -> None:
    before = [count(server, name) for name in ("studies", "predictions", "reviews")]
    pauses: list[float] = []
    with server.client(transport=Losing(2), sleep=pauses.append) as client:
        study = client.upload(scan, server.made.inside, "LOST-1")
    assert len(pauses) == 2
    with server.client(transport=Losing(1), sleep=lambda _: None) as client:
        found = client.predict_study(study, wait=60)
    with server.client(transport=Losing(1), sleep=lambda _: None) as client:
        client.review(study, found.answer["target"], "agree", "R. Viewer", prediction=found)
    after = [count(server, name) for name in ("studies", "predictions", "reviews")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]


def test_a_service_without_a_place_is_asked_again(server: Live, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, refusals = server.made.service.line, [1, 2]
    pauses: list[float] = []

    def check() -> None:
        if refusals:
            raise RequestError(503, "busy", "All places are taken.", {"Retry-After": str(refusals.pop())})

    monkeypatch.setattr(line, "check", check)
    with server.client(sleep=pauses.append) as client:
        assert client.predict(scan).class_name
    assert pauses == [2.0, 1.0]


def test_wrong_keys_and_rights(server: Live, scan: Path) -> None:
    for key, code in (("ins_0123456789_" + "x" * 43, "unauthorised"), ("", "unauthorised")):
        with Client(server.address, key) as client:
            assert client.health().status == "ok"
            with pytest.raises(RemoteError) as caught:
                client.models()
            assert (caught.value.status, caught.value.code) == (401, code)
            assert not key or key not in str(caught.value)
    with server.client("auditor") as auditor, pytest.raises(RemoteError, match=r"study\.write"):
        auditor.upload(scan, server.made.inside, "P-8")
    with server.client("reader") as reader:
        with pytest.raises(RemoteError) as hidden:
            reader.upload(scan, server.made.outside, "P-8")
        assert hidden.value.status in (403, 404)
        with pytest.raises(RemoteError) as unknown:
            reader.prediction("0" * 32)
        assert (unknown.value.status, unknown.value.code) == (404, "not_found")


def test_a_scan_that_the_model_does_not_take_is_a_failed_job_with_its_reason(server: Live, tmp_path: Path) -> None:
    with server.client() as client:
        study = client.upload(series(tmp_path / "mr", modality="MR"), server.made.inside, "MR-1")
        with pytest.raises(JobFailedError, match="MR") as caught:
            client.predict_study(study, wait=60)
        assert caught.value.code == "unsuitable_scan"
        assert client.job(caught.value.job).state == "failed"


def test_a_file_that_is_no_scan_leaves_no_study(server: Live, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no scan")
    before = count(server, "studies")
    with server.client() as client, pytest.raises(RemoteError) as caught:
        client.upload(tmp_path / "note.txt", server.made.inside, "N-1")
    assert (caught.value.status, count(server, "studies")) == (415, before)


def test_who_does_not_wait_can_follow_the_job(server: Live, scan: Path) -> None:
    told: list[Job] = []
    with server.client() as client:
        study = client.upload({"ct": scan}, server.made.inside, "W-1")
        assert {one.role for one in study.files} == {"ct"}
        with pytest.raises(UnfinishedError) as caught:
            client.predict_study(study, wait=0)
        found = client.follow(caught.value.job, wait=60, told=told.append)
        assert found.study_id == study.id
        assert told[-1].state == "done"


def test_a_request_above_the_services_limit_says_so(tmp_path: Path) -> None:
    with live(tmp_path / "small", max_upload_mb=1) as server, server.client(sleep=lambda _: None) as client:
        (tmp_path / "big.dcm").write_bytes(b"\0" * (8 << 20))
        with pytest.raises(RemoteError) as caught:
            client.upload(tmp_path / "big.dcm", server.made.inside, "B-1")
        assert (caught.value.status, caught.value.code) == (413, "too_large")


def test_where_nothing_listens(server: Live) -> None:
    with (
        Client("http://127.0.0.1:1", "k" * 20, sleep=lambda _: None) as client,
        pytest.raises(UnreachableError, match="4 tries"),
    ):
        client.health()
