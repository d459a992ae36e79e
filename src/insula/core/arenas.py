"""The C library's places for memory, of which a process that runs for months should have few."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_M_ARENA_MAX: Final = -8  # glibc, malloc.h
_SAID: Final = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")  # whoever sets these has chosen


def few_arenas() -> bool:
    """Keep to one arena for each core, two at least, from now on; whether the C library does so.

    For services, before their threads begin. By itself glibc makes eight for each core (mallopt(3)), and what was freed
    in one is not used in another: a service whose threads take turns grew by the hour, with nothing of it in use.
    """
    if any(name in os.environ for name in _SAID) or os.name != "posix":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, which has no arenas
        return False
    return bool(mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 1)))
