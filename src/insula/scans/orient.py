"""Turning a volume so that its voxel indices run to the patient's Left, Posterior and Superior."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray


def to_lps(array: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Permute and flip axes to the closest of the 48 axis-aligned poses; no resampling.

    array: (C, Z, Y, X); affine: (4, 4), voxel (x, y, z) → mm in LPS, invertible. Both come back changed together, so
    every voxel stays where it was in the patient. A single slice keeps its plane: only an axial one is flipped.
    """
    columns = affine[:3, :3]
    direction = columns / np.linalg.norm(columns, axis=0)
    order = max(permutations(range(3)), key=lambda p: sum(abs(direction[row, p[row]]) for row in range(3)))
    if array.shape[1] == 1 and order != (0, 1, 2):
        return array, affine
    turned = np.transpose(array, (0, *(3 - order[axis] for axis in (2, 1, 0))))
    result = affine.copy()
    result[:3, :3] = columns[:, order]
    for axis in range(3):
        if result[axis, axis] < 0:
            length = turned.shape[3 - axis]
            turned = np.flip(turned, axis=3 - axis)
            result[:3, 3] += result[:3, axis] * (length - 1)
            result[:3, axis] *= -1
    return np.ascontiguousarray(turned), result
