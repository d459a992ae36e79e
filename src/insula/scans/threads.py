"""Work on the slices of a scan by several threads, for what releases Python's lock: codecs, zlib, NumPy, OpenCV."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from insula.core import cores

COUNT = min(cores.usable(), 8)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()
_here = threading.local()


def each(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """`[function(item) for item in items]`, several at a time; of several errors that of the first item is raised.

    The calling thread does its share. Called from within itself it goes on in the thread that it is in.
    """
    listed = list(items)
    if COUNT == 1 or len(listed) < 2 or getattr(_here, "busy", False):
        return [function(item) for item in listed]
    results: list[Any] = [None] * len(listed)
    errors: dict[int, BaseException] = {}
    numbers = iter(range(len(listed)))

    def work() -> None:
        _here.busy = True
        try:
            while not errors and (number := next(numbers, None)) is not None:
                try:
                    results[number] = function(listed[number])
                except BaseException as error:  # noqa: BLE001  broad: it is raised below, in the thread of the caller
                    errors[number] = error
        finally:
            _here.busy = False

    helpers = [_pool().submit(work) for _ in range(min(COUNT, len(listed)) - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():
            helper.result()
    if errors:
        raise errors[min(errors)]
    return results


def begin(function: Callable[..., _Result], *arguments: Any) -> Future[_Result] | None:
    """Begin with `function(*arguments)` in another thread; None where there is but one."""
    return None if COUNT == 1 or getattr(_here, "busy", False) else _pool().submit(function, *arguments)


def _pool() -> ThreadPoolExecutor:
    with _lock:
        mine = _pools.get(os.getpid())  # a fork has none of its parent's threads
        if mine is None:
            mine = _pools[os.getpid()] = ThreadPoolExecutor(COUNT - 1, "insula-slices")
        return mine
