"""Decoding processes on the machines of a Ray cluster, behind the face of one machine's `Sandbox`."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from insula.core.errors import InsulaError, MissingPartError, ScanError
from insula.scans.sandbox import Answer, Sandbox, error_of

_PATIENCE = 5.0  # seconds for a connection to a cluster; Ray itself tries for many minutes
_SERVER = re.compile(r"(?:ray://)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>\d{1,5})")


def started(address: str) -> Any:
    """Ray, connected to the cluster at an address: "auto" (this machine's), HOST:PORT, or "local" for a new one.

    Raises MissingPartError where Ray is not installed, ScanError where there is no such cluster.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingPartError(
            "A cluster needs Ray, which is not installed; run: pip install 'insula[cluster]'"
        ) from None
    if not ray.is_initialized():
        more: dict[str, Any] = {"num_cpus": os.cpu_count()} if address == "local" else {}
        try:
            _reach(address)
            with _same_sigterm():
                ray.init(
                    address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **more
                )
        except (OSError, RuntimeError, ValueError, OverflowError) as error:
            raise ScanError(
                f"There is no Ray cluster at '{address}' ({type(error).__name__}); start one with `ray start --head`, "
                "and give auto or its address."
            ) from error
    return ray


def _reach(address: str) -> None:
    """Raise OSError for an address HOST:PORT where nobody answers; ValueError for a host that is no name."""
    if found := _SERVER.fullmatch(address):
        server = found["bracketed"] or found["host"], int(found["port"])
        socket.create_connection(server, _PATIENCE).close()


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Leave this process what it does at SIGTERM: Ray would have it exit with a code of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def cpus(ray: Any) -> int:
    """How many CPUs the cluster has."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


class ClusterPool:
    """As many decoding processes as the cluster has CPUs, usable from several threads as a `Sandbox` is.

    The files lie where every machine sees them under the same path.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        self._ray = started(address)
        self.workers = workers or cpus(self._ray)
        made = self._ray.remote(num_cpus=1)(_Decoder)
        self._all = [made.remote() for _ in range(self.workers)]
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for one in self._all:
            self._idle.put(one)

    def run(self, task: str, about: str, facts: dict[str, Any], seconds: float | None = None) -> Answer:
        """As `Sandbox.run`, on whichever machine is free; ScanError where the machine is lost."""
        mine = self._idle.get()
        try:
            told, arrays = self._ray.get(mine.run.remote(task, about, facts, seconds))
        except self._ray.exceptions.RayError as error:
            raise ScanError(f"'{about}' was lost with the machine that read it; prepare again.") from error
        finally:
            self._idle.put(mine)
        if "error" in told:
            raise error_of(told["error"])(told["message"])
        return Answer(told, arrays)

    def close(self) -> None:
        """End all processes."""
        for one in self._all:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(one)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Decoder:
    """One decoding process on one machine."""

    def __init__(self) -> None:
        self._pool = Sandbox(1).start()

    def run(
        self, task: str, about: str, facts: dict[str, Any], seconds: float | None
    ) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """The facts and arrays of a task, or code and message of its error, which would lose its class on the way."""
        try:
            answer = self._pool.run(task, about, facts, seconds)
        except InsulaError as error:
            return {"error": error.code, "message": str(error)}, ()
        return answer.facts, tuple(np.array(array) for array in answer.arrays)
