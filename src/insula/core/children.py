"""Processes that end with the process that began them, whatever ended that one."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any


def pool(count: int, begin: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of processes that are started anew and not forked, for functions of modules. begin: done first in each.

    Those of Python's own pool wait for work for ever where their parent was killed, and run the parent's script once
    more, which has to be written for that.
    """
    return ProcessPoolExecutor(count, _Context(), _of_pool, (begin,))


def end_with(line: int) -> None:
    """Have this process killed once the other end of a pipe is closed; line: a descriptor of its reading end.

    By the kernel where it is Linux: a decoder that spins with Python's lock in its hand, or was stopped, ends as well.
    """
    if hasattr(fcntl, "F_SETSIG"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([line], [], [], 0)[0]:  # closed before the kernel was told
        os._exit(1)


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process: BaseProcess) -> Any:  # noqa: N802 - what it overrides is called so
        with _main:
            own = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")  # of no file, so that there is nothing to run once more
            try:
                return SpawnProcess._Popen(process)
            finally:
                sys.modules["__main__"] = own


class _Context(SpawnContext):
    Process = _Process


_main = threading.Lock()


def _of_pool(begin: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
