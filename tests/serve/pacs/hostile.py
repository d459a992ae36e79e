"""Peers that answer anything: over DICOM what a seed says, over HTTP what a test says."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Final

from tests.pacs.fuzz import mutate, objects, pdus

FIND_ANSWER, ECHO_ANSWER, GET_ANSWER, MOVE_ANSWER = 0x8020, 0x8030, 0x8010, 0x8021
_PENDING, _DONE = 0xFF00, 0x0000
_SECONDS: Final = 20.0
Answer = Callable[[socket.socket], None]


@contextmanager
def peer(answer: Answer) -> Iterator[int]:
    """A port on which every connection gets an answer and is closed; the port."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        thread = threading.Thread(target=_answering, args=(place, answer), daemon=True)
        thread.start()
        try:
            yield int(place.getsockname()[1])
        finally:
            with suppress(OSError):
                place.shutdown(socket.SHUT_RDWR)
            thread.join(_SECONDS)
            assert not thread.is_alive()


def dicom(random: Random, kind: int, sop_class: str) -> Answer:
    """What answers an association: first that it is accepted, then responses; some of it changed or cut."""

    def answer(line: socket.socket) -> None:
        request = _unit(line)
        accepted = _accepted(request)
        if random.random() < 0.15:  # and then nothing: whoever waits for the rest gets the end of the connection
            line.sendall(mutate.changed(random, accepted))
            return
        line.sendall(accepted)
        _unit(line)
        said = b"".join(_responses(random, kind, sop_class))
        line.sendall(said)

    return answer


def pending(kind: int, sop_class: str) -> Answer:
    """What accepts an association and says from then on, until somebody hangs up, that it goes on."""

    def answer(line: socket.socket) -> None:
        line.sendall(_accepted(_unit(line)))
        _unit(line)
        said = pdus.sent(1, pdus.command(_elements(kind, sop_class, _PENDING, data=False)))
        with suppress(OSError):
            while True:
                line.sendall(said)
                time.sleep(0.02)

    return answer


def _responses(random: Random, kind: int, sop_class: str) -> Iterator[bytes]:
    for number in range(random.choice((0, 1, 3, 30))):
        identifier = objects.hostile(random, f"1.2.{number}")[:200_000]
        raw = pdus.command(_elements(kind, sop_class, _PENDING if random.random() < 0.9 else random.randrange(1 << 16)))
        message = pdus.sent(1, mutate.changed(random, raw) if random.random() < 0.2 else raw, identifier or b"\0\0")
        yield mutate.changed(random, message) if random.random() < 0.2 else message
    last = pdus.command(_elements(kind, sop_class, _DONE, data=False))
    yield mutate.changed(random, pdus.sent(1, last)) if random.random() < 0.3 else pdus.sent(1, last)
    yield random.choice((b"", pdus.RELEASE, pdus.ABORT, pdus.pdu(0x04, b"", 0x7FFFFFFF), mutate.junk(random, 100)))


def _elements(kind: int, sop_class: str, status: int, data: bool = True) -> list[tuple[int, bytes]]:
    return [
        (0x00000002, pdus.uid(sop_class)),
        (0x00000100, pdus.short(kind)),
        (0x00000120, pdus.short(1)),
        (0x00000800, pdus.short(0x0001 if data else 0x0101)),
        (0x00000900, pdus.short(status)),
    ]


def _accepted(request: bytes) -> bytes:
    """That an association is accepted, with its first presentation context in explicit VR."""
    context = pdus.item(0x21, bytes((1, 0, 0, 0)) + pdus.item(0x40, pdus.EXPLICIT.encode()))
    application = pdus.item(0x10, b"1.2.840.10008.3.1.1.1")
    return pdus.pdu(0x02, struct.pack(">HH", 1, 0) + request[4:68] + application + context + pdus.user())


def _answering(place: socket.socket, answer: Answer) -> None:
    while True:
        try:
            line, _ = place.accept()
        except OSError:
            return
        with line, suppress(OSError):
            line.settimeout(_SECONDS)
            answer(line)
            line.shutdown(socket.SHUT_WR)
            while line.recv(1 << 16):
                pass


def _unit(line: socket.socket) -> bytes:
    head = line.recv(6, socket.MSG_WAITALL)
    return line.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL) if len(head) == 6 else b""


def http(
    body: bytes, kind: str = "application/dicom+json", status: str = "200 OK", more: str = "", length: int = -1
) -> Answer:
    """What answers every request by HTTP. length: that the answer says it has; -1 for its own."""

    def answer(line: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            part = line.recv(1 << 16)
            if not part:
                return
            asked += part
        said = len(body) if length < 0 else length
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\nConnection: close\r\n{more}\r\n"
        line.sendall(head.encode() + body)

    return answer
