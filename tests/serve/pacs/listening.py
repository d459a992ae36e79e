"""The node's listener on a free port, and callers: pynetdicom's, and raw ones."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from sqlalchemy import Engine, select

from insula.serve.pacs import scp
from insula.serve.pacs.server.line import Pace
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading
from insula.serve.store.files import open_files

CALLER, NODE = "SCANNER", "INSULA"
_config.LOG_HANDLER_LEVEL = "none"


def service_of(records: Engine, folder: Path) -> Service:
    """What the listener needs of a service."""
    return cast("Service", SimpleNamespace(records=records, files=open_files(str(folder / "files"))))


def settings_of(**more: Any) -> PacsSettings:
    """Settings of a node on a free port that lets one caller in."""
    plain: dict[str, Any] = {"port": 0, "allow": CALLER, "ae_title": NODE, "least_free_mb": 0}
    return PacsSettings(**plain | more)


@contextmanager
def node(service: Service, pace: Pace | None = None, **more: Any) -> Iterator[int]:
    """The listener as long as the block runs; its port."""
    with scp.serve(service, settings_of(**more), pace) as port:
        yield port


@contextmanager
def calling(
    port: int,
    contexts: Sequence[tuple[str, Sequence[str]]],
    calling: str = CALLER,
    called: str = NODE,
    **more: Any,
) -> Iterator[Association]:
    """An association, established or not."""
    entity = ApplicationEntity(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30.0
    asked = [build_context(name, list(syntaxes)) for name, syntaxes in contexts]
    found = entity.associate("127.0.0.1", port, asked, called, **more)
    try:
        yield found
    finally:
        if found.is_established:
            found.release()
        sock = found.dul.socket
        if sock is not None and sock.socket is not None:
            sock.socket.close()


def slice_of(
    number: int = 1, study: str = "1.2.3.4", syntax: str = ExplicitVRLittleEndian, **fields: Any
) -> FileDataset:
    """A slice of noise. fields: attributes by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(f"{study}.1.{number}")
    meta.TransferSyntaxUID = UID(syntax)
    file = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.StudyInstanceUID, file.SeriesInstanceUID = study, f"{study}.1"
    file.PatientName, file.PatientID, file.Modality = "Doe^Jane", "ID-1", "CT"
    file.StudyDescription, file.SeriesDescription, file.BodyPartExamined = "Head", "Axial", "HEAD"
    file.InstanceNumber, file.SamplesPerPixel, file.PhotometricInterpretation = number, 1, "MONOCHROME2"
    file.Rows = file.Columns = 64
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    g = np.random.default_rng(number)
    file.PixelData = g.integers(0, 4096, (64, 64), dtype=np.uint16).tobytes()
    for name, value in fields.items():
        setattr(file, name, value)
    return pydicom.dcmread(io.BytesIO(bytes_of(file)))


def bytes_of(file: FileDataset) -> bytes:
    """A data set as a file."""
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def instances(records: Engine) -> list[Any]:
    """The rows of received objects."""
    with reading(records) as connection:
        return list(connection.execute(select(schema.pacs_instances).order_by(schema.pacs_instances.c.seq)))


def item(kind: int, content: bytes) -> bytes:
    """An item of a unit."""
    return struct.pack(">BxH", kind, len(content)) + content


def unit(kind: int, body: bytes) -> bytes:
    """A protocol data unit."""
    return struct.pack(">BxL", kind, len(body)) + body


def request(
    calling: bytes = b"SCANNER",
    called: bytes = b"INSULA",
    contexts: bytes | None = None,
    version: int = 1,
    most: int = 16384,
    application: bytes = b"1.2.840.10008.3.1.1.1",
) -> bytes:
    """A request for an association that proposes CT images and C-ECHO."""
    if contexts is None:
        contexts = context(1, b"1.2.840.10008.5.1.4.1.1.2") + context(3, b"1.2.840.10008.1.1")
    fixed = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    user = item(0x50, item(0x51, struct.pack(">L", most)) + item(0x52, b"1.2.3"))
    return unit(1, fixed + item(0x10, application) + contexts + user)


def context(number: int, abstract: bytes, syntax: bytes = b"1.2.840.10008.1.2.1") -> bytes:
    """A proposed presentation context."""
    return item(0x20, bytes((number, 0, 0, 0)) + item(0x30, abstract) + item(0x40, syntax))


def part(number: int, content: bytes, command: bool, last: bool = True) -> bytes:
    """A part of a message, without the unit around it."""
    return struct.pack(">LBB", len(content) + 2, number, command | 2 * last) + content


def command(kind: int, data: bool, **more: bytes) -> bytes:
    """A command set. more: values by element, as `x0002=b"1.2"`."""
    elements = {0x0100: struct.pack("<H", kind), 0x0110: b"\x07\x00", 0x0800: b"\x00\x00" if data else b"\x01\x01"}
    elements |= {int(name[1:], 16): value + b"\0" * (len(value) % 2) for name, value in more.items()}
    return b"".join(struct.pack("<HHL", 0, e, len(value)) + value for e, value in sorted(elements.items()))


ECHO = command(0x0030, data=False, x0002=b"1.2.840.10008.1.1")


class Raw:
    """A connection whose bytes the test decides."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(raw)

    def unit(self) -> tuple[int, bytes]:
        """The next unit; (0, b"") at the end of the connection."""
        head = self._bytes(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self._bytes(length)

    def opened(self, raw: bytes | None = None) -> Raw:
        """This one, with an association that was accepted."""
        self.send(raw or request())
        assert self.unit()[0] == 2
        return self

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                more = self.socket.recv(count - len(found))
            except ConnectionResetError:
                break
            if not more:
                break
            found += more
        return found


def status(body: bytes) -> int:
    """The status of a response in a unit of data."""
    place = 6
    while place < len(body):
        _, element, length = struct.unpack_from("<HHL", body, place)
        if element == 0x0900:
            return int(struct.unpack_from("<H", body, place + 8)[0])
        place += 8 + length
    raise AssertionError("no status")
