"""What is sent again, how long after, and what becomes of refusals: by a transport that plays the service."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.client.live import series

from insula.client import Client, JobFailedError, RemoteError, UnfinishedError, UnreachableError
from insula.core.errors import InsulaError

pytestmark = pytest.mark.serve

OK = {"status": "ok", "model_loaded": True}
JOB = {"id": "a" * 32, "kind": "predict", "state": "waiting", "created_at": "2026-01-31T08:00:00Z"}
Step = httpx.Response | Exception


class Played(httpx.BaseTransport):
    """Answers in turn; keeps what was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.bodies.append(request.read())
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"type": f"/docs/problems#{code}", "title": "x", "status": status, "code": code, "detail": "So it is."}
    return answer(status, body, content_type="application/problem+json", **headers)


def client(played: Played, slept: list[float], **options: Any) -> Client:
    return Client("https://insula.example.org", "k" * 20, transport=played, sleep=slept.append, **options)


def test_the_time_that_the_service_asks_for_is_kept() -> None:
    slept: list[float] = []
    played = Played(problem(503, "busy", Retry_After="7"), problem(429, "too_many", Retry_After="3"), answer(200, OK))
    assert client(played, slept).health().model_loaded
    assert slept == [7.0, 3.0]


def test_without_such_a_time_pauses_grow_and_tries_end() -> None:
    slept: list[float] = []
    played = Played(*(problem(503, "busy") for _ in range(4)))
    with pytest.raises(RemoteError) as caught:
        client(played, slept).health()
    assert (caught.value.status, caught.value.code, caught.value.detail) == (503, "busy", "So it is.")
    assert len(played.asked) == 4
    assert [0.5 * 2**n / 2 <= pause <= 0.5 * 2**n for n, pause in enumerate(slept)] == [True] * 3


@pytest.mark.parametrize(
    "wanted",
    ["3600", format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True)],
    ids=["seconds", "date"],
)
def test_a_time_beyond_the_bound_ends_it_at_once(wanted: str) -> None:
    slept: list[float] = []
    with pytest.raises(RemoteError, match="503"):
        client(Played(problem(503, "busy", Retry_After=wanted)), slept).health()
    assert slept == []


def test_a_date_that_is_past_is_no_pause_and_nonsense_is_passed_over() -> None:
    slept: list[float] = []
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    played = Played(*(problem(503, "busy", Retry_After=t) for t in (past, "soon")), answer(200, OK))
    client(played, slept).health()
    assert slept[0] == 0.0
    assert slept[1] > 0.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 502, 504])
def test_other_refusals_are_told_at_once(status: int) -> None:
    played = Played(problem(status, "so"))
    with pytest.raises(RemoteError) as caught:
        client(played, []).health()
    assert isinstance(caught.value, InsulaError)
    assert (caught.value.status, caught.value.code, len(played.asked)) == (status, "so", 1)


def test_the_same_request_still_at_work_is_waited_for() -> None:
    slept: list[float] = []
    assert client(Played(problem(409, "at_work", Retry_After="1"), answer(200, OK)), slept).health()
    assert slept == [1.0]


LOST = (httpx.ReadError("cut"), httpx.RemoteProtocolError("no answer"), httpx.ReadTimeout("late"))


@pytest.mark.parametrize("error", [*LOST, httpx.ConnectError("refused")])
def test_a_lost_connection_is_tried_again_with_the_same_key_and_bytes(error: Exception, tmp_path: Path) -> None:
    scan = series(tmp_path / "s")
    study = {"id": "b" * 32, "project_id": "p", "patient_id": "q", "patient_key": "P-1", "version": 1}
    played = Played(error, answer(201, {**study, "created_at": "2026-01-31T08:00:00Z"}))
    assert client(played, []).upload(scan, "c" * 32, "P-1").id == "b" * 32
    first, second = played.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert played.bodies[0] == played.bodies[1]
    assert int(first.headers["content-length"]) == len(played.bodies[0])
    assert "transfer-encoding" not in first.headers


def test_each_upload_has_a_key_of_its_own_unless_it_is_given(tmp_path: Path) -> None:
    scan = series(tmp_path / "s")
    study = {"id": "b" * 32, "project_id": "p", "patient_id": "q", "patient_key": "P-1", "version": 1}
    played = Played(*(answer(201, {**study, "created_at": "2026-01-31T08:00:00Z"}) for _ in range(3)))
    one = client(played, [])
    for given in (None, None, "mine"):
        one.upload(scan, "c" * 32, "P-1", idempotency_key=given)
    keys = [request.headers["idempotency-key"] for request in played.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize("error", LOST)
def test_what_might_count_twice_is_not_sent_again(error: Exception, tmp_path: Path) -> None:
    scan = series(tmp_path / "s")
    asks: list[Callable[[Client], object]] = [lambda c: c.predict(scan), lambda c: c.ask("a" * 32, "Why?")]
    for ask in asks:
        played = Played(error, error)
        with pytest.raises(UnreachableError) as caught:
            ask(client(played, []))
        assert (caught.value.status, caught.value.code, len(played.asked)) == (0, "unreachable", 1)


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b'{"status": '
            raise httpx.RemoteProtocolError("incomplete")

    played = Played(httpx.Response(200, stream=Cut()), answer(200, OK))
    assert client(played, []).health().status == "ok"


def test_a_certificate_that_is_not_trusted_is_no_matter_of_tries() -> None:
    wrong = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    wrong.__cause__ = ssl.SSLCertVerificationError("self-signed")
    played = Played(wrong)
    with pytest.raises(UnreachableError, match="SSL_CERT_FILE"):
        client(played, []).health()


def test_a_redirect_is_not_followed_and_the_key_stays_here() -> None:
    played = Played(answer(307, Location="https://elsewhere.example.org/health"))
    with pytest.raises(RemoteError, match="another address") as caught:
        client(played, []).health()
    assert caught.value.code == "redirect"
    assert [r.url.host for r in played.asked] == ["insula.example.org"]


def test_what_is_no_service_says_so() -> None:
    for reply in (httpx.Response(200, text="<html>"), answer(200, [1])):
        with pytest.raises(RemoteError, match="Insula service"):
            client(Played(reply), []).health()
    with pytest.raises(RemoteError, match="404") as caught:
        client(Played(httpx.Response(404, text="<html>")), []).health()
    assert caught.value.code == "http"
    for reply in (answer(200, {"items": 1}), answer(200, [])):
        with pytest.raises(RemoteError, match="Insula service"):
            list(client(Played(reply), []).history())


def test_a_refusal_cannot_write_commands_to_the_terminal() -> None:
    body = {"error": {"code": "bad", "message": "first\x1b[2J\r\nsecond"}}
    with pytest.raises(RemoteError) as caught:
        client(Played(answer(400, body)), []).health()
    assert str(caught.value).isprintable()


def test_pages_follow_each_other_as_they_are_asked_for() -> None:
    row = {"study_id": "s", "action": "refer", "label": "stroke", "confidence": 0.5}
    pages = [
        answer(200, {"items": [{**row, "id": "1"}, {**row, "id": "2"}], "next": "MTI"}),
        answer(200, {"items": [{**row, "id": "3"}], "next": None}),
    ]
    played = Played(*pages)
    rows = client(played, []).queue()
    assert [next(rows).id, next(rows).id] == ["1", "2"]
    assert len(played.asked) == 1
    assert [one.id for one in rows] == ["3"]
    assert played.asked[1].url.params["after"] == "MTI"


def test_a_job_is_looked_at_until_it_ends_or_the_time_is_over() -> None:
    now, slept, told = [0.0], [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    def made(*steps: Step) -> Client:
        played = Played(answer(202, JOB), *steps)
        return Client("https://x.example", "k" * 20, transport=played, sleep=sleep, clock=lambda: now[0])

    running = {**JOB, "state": "running", "step": "reading"}
    failed = {**JOB, "state": "failed", "error": {"code": "unsuitable_scan", "message": "It is MR."}}
    with pytest.raises(JobFailedError, match="It is MR") as caught:
        made(answer(200, running), answer(200, failed)).predict_study("b" * 32, told=lambda job: told.append(job.state))
    assert (caught.value.code, caught.value.job.state) == ("unsuitable_scan", "failed")
    assert (told, slept) == (["waiting", "running", "failed"], [0.25, 0.5])
    for state in ("dead", "cancelled"):
        with pytest.raises(JobFailedError, match=state if state == "cancelled" else "failed"):
            made(answer(200, {**JOB, "state": state})).predict_study("b" * 32)
    now[0] = 0.0
    with pytest.raises(UnfinishedError, match="3 s") as late:
        made(*(answer(200, running) for _ in range(9))).predict_study("b" * 32, wait=3.0)
    assert now[0] == 3.0
    assert late.value.job.state == "running"


@pytest.mark.parametrize("name", ["../users", "..", "a/b", "", "a?b", ".hidden"])
def test_an_id_cannot_lead_to_another_address(name: str) -> None:
    played = Played()
    with pytest.raises(InsulaError, match="no id"):
        client(played, []).prediction(name)
    assert played.asked == []


def test_the_key_is_in_its_header_alone() -> None:
    played = Played(answer(200, OK))
    client(played, []).health()
    (asked,) = played.asked
    assert asked.headers["authorization"] == f"Bearer {'k' * 20}"
    assert "k" * 20 not in str(asked.url) + json.dumps(dict(asked.headers) | {"authorization": ""})
