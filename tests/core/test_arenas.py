"""Memory that threads freed one after the other is used again, since they share few arenas."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from insula.core.arenas import few_arenas

COUNTED = """
import ctypes, os, sys, threading
from insula.core.arenas import few_arenas
if sys.argv[1] == "few":
    assert few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
count = 4 * max(2, os.cpu_count() or 1)  # more than the arenas that are left, fewer than glibc makes by itself
barrier = threading.Barrier(count)
places = set()

def work():
    barrier.wait()
    places.add(libc.malloc(1000) >> 26)  # an arena beside the first begins at a multiple of 64 MB
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(count)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(len(places))
"""


def places(how: str) -> int:
    plain = {name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    said = subprocess.run([sys.executable, "-c", COUNTED, how], env=plain, capture_output=True, text=True, check=True)
    return int(said.stdout)


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc has arenas")
def test_threads_share_an_arena_for_each_core() -> None:
    assert places("few") <= max(2, os.cpu_count() or 1) < places("many")


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_whoever_has_chosen_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "4")
    assert not few_arenas()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not few_arenas()
