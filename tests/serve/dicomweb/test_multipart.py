"""Messages of several parts, however they are cut into blocks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.serve.dicomweb import multipart
from insula.serve.dicomweb.multipart import parts, whole, written
from insula.serve.faults import RequestError

DICOM = "application/dicom"


def request(body: bytes, kind: str, block: int = 1 << 16, goes: bool = False) -> Request:
    """A request whose body comes in blocks; goes: whose sender goes away at the end."""
    blocks = [body[at : at + block] for at in range(0, len(body), block)]

    async def receive() -> dict[str, Any]:
        if blocks:
            return {"type": "http.request", "body": blocks.pop(0), "more_body": bool(blocks) or goes}
        return {"type": "http.disconnect"} if goes else {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode("latin-1"))]}
    return Request(scope, cast(Any, receive))


async def _read(found: AsyncIterator[multipart.Part]) -> list[tuple[str, bytes]]:
    return [(one.kind, one.content.read()) async for one in found]


def read(body: bytes, kind: str, block: int = 1 << 16, **more: Any) -> list[tuple[str, bytes]]:
    return asyncio.run(_read(parts(request(body, kind, block, **more), DICOM)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 64))
def test_what_is_written_is_read_in_any_blocks(pieces: list[bytes], block: int) -> None:
    kind, blocks = written(iter([[one] for one in pieces]), DICOM)
    assert read(b"".join(blocks), kind, block) == [(DICOM, one) for one in pieces]


def test_boundaries_are_of_one_message_alone() -> None:
    first, second = (written(iter([[b"x"]]), DICOM)[0] for _ in range(2))
    assert first != second
    assert re.search(r'boundary="insula-[0-9a-f]{32}"', first)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", f'multipart/related; type="{DICOM}"; boundary=b', 400),
        (b"--b\r\n\r\nhalf a part", f'multipart/related; type="{DICOM}"; boundary=b', 400),
        (b"--other--", f'multipart/related; type="{DICOM}"; boundary=b', 400),
        (b"--b--", f'multipart/related; type="{DICOM}"', 400),
        (b"--b--", f'multipart/related; type="{DICOM}"; boundary="{"b" * 71}"', 400),
        (b"--b\r\n" + b"X: " + b"y" * 5000, f'multipart/related; type="{DICOM}"; boundary=b', 400),
        (b"--b\r\n" + b"X: y\r\n" * 5000, f'multipart/related; type="{DICOM}"; boundary=b', 400),
        (b"--b--", 'multipart/related; type="text/html"; boundary=b', 415),
        (b"--b--", "multipart/form-data; boundary=b", 415),
        (b"--b--", "", 415),
    ],
)
def test_what_is_no_such_message_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        read(body, kind)
    assert caught.value.status == status


def test_there_are_no_more_parts_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MOST_PARTS", 2)
    kind, blocks = written(iter([[b"x"]] * 3), DICOM)
    with pytest.raises(RequestError) as caught:
        read(b"".join(blocks), kind)
    assert caught.value.status == 413


def test_a_sender_that_goes_away_leaves_nothing_open() -> None:
    kind, blocks = written(iter([[b"x"]]), DICOM)
    half = b"".join(blocks)[:-20]
    with pytest.raises(RequestError) as caught:
        read(half, kind, 7, goes=True)
    assert caught.value.status == 400
    with pytest.raises(RequestError) as caught:
        asyncio.run(whole(request(half, DICOM, 2, goes=True), 1000))
    assert caught.value.status == 400


def test_a_short_body_is_short() -> None:
    assert asyncio.run(whole(request(b"abc", DICOM, 1), 3)) == b"abc"
    with pytest.raises(RequestError) as caught:
        asyncio.run(whole(request(b"abcd", DICOM, 1), 3))
    assert caught.value.status == 413
