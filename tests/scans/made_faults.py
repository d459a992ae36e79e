"""Tasks that end a decoding process in the ways in which decoders fed with damaged files end theirs."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import UnsuitableScanError

Result = tuple[dict[str, Any], tuple[NDArray[Any], ...]]


def segfault(request: dict[str, Any]) -> Result:
    ctypes.string_at(0)
    return {}, ()


def aborted(request: dict[str, Any]) -> Result:
    os.abort()


def killed(request: dict[str, Any]) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}, ()


def killed_once(request: dict[str, Any]) -> Result:
    """Killed where nobody was before."""
    first = Path(request["told"])
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {}, (np.arange(6).reshape(2, 3),)


def left(request: dict[str, Any]) -> Result:
    os._exit(3)


def litter(request: dict[str, Any]) -> Result:
    """Hangs with a file in its temporary folder."""
    folder = tempfile.mkdtemp()
    Path(folder, "left.bin").write_bytes(b"x" * 1000)
    Path(request["told"]).write_text(folder, encoding="utf-8")
    while True:
        pass


def hang(request: dict[str, Any]) -> Result:
    while True:
        pass


def greedy(request: dict[str, Any]) -> Result:
    return {}, (np.ones(request["bytes"], np.uint8),)


def untyped(request: dict[str, Any]) -> Result:
    raise KeyError("no such thing")


def typed(request: dict[str, Any]) -> Result:
    raise UnsuitableScanError("The scan is of the wrong kind.")


def leaves(request: dict[str, Any]) -> Result:
    """Says who it is, for tests of what becomes of the process."""
    return {"pid": os.getpid(), "limits": Path("/proc/self/limits").read_text()}, (np.arange(6).reshape(2, 3),)


def nonsense(request: dict[str, Any]) -> Result:
    """From the next answer on, arrays that are longer than the memory that is sent with them."""
    from insula.scans import worker

    def lie(line: Any, message: dict[str, Any], arrays: Any) -> None:
        real(line, message | {"arrays": [[[1 << 40], "<f4"]]}, arrays)

    real, worker._send = worker._send, lie
    return {}, (np.zeros(4),)
