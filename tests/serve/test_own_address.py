"""Whoever watches over one replica of many asks it by its address, which is no name that could be pointed elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from insula.serve.settings import Settings
from insula.serve.shield import Shield

pytestmark = pytest.mark.serve


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def status(
    host: str, server: tuple[str, int | None] | None, hosts: str = "insula.example", path: str = "/metrics"
) -> int:
    settings = Settings(host="0.0.0.0", database="sqlite:////nowhere.db", hosts=hosts)
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": server,
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Shield(answers, settings)(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", ["/metrics", "/health"])
def test_a_replica_answers_under_the_address_that_it_was_asked_at(path: str) -> None:
    assert status("10.1.2.3:8000", ("10.1.2.3", 8000), path=path) == 200
    assert status("[fd00::7]:8000", ("fd00::7", 8000), path=path) == 200
    assert status("insula.example", ("10.1.2.3", 8000), path=path) == 200


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("10.1.2.4", ("10.1.2.3", 8000)),
        ("elsewhere.example", ("10.1.2.3", 8000)),
        ("elsewhere.example", ("elsewhere.example", 8000)),
        ("", ("", None)),
        ("10.1.2.3", None),
        ("10.1.2.3.elsewhere.example", ("10.1.2.3", 8000)),
    ],
)
def test_no_other_name_or_address_is_answered(host: str, server: tuple[str, int | None] | None) -> None:
    assert status(host, server) == 403
