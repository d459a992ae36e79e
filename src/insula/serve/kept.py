"""What was made of stored files, kept in memory for as long as there is room, and forgotten when a file is deleted.

Keys name files by their hash, so that what is kept is never another study's; whether somebody may see it is asked
before.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Key = tuple[tuple[str, ...], int | None]  # SHA-256 of the files, and which series of them

_all: Final[weakref.WeakSet[Kept[Any]]] = weakref.WeakSet()


class Kept(Generic[T]):
    """What was made last, by key, until it takes more room than there is; what several ask for at once is made once."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._most, self._size = most, size
        self._found: OrderedDict[Key, T] = OrderedDict()
        self._taken = 0
        self._making: dict[Key, Future[T]] = {}
        self._lock = threading.Lock()
        _all.add(self)

    def get(self, key: Key, make: Callable[[], T]) -> T:
        """What is kept under a key, or made now; an error of `make` is raised to all who wait, and nothing is kept."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
            making = self._making.get(key)
            if making is None:
                mine = self._making[key] = Future[T]()
        if making is not None:
            return making.result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                self._is_wanted(key, mine)
            mine.set_exception(error)
            raise
        with self._lock:
            if self._is_wanted(key, mine):
                self._found[key] = made
                self._taken += self._size(made)
                while len(self._found) > 1 and self._taken > self._most:
                    self._taken -= self._size(self._found.popitem(last=False)[1])
        mine.set_result(made)
        return made

    def forget(self, sha256s: Collection[str]) -> None:
        """Drop what was made of any of these files, and keep nothing of what is being made of them now."""
        gone = frozenset(sha256s)
        with self._lock:
            for key in [one for one in (*self._found, *self._making) if not gone.isdisjoint(one[0])]:
                self._making.pop(key, None)
                if key in self._found:
                    self._taken -= self._size(self._found.pop(key))

    def _is_wanted(self, key: Key, mine: Future[T]) -> bool:
        """Take the making of a key off; whether it was not forgotten since it began."""
        if self._making.get(key) is not mine:
            return False
        del self._making[key]
        return True


def forget(sha256s: Collection[str]) -> None:
    """Drop from this process's memory all that was made of files of these hashes."""
    for one in tuple(_all):
        one.forget(sha256s)
