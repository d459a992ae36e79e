"""Let the system begin to write a file's bytes to the disk while more of them come, so that fsync finds less to do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE of sync_file_range(2), which waits for nothing


def _found() -> Callable[..., int] | None:
    try:
        call: Callable[..., int] = ctypes.CDLL(None).sync_file_range  # Linux alone
    except (AttributeError, OSError, TypeError):
        return None
    return call


_CALL: Final = _found()


def begin(descriptor: int, start: int, size: int) -> None:
    """Begin with so many bytes of an open file. Promises nothing, and does nothing where the system cannot."""
    if _CALL is not None:
        _CALL(descriptor, ctypes.c_int64(start), ctypes.c_int64(size), _WRITE)
