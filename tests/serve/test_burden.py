"""All requests together may ask for so much, and the one that watches over the service is always answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send
from tests.serve.client import client, dicom

from insula.bundle.types import Bundle
from insula.serve.burden import LARGEST_BODIES, Burden
from insula.serve.faults import RequestError
from insula.serve.settings import Settings
from insula.serve.shield import Shield
from insula.serve.upload import form_of

pytestmark = pytest.mark.serve


def test_one_request_too_many_is_told_when_to_come_again() -> None:
    burden = Burden(1 << 20, requests=2)
    with burden.request() as one, burden.request() as two, burden.request() as three, burden.request() as slow:
        for each in (one, two, two):
            each.whole()
        with pytest.raises(RequestError, match="2 requests are at work") as caught:
            three.whole()
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "5")
        slow.add(1)  # a body that is still on its way takes no place
        assert burden.requests == 2
    with burden.request() as one:
        one.whole()
        assert burden.requests == 1
    assert burden.requests == 0


def test_bodies_on_their_way_are_bounded_together_and_make_room_when_they_end() -> None:
    burden = Burden(1000)
    with burden.request() as first:
        first.add(LARGEST_BODIES * 1000 - 1)
        with burden.request() as second:
            second.add(1)
            with pytest.raises(RequestError) as caught:
                second.add(1)
            assert (caught.value.status, caught.value.headers["Connection"]) == (503, "close")
    assert burden.bytes == 0
    with burden.request() as third:
        third.add(LARGEST_BODIES * 1000)


def test_a_full_service_still_answers_for_its_health() -> None:
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    shield = Shield(app, Settings())
    shield.burden.requests = shield.burden.most_requests

    def status(path: str, *more: tuple[bytes, bytes]) -> int:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), *more]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        asyncio.run(shield(scope, receive, send))
        found: int = sent[0]["status"]
        return found

    assert [status(path) for path in ("/health", "/predict", "/api/v1/studies")] == [200, 503, 503]
    body = (b"content-length", b"1")  # a request for reading whose body nobody would read is work all the same
    assert [status(path, body) for path in ("/health", "/api/v1/studies")] == [200, 503]
    assert asked == ["/health"] * 2


def test_streams_of_events_take_no_place_of_a_request_and_have_a_bound_of_their_own() -> None:
    opened = asyncio.Event()
    answers: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"].endswith("/events"):
            opened.set()
            await asyncio.sleep(3600)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    async def story() -> None:
        shield = Shield(app, Settings())
        shield.burden.most_requests = shield.burden.most_streams = 1

        def ask(path: str) -> Any:
            scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": b"",
                "headers": [(b"host", b"[::1]")],
            }
            return shield(scope, receive, send)

        events = f"/api/v1/jobs/{'a' * 32}/events"
        following = asyncio.create_task(ask(events))
        await opened.wait()
        await ask("/api/v1/studies")
        await ask(events)
        assert answers == [200, 503]
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert (shield.burden.streams, shield.burden.requests, shield.burden.bytes) == (0, 0, 0)

    asyncio.run(story())


def test_what_goes_wrong_in_the_middle_of_an_answer_begins_no_second_one() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RequestError(503, "busy", "too late")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": [(b"host", b"localhost")]}
    with pytest.raises(RequestError, match="too late"):
        asyncio.run(Shield(app, Settings())(scope, receive, send))
    assert [one["type"] for one in sent] == ["http.response.start"]


def test_many_bodies_at_once_are_refused_through_the_whole_service(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    app: Any = service.app
    assert service.post("/predict", files={"file": ("a.dcm", dicom())}).status_code == 200
    shield = app.middleware_stack
    while not isinstance(shield, Shield):
        shield = shield.app
    shield.burden.bytes = shield.burden.most_bytes
    answer = service.post("/predict", files={"file": ("a.dcm", dicom())})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    shield.burden.bytes = 0
    assert service.post("/predict", files={"file": ("a.dcm", dicom())}).status_code == 200
    assert (shield.burden.bytes, shield.burden.requests) == (0, 0)


def test_a_sender_that_goes_away_in_the_middle_of_a_form_is_no_fault_of_the_service() -> None:
    async def story() -> None:
        messages: list[Message] = [{"type": "http.request", "body": b"--b\r\n", "more_body": True}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        with pytest.raises(RequestError) as caught:
            async with form_of(request, 10):
                raise AssertionError("there is no form")
        assert (caught.value.status, caught.value.fault_code) == (499, "gone")
        assert isinstance(caught.value.__cause__, ClientDisconnect)

    asyncio.run(story())
