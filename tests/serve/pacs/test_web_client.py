"""Questions over DICOMweb, to a server that answers well and to servers that do not."""

from __future__ import annotations

import base64
import gzip
import json
import re
import ssl
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.faults import made_servers as servers
from tests.serve.pacs.made_peers import STUDY, Answer, Said, folder_of, scan, settings, web

from insula.core.errors import UsageError
from insula.serve.pacs import web as connection
from insula.serve.pacs import web_client
from insula.serve.pacs.outcome import Outcome, Ready, files_of, ready
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.query import Query, checked
from insula.serve.pacs.received import CANNOT_UNDERSTAND, NoRoomError, RefusedInstanceError
from insula.serve.pacs.retrieved import Retrieved

JSON = {"Content-Type": "application/dicom+json"}


def row(number: int) -> dict[str, object]:
    return {
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00080020": {"vr": "DA", "Value": [f"2026010{number}"]},
    }


def related(*files: bytes) -> Answer:
    parts = b"".join(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + one for one in files)
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    return Answer(200, parts + b"\r\n--b--", {"Content-Type": kind})


def test_an_echo_is_a_search_for_one_study() -> None:
    with web(lambda said: Answer(204)) as (address, got):
        known = settings(address)
        assert web_client.echo(known, known.peer["archive"]) > 0
    assert got[0].path == "/dicom-web/studies?limit=1"


def test_a_search_says_what_is_asked() -> None:
    with web(lambda said: Answer(200, json.dumps([row(1), row(2)]).encode(), JSON)) as (address, got):
        known = settings(address)
        query = checked(Query("P 1", "Mü", "A1", "1.2.3", date(2026, 1, 1), None, "CT", "Kopf & Hals", 5))
        found = web_client.find(known, known.peer["archive"], query)
    assert [one.study_uid for one in found.studies] == ["1.2.2", "1.2.1"]
    assert not found.more
    asked = parse_qs(urlsplit(got[0].path).query)
    assert asked == {
        "PatientID": ["P 1"],
        "PatientName": ["Mü*"],
        "AccessionNumber": ["A1"],
        "StudyInstanceUID": ["1.2.3"],
        "StudyDate": ["20260101-"],
        "ModalitiesInStudy": ["CT"],
        "StudyDescription": ["*Kopf & Hals*"],
        "limit": ["6"],
        "includefield": [
            "StudyDescription",
            "ModalitiesInStudy",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
        ],
    }


@pytest.mark.parametrize(
    ("rows", "headers", "shown", "more"),
    [(3, {}, 2, True), (2, {}, 2, False), (1, {"Warning": "299 x: there are more"}, 1, True)],
)
def test_more_than_the_limit(rows: int, headers: dict[str, str], shown: int, more: bool) -> None:
    body = json.dumps([row(n) for n in range(rows)]).encode()
    with web(lambda said: Answer(200, body, JSON | headers)) as (address, _):
        known = settings(address)
        found = web_client.find(known, known.peer["archive"], Query(limit=2))
    assert (len(found.studies), found.more) == (shown, more)


def test_series() -> None:
    body = json.dumps([{"0020000E": {"Value": ["1.9"]}, "00080060": {"Value": ["CT"]}}]).encode()
    with web(lambda said: Answer(200, body, JSON)) as (address, got):
        known = settings(address)
        (found,) = web_client.series(known, known.peer["archive"], STUDY)
    assert (found.series_uid, found.modality) == ("1.9", "CT")
    assert got[0].path.startswith(f"/dicom-web/studies/{STUDY}/series?")


def test_a_study_comes_as_the_bytes_that_it_is() -> None:
    sent = [scan(1), scan(2), b"x\r\n--bb\r\n"]
    got: list[bytes] = []
    with web(lambda said: related(*sent)) as (address, asked):
        known = settings(address)
        told: list[int] = []
        came = web_client.get(known, known.peer["archive"], STUDY, got.append, lambda done, of: told.append(done))
    assert came == Retrieved(3)
    assert got == sent
    assert told == [1, 2, 3]
    assert asked[0].headers["Accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'


def test_a_single_object_without_parts() -> None:
    got: list[bytes] = []
    data = scan()
    with web(lambda said: Answer(200, data, {"Content-Type": "application/dicom"})) as (address, _):
        known = settings(address)
        assert web_client.get(known, known.peer["archive"], STUDY, got.append) == Retrieved(1)
    assert got == [data]


def test_what_is_refused_here_is_counted_and_an_error_is_told() -> None:
    got: list[bytes] = []

    def take(data: bytes) -> None:
        got.append(data)
        if len(got) == 1:
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "no")
        if len(got) == 3:
            raise OSError(28, "No space left on device")

    with web(lambda said: related(b"1", b"2")) as (address, _):
        known = settings(address)
        assert web_client.get(known, known.peer["archive"], STUDY, take) == Retrieved(1, 0, 1)
        with pytest.raises(OSError, match="No space"):
            web_client.get(known, known.peer["archive"], STUDY, take)


def test_what_finds_no_room_ends_the_retrieval() -> None:
    def take(data: bytes) -> None:
        raise NoRoomError("The disk is full.")

    with web(lambda said: related(b"1", b"2")) as (address, _):
        known = settings(address)
        with pytest.raises(NoRoomError):
            web_client.get(known, known.peer["archive"], STUDY, take)


def test_fetching_stops_when_it_is_cancelled() -> None:
    got: list[bytes] = []
    with web(lambda said: related(b"1", b"2", b"3")) as (address, _):
        known = settings(address)
        came = web_client.get(known, known.peer["archive"], STUDY, got.append, cancelled=lambda: len(got) == 1)
    assert came == Retrieved(1)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>", {"Content-Type": "text/html"}),
        Answer(200, b"x", {"Content-Type": "multipart/related"}),
        Answer(200, b"--b\r\n\r\nhalf", {"Content-Type": "multipart/related; boundary=b"}),
        Answer(200, b"--b\r\n\r\n" + bytes(2 << 20) + b"\r\n--b--", {"Content-Type": "multipart/related; boundary=b"}),
        Answer(200, bytes(2 << 20), {"Content-Type": "application/dicom"}),
        Answer(200, gzip.compress(bytes(2 << 20)), {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}),
    ],
)
def test_a_study_that_cannot_be_read(answer: Answer) -> None:
    with web(lambda said: answer) as (address, _):
        known = settings(address, max_instance_mb=1)
        with pytest.raises(PeerAnswerError):
            web_client.get(known, known.peer["archive"], STUDY, lambda data: None)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[1]", b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe", b"null"])
def test_a_search_that_cannot_be_read(body: bytes) -> None:
    with web(lambda said: Answer(200, body, JSON)) as (address, _):
        known = settings(address)
        with pytest.raises(PeerAnswerError):
            web_client.find(known, known.peer["archive"], Query())


def test_a_search_that_brings_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with web(lambda said: Answer(200, [b" " * (1 << 20)] * 33, JSON)) as (address, _):
        known = settings(address)
        with pytest.raises(PeerAnswerError, match="sends more"):
            web_client.find(known, known.peer["archive"], Query())


@pytest.mark.parametrize(
    ("status", "why"),
    [(301, "elsewhere"), (307, "elsewhere"), (401, "INSULA_PACS_LOGIN_ARCHIVE"), (403, "LOGIN"), (404, "does not have"),
     (500, "does not do it")],
)  # fmt: skip
def test_what_is_refused(status: int, why: str) -> None:
    with web(lambda said: Answer(200, b"[]", JSON)) as (elsewhere, not_asked):
        there = {"Location": elsewhere + "/studies"}
        with web(lambda said: Answer(status, b"no", there)) as (address, got):
            known = settings(address)
            with pytest.raises(PeerRefusedError, match=why) as refusal:
                web_client.find(known, known.peer["archive"], Query())
    assert refusal.value.status == status
    assert (len(got), not_asked) == (1, [])


def test_nobody_listens() -> None:
    with web(lambda said: Answer()) as (address, _):
        pass
    with pytest.raises(PeerUnreachableError, match="ConnectError"):
        web_client.echo(settings(address), settings(address).peer["archive"])


def test_a_server_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from tests.serve.pacs.made_peers import line

    monkeypatch.setattr(connection, "_SECONDS", 0.2)
    heard: list[bytes] = []

    def speak(called: socket.socket) -> None:
        heard.append(called.recv(65536))
        called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[")
        called.recv(1)

    with line(speak) as port:
        known = settings(f"http://127.0.0.1:{port}")
        with pytest.raises(PeerUnreachableError, match="ReadTimeout"):
            web_client.find(known, known.peer["archive"], Query())
    assert heard


@pytest.mark.parametrize(
    ("login", "header"),
    [("ann:s:cret", "Basic " + base64.b64encode(b"ann:s:cret").decode()), ("token", "Bearer token"), ("", None)],
)
def test_log_ins(login: str, header: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PACS_LOGIN_ARCHIVE", login)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with web(lambda said: Answer(204)) as (address, got):
        known = settings(address)
        web_client.echo(known, known.peer["archive"])
    assert got[0].headers.get("Authorization") == header


def test_over_tls(tmp_path: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    from tests.serve.pacs.made_certificate import certificate

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Nothing."""

    class Quiet(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A caller that does not believe the certificate is expected here."""

    theirs = certificate(tmp_path, "archive")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.cert, theirs.key)
    with Quiet(("127.0.0.1", 0), Empty) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            address = f"https://localhost:{server.server_address[1]}"
            known = settings(address, tls_ca=theirs.cert)
            assert web_client.echo(known, known.peer["archive"]) > 0
            with pytest.raises(PeerUnreachableError, match="INSULA_PACS_TLS_CA"):
                web_client.echo(settings(address), settings(address).peer["archive"])
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("wrong", ["", "1.2/..", "1.2?x=1", "1.2\r\nHost: x"])
def test_what_is_no_uid_is_not_sent(wrong: str) -> None:
    with web(lambda said: Answer(204)) as (address, got):
        known = settings(address)
        for ask in (
            lambda: web_client.series(known, known.peer["archive"], wrong),
            lambda: web_client.get(known, known.peer["archive"], wrong, lambda data: None),
        ):
            with pytest.raises(UsageError):
                ask()
    assert got == []


def objects(folder: Path, many: int) -> list[Ready]:
    return [ready(path) for path in files_of([folder_of(folder, [scan(n) for n in range(many)])])]


def stow(answer: Callable[[list[Ready]], Answer], sent: list[Ready]) -> tuple[list[Outcome], list[Said]]:
    with web(lambda said: answer(sent)) as (address, got):
        known = settings(address)
        return web_client.store(known, known.peer["archive"], sent), got


def referenced(*objects: Ready) -> dict[str, object]:
    return {"00081199": {"vr": "SQ", "Value": [{"00081155": {"Value": [one.sop_instance_uid]}} for one in objects]}}


def test_objects_are_sent_as_the_bytes_that_they_are(tmp_path: Path) -> None:
    sent = objects(tmp_path, 3)
    done, got = stow(lambda all_: Answer(200, json.dumps(referenced(*all_)).encode(), JSON), sent)
    assert [(one.ready, one.status) for one in done] == [(one, 0) for one in sent]
    (said,) = got
    assert (said.method, said.path) == ("POST", "/dicom-web/studies")
    boundary = re.search(r'boundary="([^"]+)"', said.headers["Content-Type"])
    assert boundary
    assert said.headers["Content-Type"].startswith('multipart/related; type="application/dicom";')
    bodies = [
        part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in said.body.split(b"--" + boundary[1].encode())
    ]
    assert bodies[1:-1] == [one.path.read_bytes() for one in sent]


def test_many_objects_go_in_several_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_client, "_MOST_FILES", 2)
    sent = objects(tmp_path, 5)
    done, got = stow(lambda all_: Answer(200, json.dumps(referenced(*all_)).encode(), JSON), sent)
    assert [one.taken for one in done] == [True] * 5
    assert len(got) == 3


@pytest.mark.parametrize("status", [200, 202, 409])
def test_what_a_server_did_not_take_is_said_of_each(status: int, tmp_path: Path) -> None:
    sent = objects(tmp_path, 3)
    failed = {"00081155": {"Value": [sent[1].sop_instance_uid]}, "00081197": {"Value": [0x0110]}}
    body = referenced(sent[0]) | {"00081198": {"Value": [failed]}}
    done, _ = stow(lambda all_: Answer(status, json.dumps(body).encode(), JSON), sent)
    assert [(one.status, one.message) for one in done] == [
        (0, ""),
        (0x0110, ""),
        (0x0110, "the peer says nothing of it"),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"<NativeDicomModel/>", b"{"])
def test_a_server_that_does_not_say_what_it_took(body: bytes, tmp_path: Path) -> None:
    sent = objects(tmp_path, 1)
    with pytest.raises(PeerAnswerError):
        stow(lambda all_: Answer(200, body, JSON), sent)


@pytest.mark.parametrize("status", [303, 401, 415, 503])
def test_a_server_that_takes_nothing(status: int, tmp_path: Path) -> None:
    with pytest.raises(PeerRefusedError):
        stow(lambda all_: Answer(status), objects(tmp_path, 1))


@pytest.mark.parametrize("behaviour", ["drips its head", "drips its body", "drips chunks", "says continue for ever"])
def test_an_archive_that_drips_its_answer_is_given_up(behaviour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SECONDS", 0.25)
    monkeypatch.setattr(web_client, "PATIENCE", 1.0)
    with servers.serving(servers.BEHAVIOURS[behaviour]) as server:
        known = settings(f"{server.url}/dicom-web")
        for ask in (
            lambda: web_client.find(known, known.peer["archive"], Query()),
            lambda: web_client.get(known, known.peer["archive"], "1.2.3", lambda data: None),
        ):
            with pytest.raises((PeerAnswerError, PeerUnreachableError)):
                ask()
