"""Associations byte by byte: what breaks the standard is answered with an abort, and nothing else comes of it."""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
from tests.serve.pacs.listening import (
    ECHO,
    Raw,
    bytes_of,
    command,
    context,
    instances,
    item,
    node,
    part,
    request,
    slice_of,
    status,
    unit,
)

from insula.serve.pacs import file_meta
from insula.serve.pacs.server import listener, units
from insula.serve.pacs.server.line import Pace
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service

ABORT, DATA = 7, 4
CT = b"1.2.840.10008.5.1.4.1.1.2"
STORE = command(0x0001, data=True, x0002=CT, x1000=b"1.2.3.4.1.1")


@pytest.fixture
def port(service: Service) -> Iterator[int]:
    with node(service) as found:
        yield found
        with Raw(found) as caller:  # whatever a test sent, others are served
            caller.opened().send(unit(DATA, part(3, ECHO, command=True)))
            assert status(caller.unit()[1]) == 0x0000


def data_of(number: int = 1) -> bytes:
    whole = bytes_of(slice_of(number))
    return whole[file_meta.split(whole)[1] :]


def aborted(caller: Raw, reason: int) -> None:
    assert caller.unit() == (ABORT, bytes((0, 0, 2, reason)))
    assert caller.unit() == (0, b"")


def test_an_object_may_come_in_any_pieces(service: Service, port: int) -> None:
    data, sent = data_of(), b""
    for start in range(0, len(data), 1001):
        sent += unit(DATA, part(1, data[start : start + 1001], command=False, last=start + 1001 >= len(data)))
    head = unit(DATA, part(1, STORE[:50], command=True, last=False)) + unit(DATA, part(1, STORE[50:], command=True))
    with Raw(port) as caller:
        caller.opened()
        for start in range(0, len(head + sent), 313):  # cut where no unit ends
            caller.send((head + sent)[start : start + 313])
        assert status(caller.unit()[1]) == 0x0000
        caller.send(unit(DATA, part(1, STORE, command=True) + part(1, data, command=False)))  # all in one unit
        assert status(caller.unit()[1]) == 0x0000
        caller.send(unit(5, bytes(4)))
        assert caller.unit() == (6, bytes(4))
        assert caller.unit() == (0, b"")
    assert len(instances(service.records)) == 1


def test_several_messages_in_one_unit_are_all_answered(port: int) -> None:
    with Raw(port) as caller:
        caller.opened().send(unit(DATA, part(3, ECHO, command=True) * 3))
        assert [status(caller.unit()[1]) for _ in range(3)] == [0, 0, 0]


def test_answers_keep_to_the_length_that_a_caller_takes(port: int) -> None:
    with Raw(port) as caller:
        caller.opened(request(most=64)).send(unit(DATA, part(3, ECHO, command=True)))
        bodies: list[bytes] = []
        while not bodies or not bodies[-1][5] & 2:
            kind, body = caller.unit()
            assert (kind, len(body) <= 64) == (DATA, True)
            bodies.append(body)
        assert len(bodies) > 1
        assert status(bodies[0][:6] + b"".join(body[6:] for body in bodies)) == 0x0000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (unit(9, b""), 1),
        (unit(DATA, part(3, ECHO, command=True)), 2),
        (unit(1, bytes(20)), 6),
        (struct.pack(">BxL", 1, 1 << 30), 6),
        (request(contexts=b""), 6),
        (request(contexts=context(2, CT)), 6),
        (request(contexts=context(1, CT) + context(1, CT)), 6),
        (request(contexts=item(0x20, b"\x01")), 6),
        (request(contexts=struct.pack(">BxH", 0x20, 500) + b"\x01"), 6),
        (request(most=20), 6),
        (request() + unit(1, bytes(70)), None),
    ],
    ids=["kind", "first", "short", "long", "none", "even", "twice", "cut", "beyond", "least", "again"],
)
def test_a_request_that_breaks_the_standard_is_aborted(port: int, raw: bytes, reason: int | None) -> None:
    with Raw(port) as caller:
        caller.send(raw)
        if reason is None:
            assert caller.unit()[0] == 2
            reason = 2
        aborted(caller, reason)


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        (request(version=2), (1, 2, 2)),
        (request(application=b"1.2.3"), (1, 1, 2)),
        (request(called=b"OTHER"), (1, 1, 7)),
        (request(calling=b"SCANNER\nX"), (1, 1, 3)),
    ],
    ids=["version", "application", "called", "calling"],
)
def test_a_request_that_is_not_for_us_is_rejected(
    port: int, raw: bytes, result: tuple[int, int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    with Raw(port) as caller:
        caller.send(raw)
        assert caller.unit() == (3, bytes((0, *result)))
    assert "\nX" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (part(1, bytes(8), command=False), 6),
        (part(5, ECHO, command=True), 6),
        (part(3, b"\0" * 7, command=True), 6),
        (part(3, b"\x08\0" + ECHO[2:], command=True), 6),
        (part(3, struct.pack("<HHL", 0, 0x0100, 1 << 31), command=True), 6),
        (part(3, command(1, data=True)[:12], command=True), 6),
        (part(1, STORE, command=True) + part(1, STORE, command=True), 6),
        (part(1, STORE, command=True) + part(3, bytes(8), command=False), 6),
        (struct.pack(">LBB", 1, 1, 3), 6),
        (struct.pack(">LBB", 1 << 31, 1, 3), 6),
        (b"\0\0\0", 6),
        (part(1, bytes(20_000), command=True, last=False), 6),
    ],
    ids=["data", "unknown", "cut", "group", "length", "none", "twice", "other", "short", "long", "header", "endless"],
)
def test_a_message_that_breaks_the_standard_is_aborted(service: Service, port: int, body: bytes, reason: int) -> None:
    with Raw(port) as caller:
        caller.opened().send(unit(DATA, body))
        aborted(caller, reason)
    assert instances(service.records) == []


def test_a_unit_longer_than_announced_is_aborted_before_it_is_read(port: int) -> None:
    with Raw(port) as caller:
        caller.opened().send(struct.pack(">BxL", DATA, units.MOST_DATA + 1))
        aborted(caller, 6)


@pytest.mark.parametrize("kind", [0x0020, 0x0FFE, 0x0130])
def test_a_request_that_the_node_does_not_do_is_answered_so(port: int, kind: int) -> None:
    with Raw(port) as caller:
        caller.opened().send(unit(DATA, part(1, command(kind, data=True, x0002=CT), command=True)))
        caller.send(unit(DATA, part(1, bytes(100), command=False)))
        assert status(caller.unit()[1]) == (0x0112 if kind == 0x0130 else 0x0211)
        caller.send(unit(DATA, part(1, command(kind, data=False, x0002=CT), command=True)))
        assert status(caller.unit()[1]) == (0x0110 if kind == 0x0130 else 0x0211)


def test_a_late_cancel_is_let_pass(port: int) -> None:
    with Raw(port) as caller:
        cancel = command(0x0FFF, data=False, x0120=b"\x07\x00")
        caller.opened().send(unit(DATA, part(3, cancel, command=True) + part(3, ECHO, command=True)))
        assert status(caller.unit()[1]) == 0x0000


@pytest.mark.parametrize("uid", [b"1.2.840.10008.5.1.4.1.1.4", b"", b"../../etc"])
def test_an_object_is_stored_only_as_of_the_class_of_its_context(service: Service, port: int, uid: bytes) -> None:
    with Raw(port) as caller:
        asked = command(0x0001, data=True, x0002=uid, x1000=b"1.2.3.4.1.1")
        caller.opened().send(unit(DATA, part(1, asked, command=True) + part(1, data_of(), command=False)))
        assert status(caller.unit()[1]) == 0xA900
    assert instances(service.records) == []


@pytest.mark.parametrize("uid", [b"", b"1.2.../../x", b"1." + b"2" * 70, b"1.2.3.4.1.2"])
def test_an_object_is_stored_only_under_its_own_uid(service: Service, port: int, uid: bytes) -> None:
    with Raw(port) as caller:
        asked = command(0x0001, data=True, x0002=CT, x1000=uid)
        caller.opened().send(unit(DATA, part(1, asked, command=True) + part(1, data_of(), command=False)))
        assert status(caller.unit()[1]) in (0xA900, 0xC000)
    assert instances(service.records) == []


def test_an_object_that_is_broken_off_leaves_nothing(service: Service, port: int, tmp_path: Path) -> None:
    with Raw(port) as caller:
        caller.opened().send(unit(DATA, part(1, STORE, command=True)))
        caller.send(unit(DATA, part(1, data_of()[:1000], command=False, last=False)))
    unfinished = tmp_path / "files" / "unfinished"
    until = time.monotonic() + 30
    while not unfinished.is_dir() or list(unfinished.iterdir()):
        assert time.monotonic() < until
    assert instances(service.records) == []


def test_an_object_that_a_full_disk_does_not_take_is_answered(
    service: Service, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> tuple[int, str]:
        (tmp_path / "spool").touch()
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "spool")

    asked = unit(DATA, part(1, STORE, command=True) + part(1, data_of(), command=False))
    with Raw(port) as caller:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkstemp", full)
            caller.opened().send(asked)
            assert status(caller.unit()[1]) == 0xA700
        caller.send(asked)
        assert status(caller.unit()[1]) == 0x0000, "in the same association, once there is room"
    assert len(instances(service.records)) == 1


def test_all_callers_together_get_the_time_to_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, waits = [0.0], []

    class Slow(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            waits.append(timeout)
            clock[0] += timeout or 0.0

    monkeypatch.setattr(listener, "monotonic", lambda: clock[0])
    one = listener.Listener(PacsSettings(), {}, Mock(), None, Pace())
    for _ in range(3):
        one._open[Slow()] = None
    one.stop()
    assert waits == [30.0, 0.0, 0.0]


def test_a_caller_that_goes_on_after_its_object_was_refused_is_cut_off(service: Service) -> None:
    with node(service, max_instance_mb=1) as port, Raw(port) as caller:
        caller.opened().send(unit(DATA, part(1, STORE, command=True)))
        piece = unit(DATA, part(1, bytes(100_000), command=False, last=False))
        sent = 0
        with suppress(ConnectionError):
            while sent < 50 << 20:
                caller.send(piece)
                sent += len(piece)
        assert sent < 50 << 20  # what was sent until it was cut off lies in the buffers of the system


def test_silent_and_slow_callers_are_let_go(service: Service) -> None:
    with node(service, Pace(request=0.2, idle=0.3, unit=0.3)) as port:
        with Raw(port) as silent:
            assert silent.unit()[0] in (0, ABORT)
        with Raw(port) as idle:
            assert idle.opened().unit()[0] == ABORT
        with Raw(port) as slow:  # a byte at a time, each in time
            slow.opened().send(struct.pack(">BxL", DATA, 1000))
            slow.socket.settimeout(0.05)
            bytes_sent = 0
            while (said := heard(slow)) is None:
                slow.send(b"\0")
                bytes_sent += 1
            assert (said, bytes_sent > 1) == (ABORT, True)


def heard(caller: Raw) -> int | None:
    """The kind of the unit that came, None where none did in a moment."""
    try:
        return caller.unit()[0]
    except TimeoutError:
        return None


def test_connections_without_end_do_not_keep_others_out(service: Service) -> None:
    with node(service, Pace(request=0.5), most_associations=1) as port:
        idle = [Raw(port) for _ in range(40)]
        try:
            until = time.monotonic() + 30
            while True:
                with Raw(port) as caller:
                    caller.send(request())
                    if caller.unit()[0] == 2:
                        break
                assert time.monotonic() < until
        finally:
            for one in idle:
                one.socket.close()
