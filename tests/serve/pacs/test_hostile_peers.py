"""What peers answer is read as carefully as what callers send: typed errors, bounds, texts that are safe to show."""

from __future__ import annotations

import gzip
import json
import unicodedata
from random import Random
from typing import Any

import pytest
from tests.pacs.fuzz import mutate, objects
from tests.serve.pacs import hostile

from insula.core.errors import InsulaError
from insula.serve.pacs import dimse, web_client
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import FoundSeries, FoundStudy, Query
from insula.serve.pacs.settings import PacsSettings

SETTINGS = PacsSettings(max_instance_mb=1)
PEER_ERRORS = (PeerAnswerError, PeerRefusedError, PeerUnreachableError)


def dicom_peer(port: int) -> Peer:
    return Peer("archive", "dicom", False, "127.0.0.1", port, "ARCHIVE")


def web_peer(port: int) -> Peer:
    return Peer("archive", "web", False, "127.0.0.1", port, path="/dicom-web")


def safe(found: FoundStudy | FoundSeries) -> bool:
    """Whether nothing in a row can break a page, a log or a terminal."""
    said = json.dumps(vars(found) if hasattr(found, "__dict__") else str(found), default=str, ensure_ascii=False)
    texts = [value for value in vars(found).values() if isinstance(value, str)]
    marks = {unicodedata.category(c) for text in texts for c in text}
    return not marks & {"Cc", "Cf", "Cs", "Zl", "Zp"} and len(said) < 2000


@pytest.mark.parametrize("number", range(30))
def test_a_search_over_dicom_ends_with_rows_or_an_error_of_ours(number: int) -> None:
    random = Random(f"find/{number}")
    with hostile.peer(hostile.dicom(random, hostile.FIND_ANSWER, str(dimse.FIND))) as port:
        try:
            found = dimse.find(SETTINGS, dicom_peer(port), Query(limit=10))
        except PEER_ERRORS:
            return
    assert len(found.studies) <= 10
    assert all(safe(one) for one in found.studies)


@pytest.mark.parametrize("number", range(20))
def test_an_echo_ends_with_a_time_or_an_error_of_ours(number: int) -> None:
    random = Random(f"echo/{number}")
    with hostile.peer(hostile.dicom(random, hostile.ECHO_ANSWER, str(dimse.VERIFICATION))) as port:
        try:
            assert dimse.echo(SETTINGS, dicom_peer(port)) > 0
        except PEER_ERRORS:
            return


@pytest.mark.parametrize("number", range(20))
def test_a_retrieval_ends_with_counts_or_an_error_of_ours(number: int) -> None:
    random = Random(f"get/{number}")
    taken: list[bytes] = []
    with hostile.peer(hostile.dicom(random, hostile.GET_ANSWER, str(dimse.GET))) as port:
        try:
            found = dimse.get(SETTINGS, dicom_peer(port), "1.2.3", taken.append)
        except PEER_ERRORS:
            return
    assert found.completed == len(taken) == 0


@pytest.mark.parametrize(
    ("bound", "what"), [("_STALLED", "a C-GET"), ("_STALLED", "a C-MOVE"), ("_TO_RETRIEVE", "a C-MOVE")]
)
def test_a_peer_that_says_for_ever_that_it_goes_on_is_given_up(
    bound: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimse, bound, 0.2)
    monkeypatch.setattr(dimse, "_classes", lambda *_: ())
    told: list[tuple[int, int | None]] = []

    def ask(port: int) -> object:
        if what == "a C-GET":
            return dimse.get(SETTINGS, dicom_peer(port), "1.2.3", lambda _: None, lambda *said: told.append(said))
        return dimse.move(SETTINGS, dicom_peer(port), "1.2.3", "NODE", lambda *said: told.append(said))

    kind, model = (hostile.GET_ANSWER, dimse.GET) if what == "a C-GET" else (hostile.MOVE_ANSWER, dimse.MOVE)
    with (
        hostile.peer(hostile.pending(kind, str(model))) as port,
        pytest.raises(PeerAnswerError, match=f"'archive' answers {what} that it goes on"),
    ):
        ask(port)
    assert told


ROW: dict[str, Any] = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Fuzz^Canary"}]},
    "00201208": {"vr": "IS", "Value": [3]},
}
DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES = [
    b"", b"{}", b"null", b"[1, 2]", b"[[]]", DEEP, b'[{"a":' * 50_000, b"\xff\xfe\x00", b"NaN", b"[1e999999]",
    b'"\\ud800"',
    json.dumps([ROW | {"0020000D": {"vr": "UI", "Value": "1.2"}}]).encode(),
    b"[" + b"9" * 5000 + b"]",
    json.dumps([ROW | {"00100010": {"vr": "PN", "Value": [["x"], 5, None, {"Alphabetic": {"a": 1}}]}}]).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_search_over_http_ends_with_rows_or_an_error_of_ours(body: bytes) -> None:
    with hostile.peer(hostile.http(body)) as port:
        for ask in (
            lambda: web_client.find(SETTINGS, web_peer(port), Query()).studies,
            lambda: web_client.series(SETTINGS, web_peer(port), "1.2.3"),
        ):
            try:
                rows = ask()
            except PEER_ERRORS:
                continue
            assert all(safe(one) for one in rows)


@pytest.mark.parametrize("number", range(30))
def test_a_changed_answer_to_a_search_does_no_harm(number: int) -> None:
    random = Random(f"qido/{number}")
    rows: list[dict[str, Any]] = [
        {
            tag: {"vr": vr, "Value": [random.choice((*objects.TEXTS, *objects.HOSTILE, 5, None, [], {}, 1e308))]}
            for tag, vr in (
                ("0020000D", "UI"),
                ("00081030", "LO"),
                ("00080020", "DA"),
                ("00100010", "PN"),
                ("00201208", "IS"),
            )
        }
        for _ in range(random.randint(0, 5))
    ]
    body = json.dumps(rows).encode()
    with hostile.peer(hostile.http(mutate.changed(random, body) if number % 2 else body)) as port:
        try:
            found = web_client.find(SETTINGS, web_peer(port), Query())
        except PEER_ERRORS:
            return
    assert all(safe(one) for one in found.studies)


def test_a_redirect_is_not_followed() -> None:
    asked: list[int] = []
    with hostile.peer(lambda _: asked.append(1)) as elsewhere:
        more = f"Location: http://127.0.0.1:{elsewhere}/dicom-web/studies\r\n"
        answer = hostile.http(b"", status="302 Found", more=more)
        with hostile.peer(answer) as port, pytest.raises(PeerRefusedError, match="points elsewhere"):
            web_client.find(SETTINGS, web_peer(port), Query())
    assert asked == []


def test_a_packed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    answer = hostile.http(bomb, more="Content-Encoding: gzip\r\n")
    with hostile.peer(answer) as port, pytest.raises(PeerAnswerError, match="packs its answer"):
        web_client.find(SETTINGS, web_peer(port), Query())


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    answer = hostile.http(b" " * (33 << 20), length=1 << 40)
    with hostile.peer(answer) as port, pytest.raises(PeerAnswerError, match="more than"):
        web_client.find(SETTINGS, web_peer(port), Query())


def test_an_answer_that_ends_too_early_is_no_answer() -> None:
    with hostile.peer(hostile.http(b"[", length=500)) as port, pytest.raises(PEER_ERRORS):
        web_client.find(SETTINGS, web_peer(port), Query())


def parted(random: Random, data: bytes) -> tuple[bytes, str]:
    """A message of several parts, with mistakes."""
    mark = random.choice(("x", "a" * 70, "b b", '"', "=?"))
    head = random.choice(
        (b"Content-Type: application/dicom\r\n\r\n", b"\r\n", b"X: " + b"y" * 70_000 + b"\r\n\r\n", b"")
    )
    part = b"--" + mark.encode() + b"\r\n" + head + data + b"\r\n"
    end = random.choice((b"--" + mark.encode() + b"--\r\n", b"", b"--" + mark.encode(), b"-" * 3000))
    kind = random.choice(
        (f'multipart/related; type="application/dicom"; boundary="{mark}"', "multipart/related", "text/html", "")
    )
    return part * random.randint(0, 3) + end, kind


@pytest.mark.parametrize("number", range(30))
def test_a_study_over_http_ends_with_counts_or_an_error_of_ours(number: int) -> None:
    random = Random(f"wado/{number}")
    taken: list[bytes] = []
    body, kind = parted(
        random, random.choice((mutate.junk(random, 500), bytes(2 << 20), objects.hostile(random, "1.2")))
    )
    with hostile.peer(hostile.http(mutate.changed(random, body) if number % 3 == 0 else body, kind)) as port:
        try:
            found = web_client.get(SETTINGS, web_peer(port), "1.2.3", taken.append)
        except PEER_ERRORS:
            pass
        else:
            assert found.completed == len(taken)
    assert all(len(one) <= 2 << 20 for one in taken)


@pytest.mark.parametrize(
    "uid", [one for one in objects.HOSTILE if one.strip() != one or not one or "/" in one or "\n" in one]
)
def test_a_uid_that_is_none_is_never_asked_for(uid: str) -> None:
    asked: list[int] = []
    with hostile.peer(lambda _: asked.append(1)) as port:
        for ask in (dimse.series, dimse.move):
            more = ("INSULA",) if ask is dimse.move else ()
            with pytest.raises(InsulaError, match="no UID"):
                ask(SETTINGS, dicom_peer(port), uid, *more)
        with pytest.raises(InsulaError, match="no UID"):
            web_client.get(SETTINGS, web_peer(port), uid, lambda _: None)
    assert asked == []
