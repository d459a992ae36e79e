"""Parsers of what comes by HTTP: messages of parts, searches, data sets in JSON, headers, cookies, tokens, cursors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from fastapi import Request
from tests.faults.guided.target import Target
from tests.serve.dicomweb.made import message, workitem

from insula.scans import worker
from insula.serve.api import cursor
from insula.serve.dicomweb import match, media, multipart, payload, ups
from insula.serve.faults import RequestError
from insula.serve.narrative import check
from insula.serve.narrative.catalogue import Language
from insula.serve.people import cookies, tokens
from insula.serve.web import language, markdown

_NOW = datetime(2026, 11, 26, tzinfo=UTC)
_ROW = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}, "00080020": {"vr": "DA", "Value": ["20261126"]}}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _request(query: bytes = b"", accept: bytes = b"") -> Request:
    return Request({"type": "http", "query_string": query, "headers": [(b"accept", accept)]})


def _message(data: bytes) -> None:
    found = []
    for size in (len(data) or 1, 7):
        reader = multipart._Reader("frontier", multipart.spooled)
        try:
            blocks = (data[at : at + size] for at in range(0, len(data), size))
            made = []
            for part in (part for block in blocks for part in reader.feed(block)):
                with part.content:
                    part.content.seek(0)
                    made.append((part.kind, part.content.read()))
            found.append((made, reader.over))
        finally:
            reader.close()
    assert found[0] == found[1], "it depends on how the bytes came"


def _search(data: bytes) -> None:
    search = match.search_of(_request(data))
    assert 0 <= search.limit <= match.MOST_ROWS
    if match.fit(search.keys, _ROW):
        match.page([match.shown(_ROW, (), search)], search)
    assert isinstance(search.value("0020000D"), str)


def _accepted(data: bytes) -> None:
    for one in (media.parsed(data.decode("latin-1")), *media.accepted(_request(accept=data))):
        assert 0.0 <= one.quality <= 1.0


def _work_item(data: bytes) -> None:
    given = payload.dataset_of(data)
    assert payload.dataset_of(json.dumps(given).encode()) == given
    item, _ = ups.created(given, "1.2.3", "Inside", _NOW)
    ups.name_of(given, {})
    ups.transaction_of(given, {})
    ups.unmet(item, "COMPLETED")
    ups.unmet(item, "CANCELED")
    ups.cancelled(item, given, _NOW)
    ups.updated(item, "SCHEDULED", given, False, "", _NOW)


def _cursors(data: bytes) -> None:
    text = _text(data)[:40]
    number = cursor.seen(text)
    assert number is not None
    assert cursor.seen(cursor.cursor(number)) == number


def _places(data: bytes) -> None:
    found = cursor.place(_text(data)[:40])
    assert found is not None
    assert cursor.place(cursor.placed(*found)) == found


def _token(data: bytes) -> None:
    tokens.Verifier(()).verify(_text(data), _NOW)


def _claims(data: bytes) -> None:
    said = json.loads(data)
    if isinstance(said, dict) and {"exp", "iat"} <= said.keys():
        tokens._check_instants(said, _NOW, timedelta(seconds=30))


def _page(data: bytes) -> None:
    found = markdown.rendered(_text(data), "docs/x.md", lambda path: None)
    assert "<script" not in found.html.lower()
    assert "javascript:" not in "".join(found.html.lower().split('href="')[1:2])


def _sentence(data: bytes) -> None:
    for tongue in get_args(Language):
        taken = check.check_sentence(_text(data), [], tongue) is None
        assert not (taken and any(c.isdigit() for c in _text(data))), "a figure that no fact has was taken"


def _from_worker(data: bytes) -> None:
    shapes: Any = json.loads(data)
    if isinstance(shapes, list):
        _, total = worker.layout(shapes)
        assert total >= 0


_JSON = (json.JSONDecodeError, UnicodeDecodeError)
_HEAD = b"eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL3gifQ.AAAA"
TARGETS = {
    "message of several parts": Target(_message, (message([b"one", b"two\r\n--fron"])["content"],), (RequestError,)),
    "query of a search": Target(
        _search,
        (b"PatientName=A*&limit=5&includefield=all", b"00080020=20260101-20261231&fuzzymatching=true&offset=1"),
        (RequestError,),
    ),
    "accepted media types": Target(_accepted, (b'multipart/related; type="application/dicom"; q=0.5, */*;q=0.1',)),
    "data set in JSON": Target(_work_item, (json.dumps(workitem()).encode(),), (RequestError,)),
    "cursor of a list": Target(_cursors, (cursor.cursor(4711).encode(),), (RequestError,)),
    "cursor of a list by time": Target(_places, (cursor.placed(_NOW, 4711).encode(),), (RequestError,)),
    "bearer token": Target(_token, (_HEAD, b"a.b.c"), (RequestError,)),
    "claims of a token": Target(_claims, (b'{"exp": 1, "iat": 2, "nbf": 3.5}',), (RequestError, *_JSON)),
    "cookies": Target(lambda data: cookies.cookies_named("insula", [_text(data)]), (b"insula=x; insula=y",)),
    "accepted languages": Target(
        lambda data: language.chosen("", _text(data)), (b"de-AT, de;q=0.9, en;q=0.8, *;q=0.1",)
    ),
    "Markdown": Target(_page, (b"# A\n\n[b](javascript:x) <script>\n\n| a |\n|---|\n| c |\n\n## D\n```\ne\n```",)),
    "sentence of a language model": Target(_sentence, (b"The scan shows 3 lesions.", "İstanbul ﬁ 1.5 %.".encode())),
    "shapes that a worker sends": Target(
        _from_worker, (b'[[[2, 3], "<f4"], [[], "|u1"]]',), (ValueError, TypeError, SyntaxError, OverflowError)
    ),
}
