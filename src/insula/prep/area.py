"""Shrinking pictures by area averages, as two sparse matrix products: each new pixel is the mean of what it covers.

The matrices have about n entries for n old pixels, so this costs a fraction of a general area resampling: the rows
first, at the speed of memory, then the columns on what is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def shrink(planes: Iterable[NDArray[np.float32]], out: NDArray[np.float32]) -> None:
    """Pictures (Y, X) of one size into (n, height, width), both sides at most the old ones; each value the mean over
    its area.

    A picture is done with when the next one is taken, so that all may come in one array. out's planes are contiguous.
    """
    count, height, width = out.shape
    turned = np.empty((0, 0), np.float32)
    for k, plane in enumerate(planes):
        if not k:
            turned = np.empty((plane.shape[1], count * height), np.float32)
            rows, columns = weights(plane.shape[0], height), weights(plane.shape[1], width)
        cv2.transpose(rows @ plane, turned[:, k * height : (k + 1) * height])
    found = columns @ turned
    for k in range(count):
        cv2.transpose(found[:, k * height : (k + 1) * height], out[k])


@lru_cache(maxsize=64)
def weights(old: int, new: int) -> csr_matrix:
    """The matrix (new, old) whose row i averages over [i, i + 1)·old/new; every row sums to 1."""
    from scipy.sparse import csr_matrix  # a third of a second, of which a start is spared

    ratio = old / new
    place, column, value = [0], [], []
    for i in range(new):
        start, end = i * ratio, (i + 1) * ratio
        for j in range(int(start), min(old, ceil(end - 1e-9))):
            covered = min(end, j + 1) - max(start, j)
            if covered > 1e-9:
                column.append(j)
                value.append(covered / ratio)
        place.append(len(column))
    return csr_matrix((np.array(value, np.float32), np.array(column), np.array(place)), shape=(new, old))
