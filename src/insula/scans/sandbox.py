"""Decoding in processes of their own, so that a bad file costs that file only.

Decoders are C code fed by strangers. In a worker process a crash, a memory overrun or a hang ends the worker, the file
gets a typed error, and the next file meets a fresh worker. Pixels come back through unnamed shared memory.

A worker takes about half a second to start, and `start` returns at once: a command that begins with it and then loads
its model loses almost nothing, since the worker wakes up meanwhile on another core (0.2 s of processor time beyond what
reading in the command's own process would import). So a single `insula predict FILE` goes through a worker like
everything else: there is one way of reading, one kind of error, and the same limits for the hundredth file as for one.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from insula.core import scratch
from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Volume
from insula.scans import decoder, worker
from insula.scans.limits import LIMITS, Limits

if TYPE_CHECKING:
    from insula.scans.read import Cut

MEMORY = 6 << 30  # bytes of address space: the largest scan that LIMITS allows, and the copies made on the way
SECONDS = 120.0
_START_SECONDS = 120.0
_MOST_TASKS = 1000  # then a worker is replaced, whatever its decoders have leaked
_MOST_JSON = 64 << 20
_KILLED = (
    "The process that decodes scans was killed twice, as a system does that has no memory left; nothing is known "
    "against the scan: look at the machine's free memory, and try again."
)


class DecoderError(Exception):
    """Why a worker gave no typed answer; the cause behind the error that is raised. kind: crash, hang, memory,
    untyped. killed: somebody killed it, such as a system that had no memory left, so that another try may do.
    """

    def __init__(self, kind: str, detail: str, killed: bool = False) -> None:
        super().__init__(detail)
        self.kind = kind
        self.killed = killed


@dataclass(frozen=True)
class Answer:
    """What a task gave: facts as plain data, and arrays that live in shared memory of their own."""

    facts: dict[str, Any]
    arrays: tuple[NDArray[Any], ...]


class Sandbox:
    """A pool of worker processes, usable from several threads; a context manager.

    workers: how many files are decoded at once. memory: bytes of address space of one worker. seconds: for one scan.
    Workers are started when they are needed, or ahead of that by `start`, and stay until `close`.
    """

    def __init__(self, workers: int = 1, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        self.workers = workers
        self.memory = memory
        self.seconds = seconds
        self._free = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    def start(self, count: int = 1) -> Self:
        """Begin to start workers and return without waiting for them."""
        with self._lock:
            missing = min(count, self.workers) - len(self._all)
            fresh = [_Worker(self.memory) for _ in range(max(missing, 0))]
            self._idle += fresh
            self._all.update(fresh)
        return self

    def read_files(self, paths: Sequence[Path], allowed: Limits = LIMITS, tiles: Cut = None) -> Volume:
        """`scans.read.read_files` in a worker, with the same arguments and errors.

        Beyond those: ScanError for a file on which the decoder dies, LimitError for one that needs too much memory or
        time. The volume's array is a private view of shared memory and may be written to.
        """
        about = Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} files"
        facts = {"paths": [os.fspath(p) for p in paths], "limits": asdict(allowed), "tiles": _plain(tiles)}
        answer = self.run("insula.scans.worker:read_files", about, facts)
        return worker.unpack(answer.facts, answer.arrays)

    def read(self, path: Path, allowed: Limits = LIMITS, tiles: Cut = None, series: str | None = None) -> Volume:
        """`scans.read.read` (a file or a folder) in a worker, with the errors of `read_files`."""
        facts = {"path": os.fspath(path), "limits": asdict(allowed), "tiles": _plain(tiles), "series": series}
        answer = self.run("insula.scans.worker:read_files", Path(path).name, facts)
        return worker.unpack(answer.facts, answer.arrays)

    def run(self, task: str, about: str, facts: dict[str, Any], seconds: float | None = None) -> Answer:
        """Do a task ("module:function", see `worker.Task`) in a worker. about: the file's name, for errors.

        seconds: for this task, instead of the pool's.

        A worker that somebody killed is replaced and asked once more. Raises the InsulaError that the task raised,
        ScanError for a crash or an exception that is none of ours, LimitError for too much memory or time, and for one
        that was killed again (`was_killed`).
        """
        with contextlib.suppress(OSError):  # a folder that was removed has no name
            facts = {"folder": str(Path.cwd()), **facts}
        most = self.seconds if seconds is None else seconds
        request = {"folder": "", **facts, "task": task, "seconds": most}
        try:
            with self._borrowed() as mine:
                return mine.ask(request, about, most)
        except InsulaError as error:
            if not was_killed(error):
                raise
        with self._borrowed() as mine:  # whom a system kills for want of memory is no proof of what this scan needs
            return mine.ask(request, about, most)

    def close(self) -> None:
        """End all workers, busy ones too."""
        with self._lock:
            self._closed = True
            ending, self._all, self._idle = list(self._all), set(), []
        for one in ending:
            one.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[_Worker]:
        with self._free:
            with self._lock:
                if self._closed:
                    raise InsulaError("The decoding processes were closed; open them again before reading.")
                mine = self._idle.pop() if self._idle else None
                if mine is not None and not mine.fit:
                    self._all.discard(mine)
                    mine.end()
                    mine = None
                if mine is None:
                    mine = _Worker(self.memory)
                    self._all.add(mine)
            try:
                yield mine
            finally:
                with self._lock:
                    keep = mine.fit and not self._closed
                    if keep:
                        self._idle.append(mine)
                    else:
                        self._all.discard(mine)
                if not keep:
                    mine.end()


class _Worker:
    """One process and the line to it; used by one thread at a time."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._ready = False
        self._broken = False
        self._tasks = 0
        with contextlib.ExitStack() as undone, contextlib.ExitStack() as theirs:
            self._line, other = socket.socketpair()
            undone.callback(self._line.close)
            number = theirs.enter_context(other).fileno()
            self._place = scratch.new()  # what a killed worker had unpacked goes with it
            undone.callback(shutil.rmtree, self._place, ignore_errors=True)
            ends, alive = os.pipe()
            self._alive = os.fdopen(alive, "wb")  # closed with this process, whatever ends it; then the worker ends
            undone.callback(self._alive.close)
            theirs.enter_context(os.fdopen(ends, "rb"))
            self._process = decoder.started(number, memory, ends, self._place)
            undone.pop_all()  # the process is there: `end` takes all of it away

    @property
    def fit(self) -> bool:
        """Whether the process may be given another task."""
        return not self._broken and self._tasks < _MOST_TASKS and self._process.poll() is None

    def ask(self, request: dict[str, Any], about: str, seconds: float) -> Answer:
        self._wake()
        self._tasks += 1
        try:
            body = json.dumps(request).encode()
            self._line.settimeout(seconds)
            self._line.sendall(worker.LENGTH.pack(len(body)) + body)
            message, handle = self._hear(monotonic() + seconds)
        except TimeoutError as error:
            self.end()
            fault = DecoderError("hang", f"no answer in {seconds:g} s")
            fault.__cause__ = error
            raise LimitError(
                f"'{about}' took longer than the {seconds:g} s that one scan may take; it may be damaged: export "
                "it again; a long series may be given in parts."
            ) from fault
        except (OSError, ValueError) as error:
            self._died(about, error)
        except BaseException:  # Ctrl-C between a question and its answer: this line can never be used again
            self.end()
            raise
        try:
            _raise_what_it_met(message, about, self._too_much(about))
            return Answer(message["facts"], _mapped(message["arrays"], handle))
        except (KeyError, TypeError, ValueError, OSError) as error:
            self._died(about, error)
        finally:
            if handle is not None:
                os.close(handle)

    def end(self) -> None:
        """Stop the process, whatever it does, wait until it is gone, and remove its temporary files."""
        self._broken = True
        self._process.kill()
        self._process.wait()
        self._line.close()
        self._alive.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _wake(self) -> None:
        if self._ready:
            return
        try:
            self._hear(monotonic() + _START_SECONDS)
        except (OSError, ValueError) as error:
            self.end()
            code = self._process.returncode
            fault = DecoderError("crash", f"exit code {code}, {error}", killed=code == -signal.SIGKILL)
            if fault.killed:
                raise LimitError(_KILLED) from fault
            raise InsulaError(
                f"The decoding process did not start (exit code {code}); run `insula info` to see what is installed "
                "here, and check the free memory."
            ) from fault
        self._ready = True

    def _hear(self, deadline: float) -> tuple[dict[str, Any], int | None]:
        """The next message and the descriptor that came with it; EOFError is an OSError here when the line ends."""
        self._line.settimeout(max(deadline - monotonic(), 0.01))
        start, handles, _, _ = socket.recv_fds(self._line, worker.LENGTH.size, 1)
        handle = handles[0] if handles else None
        try:
            start += self._exactly(worker.LENGTH.size - len(start), deadline)
            length = worker.LENGTH.unpack(start)[0]
            if length > _MOST_JSON:
                raise ValueError(f"an answer of {length} bytes")
            message = json.loads(self._exactly(length, deadline))
            if not isinstance(message, dict):
                raise ValueError("an answer that is no object")
        except BaseException:
            if handle is not None:
                os.close(handle)
            raise
        return message, handle

    def _exactly(self, count: int, deadline: float) -> bytes:
        found = bytearray()
        while len(found) < count:
            self._line.settimeout(max(deadline - monotonic(), 0.01))
            part = self._line.recv(min(count - len(found), 1 << 20))
            if not part:
                raise ConnectionResetError("the worker is gone")
            found += part
        return bytes(found)

    def _died(self, about: str, error: Exception) -> NoReturn:
        """Turn the end of the process, or nonsense from it, into the error of the file that it was reading."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.poll()
        self.end()
        if code == -signal.SIGXCPU:
            raise LimitError(f"'{about}' took too long to decode; it may be damaged.") from DecoderError("hang", "CPU")
        if code == -signal.SIGKILL:
            raise LimitError(_KILLED) from DecoderError("memory", "killed by the system", killed=True)
        what = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}, {error}"
        raise ScanError(
            f"'{about}' made its decoder fail ({what}); the file is damaged, export it again from its source."
        ) from DecoderError("crash", what)

    def _too_much(self, about: str) -> str:
        return f"'{about}' needs more than the {self._memory >> 20} MB that one scan may take; crop or resample it."


def was_killed(error: BaseException) -> bool:
    """Whether an error is that of a worker which somebody killed."""
    return isinstance(error.__cause__, DecoderError) and error.__cause__.killed


def _mapped(shapes: list[Any], handle: int | None) -> tuple[NDArray[Any], ...]:
    """Arrays over the memory that a worker sent, after its length was compared with what the message claims."""
    places, total = worker.layout(shapes)
    if not total:
        return tuple(np.empty(sides, dtype) for sides, dtype, _ in places)
    if handle is None:
        raise ValueError("arrays without memory")
    if hasattr(fcntl, "F_ADD_SEALS"):
        with contextlib.suppress(OSError):  # an unnamed file on disk cannot be sealed
            fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # a shrunk map would be a bus error here
    if os.fstat(handle).st_size != total:
        raise ValueError(f"{os.fstat(handle).st_size} bytes of arrays instead of {total}")
    memory = mmap.mmap(handle, total, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return tuple(np.ndarray(sides, dtype, memory, offset) for sides, dtype, offset in places)


def _raise_what_it_met(message: dict[str, Any], about: str, too_much: str) -> None:
    """Raise the error that an answer tells of, if it tells of one."""
    if message.get("memory"):
        raise LimitError(too_much) from DecoderError("memory", "MemoryError")
    if "untyped" in message:
        said = f"{message['untyped']}: {message['message']}".rstrip(": ")
        raise ScanError(f"'{about}' cannot be read ({said}); export it again.") from DecoderError("untyped", said)
    if "error" in message:
        raise error_of(str(message["error"]))(str(message["message"]))


def error_of(code: str) -> type[InsulaError]:
    """The class of our own errors that carries a code."""
    waiting: list[type[InsulaError]] = [InsulaError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code:
            return kind
        waiting += kind.__subclasses__()
    return ScanError


_shared: dict[int, Sandbox] = {}
_shared_lock = threading.Lock()


def shared() -> Sandbox:
    """The pool of this process, made when it is first asked for and closed when the process ends."""
    with _shared_lock:
        mine = _shared.get(os.getpid())  # a fork must not talk on its parent's lines
        if mine is None or mine._closed:
            mine = _shared[os.getpid()] = Sandbox(max(1, min(os.cpu_count() or 1, 8)))
            atexit.register(mine.close)
        return mine


def read_files(paths: Sequence[Path], allowed: Limits = LIMITS, tiles: Cut = None) -> Volume:
    """`Sandbox.read_files` in the pool of this process."""
    return shared().read_files(paths, allowed, tiles)


def read(path: Path, allowed: Limits = LIMITS, tiles: Cut = None, series: str | None = None) -> Volume:
    """`Sandbox.read` in the pool of this process."""
    return shared().read(path, allowed, tiles, series)


def _plain(tiles: Cut) -> Any:
    return tiles if tiles is None or isinstance(tiles, str) else tiles.model_dump(mode="json")
