"""Clients of the service over plain sockets: many at a time from one loop, and all that a client may do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
BOUNDARY = "----insula-faults"
HANGS = 120.0  # seconds without an answer that count as none
Head = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Said:
    """An answer. seconds: from when it was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a refusal, as both shapes of one have it."""
        said = self.json()
        return str(said["error"]["code"] if "error" in said else said["code"])


class Line:
    """One connection of a client, kept open between its requests, opened anew where the service closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Head = ()) -> Said:
        """One request and its whole answer. Raises OSError, and EOFError where the line ends without one."""
        begun = time.monotonic()
        async with asyncio.timeout(HANGS):
            for kept in (self._ends is not None, False):
                try:
                    status, found, content = await self._asked(method, path, body, headers)
                    break
                except (OSError, EOFError):
                    self.close()
                    if not kept:
                        raise
        if found.get("connection", "").lower() == "close":
            self.close()
        return Said(status, found, content, time.monotonic() - begun)

    def close(self) -> None:
        """Let go of the connection."""
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None

    async def _asked(self, method: str, path: str, body: bytes, headers: Head) -> tuple[int, dict[str, str], bytes]:
        if self._ends is None:
            self._ends = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._ends
        writer.write(head(method, path, len(body), headers) + body)
        try:
            await writer.drain()
        except ConnectionError:  # refused before all of it was sent: the reason may be there
            await asyncio.sleep(0)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        return int(lines[0].split()[1]), found, await _body(reader, found)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    found = bytearray()
    while size := int(await reader.readline(), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return bytes(found)


def head(method: str, path: str, length: int = 0, headers: Head = ()) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode()


def form(files: Sequence[bytes], name: str = "file", fields: Mapping[str, str] | None = None) -> tuple[bytes, Head]:
    """A multipart form of scans, and the header that says so."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in (fields or {}).items()
    ]
    for number, data in enumerate(files, 1):
        said = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{number}.dcm"\r\n\r\n'
        parts.append(said.encode() + data + b"\r\n")
    kind = (("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"),)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), kind


@dataclass(eq=False)
class Health:
    """What somebody who only asks for /health saw meanwhile. wrong: answers other than 200, or none."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Of the times it took."""
        ordered = sorted(self.seconds)
        return {
            "health asked": float(len(ordered)),
            "health, 99% within s": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
            "health, slowest s": ordered[-1],
        }

    def late(self, seconds: float) -> int:
        """Answers that took longer."""
        return sum(one > seconds for one in self.seconds)


@contextmanager
def watched(port: int, every: float = 0.1) -> Iterator[Health]:
    """Ask for /health on a new connection again and again as long as the block runs, at least once."""
    found, stop = Health(), threading.Event()

    def ask() -> None:
        while True:
            begun = time.monotonic()
            try:
                status = health(port)
                if status != 200:
                    found.wrong.append(str(status))
            except OSError as error:
                found.wrong.append(type(error).__name__)
            found.seconds.append(time.monotonic() - begun)
            if stop.wait(every):
                return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(HANGS)


def health(port: int, seconds: float = 30.0) -> int:
    """The status of /health, on a new connection; 0 where the line ended without an answer."""
    with socket.create_connection((HOST, port), seconds) as line:
        line.sendall(head("GET", "/health", headers=(("Connection", "close"),)))
        said = line.recv(4096)
    return int(said.split()[1]) if said else 0


def opened(port: int, count: int, sent: bytes = b"") -> list[socket.socket]:
    """So many connections, on each of which a beginning was sent."""
    found = []
    for _ in range(count):
        line = socket.create_connection((HOST, port), 30.0)
        with contextlib.suppress(ConnectionError):  # let go of at once
            line.sendall(sent)
        found.append(line)
    return found


def still_open(lines: Sequence[socket.socket]) -> list[socket.socket]:
    """Those that the service has not closed; what it said on them is read."""
    found = []
    for line in lines:
        line.setblocking(False)
        try:
            while line.recv(1 << 16):
                pass
        except BlockingIOError:
            found.append(line)
        except OSError:
            continue
    return found
