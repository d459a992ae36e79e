"""Associations with peers that do not behave: bounded in bytes and in time, with an error of a kind each."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import pytest
from tests.serve.pacs.made_certificate import certificate
from tests.serve.pacs.made_peers import archive, line, settings

from insula.core.errors import UsageError
from insula.serve.pacs import association, dimse
from insula.serve.pacs.association import BoundedSocket
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.tls import client_context


def echo(known: PacsSettings) -> float:
    return dimse.echo(known, known.peer["archive"])


def accepted(called: socket.socket) -> None:
    """Accept an association with one presentation context in explicit little endian (PS3.8 9.3.3)."""
    called.recv(65536)

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    context = item(0x21, b"\x01\x00\x00\x00" + item(0x40, b"1.2.840.10008.1.2.1"))
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    content = struct.pack(">HH", 1, 0) + b"ARCHIVE".ljust(16) + b"INSULA".ljust(16) + bytes(32)
    content += item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    called.sendall(struct.pack(">BBL", 2, 0, len(content)) + content)
    called.recv(65536)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerUnreachableError, match=f"127.0.0.1:{port}"):
        echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))


def test_a_name_that_stands_for_no_address() -> None:
    with pytest.raises(PeerUnreachableError, match="no connection"):
        echo(settings("dicom://ARCHIVE@nobody.invalid"))


def test_an_archive_of_another_title_rejects() -> None:
    with archive() as there, pytest.raises(PeerRefusedError, match="Called AE title not recognised"):
        echo(settings(f"dicom://OTHER@127.0.0.1:{there.port}"))


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
        b"\x02\x00\x00\x00\x00\x04abcd",
        b"\x02\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",
        b"\x04\x00\x00\x00\x00\x0a" + bytes(10),
        bytes(range(256)),
    ],
)
def test_what_is_no_answer_to_an_association(said: bytes) -> None:
    def speak(called: socket.socket) -> None:
        called.recv(65536)
        called.sendall(said)

    with line(speak) as port, pytest.raises((PeerUnreachableError, PeerRefusedError)):
        echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))


def test_a_port_of_a_web_server_is_told_from_one_where_nobody_listens() -> None:
    def answer(called: socket.socket) -> None:
        called.recv(65536)
        called.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    said = r"Something listens.*not of its web server, without TLS"
    with line(answer) as port, pytest.raises(PeerUnreachableError, match=said):
        echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"\x04\x00\x7f\xff\xff\xff" + bytes(64), PeerAnswerError),
        (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x03ab", PeerUnreachableError),
        (b"\x04\x00\x00\x00\x00\x08\xff\xff\xff\xff\x01\x03ab", PeerUnreachableError),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00", PeerUnreachableError),
        (b"\x99\x00\x00\x00\x00\x04\x00\x00\x00\x00", PeerUnreachableError),
        (b"", PeerUnreachableError),
    ],
)
def test_what_is_no_answer_to_a_message(said: bytes, error: type[Exception]) -> None:
    def speak(called: socket.socket) -> None:
        accepted(called)
        called.sendall(said)

    with line(speak) as port:
        started = time.monotonic()
        with pytest.raises(error):
            echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))
        assert time.monotonic() - started < association.SECONDS / 2  # nobody waits for what cannot come


def test_an_archive_that_sends_without_end_is_left() -> None:
    heard = threading.Event()

    def speak(called: socket.socket) -> None:
        accepted(called)
        unit = struct.pack(">BBL", 4, 0, 65542) + struct.pack(">LBB", 65538, 1, 0) + bytes(65536)
        try:
            while True:
                called.sendall(unit)
        finally:
            heard.set()

    with line(speak) as port, pytest.raises(PeerAnswerError, match="more than it may"):
        echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))
    assert heard.wait(30)


@pytest.mark.parametrize("said", [b"", b"\x04\x00\x00\x00\x01\x00", b"\x04\x00\x00"])
def test_an_archive_that_falls_silent_is_left(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "SECONDS", 0.3)
    over = threading.Event()

    def speak(called: socket.socket) -> None:
        accepted(called)
        called.sendall(said)
        over.wait(60)

    with line(speak) as port:
        started = time.monotonic()
        with pytest.raises(PeerUnreachableError):
            echo(settings(f"dicom://ARCHIVE@127.0.0.1:{port}"))
        assert time.monotonic() - started < 50
        over.set()


def test_a_unit_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "SECONDS", 0.3)
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            theirs.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    bounded = BoundedSocket.__new__(BoundedSocket)
    bounded.socket = ours
    try:
        with pytest.raises(TimeoutError):
            bounded.recv(100_000)
    finally:
        stop.set()
        thread.join()
        ours.close()
        theirs.close()


def test_over_tls_with_certificates_of_both(tmp_path: Path) -> None:
    ours, theirs = certificate(tmp_path, "node"), certificate(tmp_path, "archive")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.cert, theirs.key)
    context.load_verify_locations(ours.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    with archive(tls=context) as there:
        address = f"dicoms://ARCHIVE@localhost:{there.port}"
        known = settings(address, tls_ca=theirs.cert, tls_cert=ours.cert, tls_key=ours.key)
        assert echo(known) > 0
        with pytest.raises(PeerUnreachableError, match="INSULA_PACS_TLS_CA"):
            echo(settings(address))
        with pytest.raises(PeerUnreachableError):
            echo(settings(address, tls_ca=theirs.cert))
        with pytest.raises(PeerUnreachableError, match="no TLS connection"):
            echo(settings(f"dicoms://ARCHIVE@127.0.0.2:{there.port}", tls_ca=theirs.cert))


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    made = certificate(tmp_path, "node")
    (tmp_path / "none.pem").write_text("none")
    for wrong in (
        {"tls_ca": tmp_path / "none.pem"},
        {"tls_ca": tmp_path / "missing.pem"},
        {"tls_cert": tmp_path / "none.pem", "tls_key": made.key},
        {"tls_cert": made.cert, "tls_key": certificate(tmp_path, "other").key},
        {"tls_cert": made.cert, "tls_key": certificate(tmp_path, "locked", b"secret").key},
    ):
        with pytest.raises(UsageError, match="INSULA_PACS_TLS"):
            client_context(settings("dicoms://ARCHIVE@127.0.0.1:1", **wrong))
