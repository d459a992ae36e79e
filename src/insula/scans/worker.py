"""The decoding process: does one named task after another and answers in JSON and raw arrays, until its parent is gone.

It is started by `insula.scans.sandbox` and trusted by nobody: what it sends back is never unpickled, and it may die at
any moment. Messages are a length (8 bytes, big end first) and JSON; arrays follow as one file descriptor of unnamed
memory, so that pixels cross without a copy and a process that dies leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core import children
from insula.core.errors import InsulaError
from insula.core.types import Volume
from insula.scans import threads
from insula.scans.limits import Limits

LENGTH = struct.Struct(">Q")
Arrays = tuple[NDArray[Any], ...]
Task = Callable[[dict[str, Any]], tuple[dict[str, Any], Arrays]]
_ALIGN = 64
_CORES = max(4, threads.COUNT)  # seconds of processor time that one second of a task may take
_READERS = ("insula.scans.read", "insula.scans.series", "insula.scans.pictures")


def main(number: int, memory: int, ends: int) -> None:
    """Answer requests on the socket with this descriptor number; memory: bytes of address space that may be used.

    ends: a descriptor that is at its end once the parent is gone.
    """
    children.end_with(ends)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; the end of the socket ends us
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # some systems do not limit the address space
            resource.setrlimit(kind, (most, most))
    with socket.socket(fileno=number) as line:
        _send(line, {"ready": True}, ())
        with contextlib.suppress(ImportError):  # ahead of the first question, which says what is amiss if anything is
            for name in _READERS:
                import_module(name)
        while request := receive(line):
            _send(line, *_answer(request))


def read_files(request: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Task: `scans.read.read_files` over request `paths`, or `scans.read.read` of `path`."""
    from insula.scans import read

    allowed, tiles = Limits(**request["limits"]), request["tiles"]
    if isinstance(tiles, dict):
        from insula.core.recipe import Tiles

        tiles = Tiles(**tiles)
    if "path" in request:
        return pack(read.read(Path(request["path"]), allowed, tiles, request.get("series")))
    return pack(read.read_files([Path(p) for p in request["paths"]], allowed, tiles))


def pack(volume: Volume) -> tuple[dict[str, Any], Arrays]:
    """A Volume as JSON facts and its arrays; `unpack` makes the same Volume of them."""
    facts: dict[str, Any] = {}
    arrays: list[NDArray[Any]] = []
    for field in dataclasses.fields(volume):
        value = getattr(volume, field.name)
        if isinstance(value, np.ndarray):
            value = {"array": len(arrays)}
            arrays.append(getattr(volume, field.name))
        elif isinstance(value, Mapping):
            value = {"mapping": dict(value)}
        facts[field.name] = value
    return facts, tuple(arrays)


def unpack(facts: Mapping[str, Any], arrays: Arrays) -> Volume:
    """The Volume that `pack` took apart."""
    fields: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            fields[name] = arrays[value["array"]] if "array" in value else value["mapping"]
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value
    return Volume(**fields)


def receive(line: socket.socket) -> dict[str, Any] | None:
    """The next message without arrays, or None when the other side is gone."""
    start = _exactly(line, LENGTH.size)
    if not start:
        return None
    body = _exactly(line, LENGTH.unpack(start)[0])
    return json.loads(body) if body else None


def layout(shapes: list[Any]) -> tuple[list[tuple[tuple[int, ...], np.dtype[Any], int]], int]:
    """Where arrays of these (shape, type) lie in the memory that crosses (shape, type, offset), and its length."""
    places, total = [], 0
    for sides, kind in shapes:
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf" or any(int(n) < 0 for n in sides):
            raise ValueError(f"no plain array: {sides} of {kind}")
        places.append((tuple(int(n) for n in sides), dtype, total))
        size = dtype.itemsize
        for n in sides:
            size *= int(n)
        total += -(-size // _ALIGN) * _ALIGN
    return places, total


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    try:
        # the kernel's own watch on a decoder that spins on after its parent has died
        spent = resource.getrusage(resource.RUSAGE_SELF)
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            used = int(spent.ru_utime + spent.ru_stime)
            resource.setrlimit(resource.RLIMIT_CPU, (used + int(request["seconds"]) * _CORES + 5, hard))
        if request["folder"]:
            os.chdir(request["folder"])
        module, _, name = request["task"].partition(":")
        task: Task = getattr(import_module(module), name)
        facts, arrays = task(request)
        return {"facts": facts, "arrays": [[a.shape, a.dtype.str] for a in arrays]}, arrays
    except InsulaError as error:
        return {"error": type(error).code, "message": str(error)}, ()
    except MemoryError:
        return {"memory": True}, ()
    except Exception as error:  # noqa: BLE001  broad: nothing that a damaged file sets off may end this loop
        return {"untyped": type(error).__name__, "message": " ".join(str(error).split())[:160]}, ()


def _send(line: socket.socket, message: dict[str, Any], arrays: Arrays) -> None:
    body = json.dumps(message).encode()
    places, total = layout([[a.shape, a.dtype.str] for a in arrays])
    if not total:
        line.sendall(LENGTH.pack(len(body)) + body)
        return
    handle = _unnamed_memory()
    try:
        with os.fdopen(os.dup(handle), "wb") as stream:
            for array, (_, _, offset) in zip(arrays, places, strict=True):
                stream.seek(offset)
                stream.write(np.ascontiguousarray(array).data)
            stream.truncate(total)
        socket.send_fds(line, [LENGTH.pack(len(body))], [handle])
    finally:
        os.close(handle)
    line.sendall(body)


def _unnamed_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("insula", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as stream:  # has no name either, so it goes with the last process that holds it
        return os.dup(stream.fileno())


def _exactly(line: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = line.recv(min(count - len(found), 1 << 20))
        if not part:
            return b""
        found += part
    return bytes(found)
