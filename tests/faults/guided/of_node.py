"""Parsers of what comes to the node's port, and of what peers answer."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from tests.faults.guided.target import Target
from tests.pacs.fuzz import objects, pdus

from insula.serve.pacs import dicom_json, file_meta, heads, hl7, parts, task
from insula.serve.pacs.arrival import Arrival, arriving
from insula.serve.pacs.received import RefusedInstanceError
from insula.serve.pacs.server import commands, units
from insula.serve.pacs.server.line import GoneError, Line, Pace
from insula.serve.pacs.server.session import Session

_UID = "1.2.999.1"
_DATA = objects.joined(objects.sound(_UID))
_SYNTAXES = (pdus.EXPLICIT, pdus.IMPLICIT, pdus.DEFLATED, pdus.BIG, pdus.RLE)
_NOW = datetime(2026, 11, 26, tzinfo=UTC)


class _Bytes(Line):
    """A connection on which a caller has said all that it says, and that keeps what it is told."""

    def __init__(self, data: bytes) -> None:
        self._data, self._pace, self._room = io.BytesIO(data), Pace(), bytearray(units.MOST_DATA)
        self.told = bytearray()

    def send(self, raw: bytes) -> None:
        self.told += raw

    def close(self, linger: float) -> None:
        pass

    def _fill(self, room: memoryview, until: float) -> None:
        if self._data.readinto(room) < len(room):
            raise GoneError

    def _wait(self, seconds: float) -> None:
        pass


class _Keeping:
    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival

    def write(self, part: memoryview) -> None:
        self._arrival.write(part)

    def done(self) -> tuple[int, str]:
        try:
            self._arrival.head()
        except RefusedInstanceError as error:
            return error.status, str(error)
        return 0, ""


@contextmanager
def _begin(command: commands.Command, about: str, syntax: str, caller: str) -> Iterator[_Keeping]:
    files: Any = None
    uid = command.object_uid if heads.is_uid(command.object_uid) else _UID
    with arriving(files, about, uid, syntax, 1 << 20, in_memory=True) as arrival:
        yield _Keeping(arrival)


def _session(data: bytes) -> None:
    line = _Bytes(data)
    Session(line, "127.0.0.1", lambda asked: None, {commands.STORE: _begin}, threading.Event()).run()
    raw = b""
    for kind, body in pdus.units(bytes(line.told)):  # all that is said is whole units, and whole command sets
        assert kind in (units.ACCEPT, units.DATA, units.RELEASED, units.ABORT)
        for part in units.parts(memoryview(body)) if kind == units.DATA else ():
            assert part.command
            raw += part.content
            if part.last:
                assert len(raw) == 12 + int.from_bytes(raw[8:12], "little"), "a command set of another length"
                raw = b""
    assert not raw, "a command set without an end"


def _command(data: bytes) -> None:
    read = commands.read(data)
    answer = commands.answer(read, commands.DONE, "\N{BULLET} said")
    again = pdus.units(units.data(1, answer, 64))
    assert b"".join(body[6:] for _, body in again) == answer


def _heads(data: bytes) -> None:
    found = heads.read(data[1:], _SYNTAXES[data[0] % len(_SYNTAXES)] if data else pdus.EXPLICIT)
    assert all(heads.is_uid(name) for name in (found.class_uid, found.instance_uid, found.study_uid, found.series_uid))
    assert not any(c in found.study_description for c in "\n\r\x1b\0")


def _split(data: bytes) -> None:
    syntax, start = file_meta.split(data)
    assert heads.is_uid(syntax)
    assert start >= 132


def _acknowledged(data: bytes) -> None:
    for row in hl7._rows(data):
        assert all(isinstance(field, str) for field in row)
        hl7._plain(row[0])


def _multipart(data: bytes) -> None:
    blocks = [data[at : at + 7] for at in range(0, len(data), 7)]
    whole = list(parts.parts([data], b"frontier", 1 << 16))
    assert list(parts.parts(blocks, b"frontier", 1 << 16)) == whole, "it depends on how the bytes came"


def _rows(data: bytes) -> None:
    told = json.loads(data)
    rows = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    assert all(found.study_uid.isprintable() for found in dicom_json.studies_of(rows))
    dicom_json.series_of(rows)
    for one in task.in_order(rows):
        task.is_due(one, _NOW)
        task.is_ours(one, "INSULA", ("tiny-ct",))
        with suppress(task.TaskError):
            task.inputs_of(one, {}, "archive")
        with suppress(task.TaskError):
            task.destinations_of(one, {})


def _seeded(data: bytes) -> tuple[bytes, ...]:
    return tuple(bytes((number,)) + data for number in range(len(_SYNTAXES)))


_ITEM = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00404005": {"vr": "DT", "Value": ["20261126080000"]},
    "00404021": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]},
    "00741200": {"vr": "CS", "Value": ["HIGH"]},
    "00201206": {"vr": "IS", "Value": [3]},
}
_STORE = pdus.sent(1, pdus.command(pdus.store(_UID)), _DATA, 200)
TARGETS = {
    "request for an association": Target(units.request, (pdus.request(),), (units.UnitError,)),
    "parts of a unit of data": Target(
        lambda data: list(units.parts(memoryview(data))), (_STORE[6:], _STORE[12:]), (units.UnitError,)
    ),
    "whole association": Target(
        _session, (pdus.associate() + _STORE + pdus.sent(11, pdus.command(pdus.echo())) + pdus.RELEASE,)
    ),
    "command set": Target(
        _command, (pdus.command(pdus.store(_UID)), pdus.command(pdus.action())), (commands.CommandError,)
    ),
    "head of a data set": Target(_heads, _seeded(_DATA), (heads.HeadError,)),
    "file meta information": Target(
        _split, (file_meta.written(pdus.CT, _UID, pdus.EXPLICIT) + _DATA,), (heads.HeadError,)
    ),
    "acknowledgement of HL7": Target(_acknowledged, (b"MSH|^~\\&|A|B\rMSA|AA|4711\r", b"MSH\r\r")),
    "parts of a peer's answer": Target(
        _multipart, (b"--frontier\r\nA: b\r\n\r\nx\r\n--frontier\r\n\r\n\r\ny\r\n--frontier--",), (ValueError,)
    ),
    "rows and work items of a peer": Target(
        _rows, (json.dumps([_ITEM]).encode(),), (json.JSONDecodeError, UnicodeDecodeError)
    ),
}
