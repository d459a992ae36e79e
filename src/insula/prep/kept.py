"""Masks of the scans seen last, by content, so that what asks for the same mask again does not find it anew."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Find = Callable[[FloatArray, Spacing], Mask]


class KeptMasks:
    """At most so many bytes of masks, one bit a voxel, the one asked for longest ago dropped first; safe in threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[bytes, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def of(self, array: FloatArray, spacing: Spacing, find: Find) -> Mask:
        """`find` of an array (Z, Y, X) and its spacing in mm: a mask of its shape, a copy for each who asks.

        What `find` raises is raised, and nothing is kept.
        """
        told = hashlib.blake2b(f"{array.shape} {array.dtype} {spacing}".encode(), digest_size=16)
        told.update(np.ascontiguousarray(array).data)
        key = told.digest()
        with self._lock:
            packed = self._held.get(key)
            if packed is not None:
                self._held.move_to_end(key)
        if packed is None:
            found = find(array, spacing)
            self._keep(key, np.packbits(found))
            return found
        return np.unpackbits(packed, count=array.size).view(np.bool_).reshape(array.shape)

    def _keep(self, key: bytes, packed: NDArray[np.uint8]) -> None:
        with self._lock:
            before = self._held.pop(key, None)
            self._bytes += packed.nbytes - (0 if before is None else before.nbytes)
            self._held[key] = packed
            while self._bytes > self._most and self._held:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes
