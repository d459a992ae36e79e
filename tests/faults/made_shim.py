"""A disk that fails when it is told to: a library that is preloaded into a process of a test."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")


def library(folder: Path) -> Path:
    """Compile the library; skips the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc), which makes the library that lets a disk fail")
    made = folder / "shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"], check=True)
    return made


@dataclass
class Disk:
    """Calls on files while the disk was armed. seen: all of them; failed: those that were refused."""

    seen: int = 0
    failed: int = 0


@contextmanager
def failing(folder: Path, nth: int, error: int, lasting: bool) -> Iterator[Disk]:
    """The nth call on files below a folder fails with an error number, and where it lasts each one after it.

    nth: 0 to fail none, and count them. In the process into which the library is preloaded.
    """
    loaded, found = ctypes.CDLL(None), Disk()
    loaded.insula_seen.restype = loaded.insula_failed.restype = ctypes.c_long
    loaded.insula_arm(str(folder).encode(), ctypes.c_long(nth if nth else -1), error, int(lasting))
    try:
        yield found
    finally:
        loaded.insula_disarm()
        found.seen, found.failed = loaded.insula_seen(), loaded.insula_failed()
