"""The node as a process of its own, whose memory, log and records are looked at from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from tests.pacs.fuzz import objects, pdus
from tests.pacs.fuzz.cases import Case

from insula.serve.store import schema
from insula.serve.store.connect import connect, reading
from insula.serve.store.files import open_files

ACCEPTED, REJECTED, DATA, RELEASED, ABORTED = 0x02, 0x03, 0x04, 0x06, 0x07
_SECONDS = 30.0  # within which every connection has to be answered and closed


@dataclass(eq=False)
class Node:
    """A running node. stored: UIDs of objects that it said it has."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    stored: set[str] = field(default_factory=set)

    @property
    def peak(self) -> int:
        """The most memory that it had so far, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10

    def log(self) -> list[dict[str, object]]:
        """What it logged; fails for a line that is none of its own."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def send(self, case: Case) -> list[tuple[int, bytes]]:
        """Send what a case has; the units that were answered before the node closed the connection."""
        with closing(socket.create_connection(("127.0.0.1", self.port), _SECONDS)) as line:
            answer = bytearray()
            _put(line, case.first)
            if case.then and _unit(line, answer) == ACCEPTED:
                _put(line, case.then)
                if case.answered:
                    _unit(line, answer)
            _rest(line, answer)
        found = pdus.units(bytes(answer))
        self._note(found)
        return found

    def records(self) -> dict[str, str]:
        """SOP Instance UID → SHA-256 of each object that the records have and the files hold."""
        engine = connect(f"sqlite:///{self.folder}/insula.db")
        files = open_files(str(self.folder / "files"))
        table = schema.pacs_instances.c
        with reading(engine) as connection:
            rows = {row[0]: row[1] for row in connection.execute(select(table.sop_instance_uid, table.sha256))}
        engine.dispose()
        for sha256 in rows.values():
            files.get(sha256)
        return rows

    def _note(self, found: list[tuple[int, bytes]]) -> None:
        for kind, body in found:
            assert kind in (ACCEPTED, REJECTED, DATA, RELEASED, ABORTED), f"a unit of kind {kind}"
            told = pdus.told(body) if kind == DATA else {}
            if told.get(0x00000100) == pdus.short(0x8001) and told[0x00000900] == pdus.short(0):
                self.stored.add(told[0x00001000].rstrip(b"\0").decode())


class Honest:
    """A sender that keeps to the standard, over one association for as long as the test goes on."""

    def __init__(self, node: Node) -> None:
        self._node, self._count = node, 0
        self._line = socket.create_connection(("127.0.0.1", node.port), _SECONDS)
        _put(self._line, pdus.associate(calling=b"HONEST"))
        assert _unit(self._line, bytearray()) == ACCEPTED, "an honest sender was turned away"

    def store(self) -> str:
        """One object; its UID. Fails where it is not taken."""
        self._count += 1
        name = f"1.2.826.0.1.{self._count}"
        data = objects.joined(objects.sound(name, "1.2.826.0.2", "1.2.826.0.3"))
        _put(self._line, pdus.sent(1, pdus.command(pdus.store(name)), data))
        answer = bytearray()
        assert _unit(self._line, answer) == DATA, "an honest sender was cut off"
        status = pdus.told(bytes(answer[6:]))[0x00000900]
        assert status == pdus.short(0), f"an honest sender's object was refused with {status.hex()}"
        self._node.stored.add(name)
        return name

    def leave(self) -> None:
        """End the association as the standard has it."""
        _put(self._line, pdus.RELEASE)
        assert _unit(self._line, bytearray()) == RELEASED
        self._line.close()


@contextmanager
def running(folder: Path, rules: str = "rules: []\n", **settings: str) -> Iterator[Node]:
    """A node on a free port, with records of its own in a folder; it has to end by itself when it is told to."""
    (folder / "rules.yaml").write_text(rules)
    env = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
    env |= {
        "INSULA_DATABASE": f"sqlite:///{folder}/insula.db",
        "INSULA_FILES": str(folder / "files"),
        "INSULA_TRAIL_KEY": "t" * 40,
        "INSULA_PACS_ALLOW": "FUZZ,HONEST",
        "INSULA_PACS_RULES": str(folder / "rules.yaml"),
        "INSULA_PACS_QUIET_SECONDS": "3600",
        "INSULA_PACS_MAX_INSTANCE_MB": "16",
        "INSULA_PACS_LEAST_FREE_MB": "0",
        "OMP_NUM_THREADS": "1",
    } | settings
    command = [sys.executable, "-m", "insula", "pacs", "listen", "--port", "0", "--json", "--json-logs"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()[-3000:]
            yield Node(process, folder, json.loads(line)["listening"]["port"])
            assert process.poll() is None, f"the node ended: {(folder / 'log').read_text()[-3000:]}"
            process.terminate()
            assert process.wait(90) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _put(line: socket.socket, raw: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the node has heard enough
        line.sendall(raw)


def _unit(line: socket.socket, into: bytearray) -> int:
    """The kind of the next unit, which is added to what came before; 0 at the end of the connection."""
    head = _bytes(line, 6)
    if len(head) < 6:
        into += head
        return 0
    into += head + _bytes(line, int.from_bytes(head[2:6], "big"))
    return head[0]


def _bytes(line: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        try:
            part = line.recv(count - len(found))
        except ConnectionResetError:
            break
        if not part:
            break
        found += part
    return bytes(found)


def _rest(line: socket.socket, into: bytearray) -> None:
    """All that still comes, once it is clear that nothing more is sent."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_WR)
    while part := _bytes(line, 1 << 16):
        into += part
