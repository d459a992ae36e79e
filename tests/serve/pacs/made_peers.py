"""Peers on this machine's loopback for the tests: an archive that speaks DIMSE, and a web server that says anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from tests.scans.made_dicom import dataset

from insula.serve.pacs import hl7
from insula.serve.pacs.dimse import FIND, GET, MOVE, VERIFICATION
from insula.serve.pacs.settings import PacsSettings

PLAIN: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
STUDY = "1.2.826.0.1.3680043.8.498.1"


def scan(number: int = 1, study: str = STUDY, **fields: Any) -> bytes:
    """A small CT slice as a DICOM file."""
    known = {"PatientName": "Doe^Jane", "StudyDate": "20260102", "InstanceNumber": number}
    made = dataset(np.full((8, 8), number, np.int16), StudyInstanceUID=study, **{**known, **fields})
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def folder_of(folder: Path, files: Sequence[bytes]) -> Path:
    """Files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


def content(data: bytes) -> bytes:
    """The data set of a DICOM file, as it is written there, without the file's own head."""
    return data[144 + int(dcmread(BytesIO(data), stop_before_pixels=True).file_meta[0x00020000].value) :]


def settings(address: str, **more: Any) -> PacsSettings:
    """Settings with one peer, `archive`."""
    return PacsSettings(peers=f"archive={address}", **more)


@dataclass
class Archive:
    """What an archive answers, and what it was asked; objects: files that it has."""

    port: int = 0
    objects: list[bytes] = field(default_factory=list)
    answers: list[Dataset] = field(default_factory=list)
    final: int = 0x0000
    get_status: int = 0x0000
    asked: list[Dataset] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    store_status: Callable[[int], int] = lambda number: 0x0000
    moved_to: list[str] = field(default_factory=list)
    cancelled: int = 0

    @property
    def address(self) -> str:
        """As a peer."""
        return f"dicom://ARCHIVE@127.0.0.1:{self.port}"


@contextmanager
def archive(
    objects: Sequence[bytes] = (),
    does: Sequence[UID] = (VERIFICATION, FIND, MOVE, GET, CTImageStorage),
    syntaxes: Sequence[str | UID] = PLAIN,
    tls: Any = None,
    node: int = 0,
    then: int = 0,
) -> Iterator[Archive]:
    """An archive of these objects. node: the port that C-MOVE sends to. then: what C-GET ends with, after them."""
    made = Archive(objects=list(objects))
    entity = AE("ARCHIVE")
    entity.require_called_aet = True
    entity.add_requested_context(CTImageStorage)
    for one in does:
        storage = one not in (VERIFICATION, FIND, MOVE, GET)
        entity.add_supported_context(
            one, list(syntaxes) if storage else PLAIN, scu_role=storage or None, scp_role=storage or None
        )

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        made.asked.append(event.identifier)
        for one in made.answers:
            if event.is_cancelled:
                made.cancelled += 1
                yield 0xFE00, None
                return
            yield 0xFF00, one
        yield made.final, None

    def get(event: Any) -> Iterator[Any]:
        made.asked.append(event.identifier)
        yield max(len(made.objects), 1) + bool(then)
        if made.get_status:
            yield made.get_status, None
            return
        for one in made.objects:
            if event.is_cancelled:
                made.cancelled += 1
                yield 0xFE00, None
                return
            yield 0xFF00, dcmread(BytesIO(one))
        if then:
            yield then, None

    def move(event: Any) -> Iterator[Any]:
        made.asked.append(event.identifier)
        made.moved_to.append(event.move_destination)
        if not node:
            yield None, None
            return
        yield "127.0.0.1", node
        yield len(made.objects)
        for one in made.objects:
            yield 0xFF00, dcmread(BytesIO(one))

    def store(event: Any) -> int:
        made.stored.append(event.encoded_dataset())
        return made.store_status(len(made.stored))

    handlers: list[Any] = [
        (evt.EVT_C_FIND, find),
        (evt.EVT_C_GET, get),
        (evt.EVT_C_MOVE, move),
        (evt.EVT_C_STORE, store),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    assert server is not None
    try:
        made.port = server.server_address[1]
        yield made
    finally:
        server.shutdown()
        server.server_close()


def found(number: int, **fields: Any) -> Dataset:
    """A study as an archive tells of it."""
    one = Dataset()
    one.QueryRetrieveLevel = "STUDY"
    one.StudyInstanceUID = f"1.2.3.{number}"
    one.StudyDate = f"2026010{number % 10}"
    for name, value in fields.items():
        setattr(one, name, value)
    return one


@contextmanager
def line(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port behind which a function speaks to whoever calls; the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                called, _ = listening.accept()
            except OSError:
                return
            with called:
                try:
                    speak(called)
                except OSError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


@dataclass
class Said:
    """A request that a web server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answer:
    """What it answers; body in pieces where it is a list."""

    status: int = 200
    body: bytes | Sequence[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def web(answer: Callable[[Said], Answer]) -> Iterator[tuple[str, list[Said]]]:
    """A web server; its address and the requests that it got."""
    got: list[Said] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *said: Any) -> None:
            """Nothing."""

        def _all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = Said(self.command, self.path, dict(self.headers.items()), body)
            got.append(said)
            given = answer(said)
            pieces = [given.body] if isinstance(given.body, bytes) else list(given.body)
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(sum(map(len, pieces))))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        do_GET = do_POST = do_PUT = _all  # noqa: N815 - names that the server looks for

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that goes away in the middle is expected here."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def acks(
    code: str = "AA", number: str | None = None, got: list[bytes] | None = None
) -> Callable[[socket.socket], None]:
    """A receiver of HL7 messages that acknowledges each with a code."""

    def speak(called: socket.socket) -> None:
        found = b""
        while not found.endswith(hl7.END):
            if not (block := called.recv(65536)):
                return
            found += block
        if got is not None:
            got.append(found)
        control = found.split(b"|")[9].decode()
        answer = f"MSH|^~\\&|RIS||INSULA||20261126||ACK^R01^ACK|1|P|2.5.1\rMSA|{code}|{control}\r"
        called.sendall(hl7.START + answer.encode() + hl7.END)

    return speak
