"""The arrays of a bundle's baseline as one table of tensors, and back, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Baseline

Arrays = dict[str, NDArray[Any]]


def to_arrays(baseline: Baseline) -> Arrays:
    """The tensors of `baseline.safetensors`; without a scale those that tell distances by part are left out."""
    found: Arrays = {
        "embedding_mean": baseline.embedding_mean.astype(np.float64),
        "embedding_precision": baseline.embedding_precision.astype(np.float64),
        "distances": np.sort(baseline.distances.astype(np.float64)),
        "codes": baseline.codes.astype(np.uint64),
        "code_medians": baseline.code_medians.astype(np.float32),
    }
    if len(baseline.scale):
        found |= {
            "neighbours": baseline.neighbours.astype(np.float16),
            "scale": baseline.scale.astype(np.float64),
            "scaled": np.sort(baseline.scaled.astype(np.float64)),
        }
        for role, (mean, precision) in baseline.pictures.items():
            found[f"picture_mean_{role}"] = mean.astype(np.float64)
            found[f"picture_precision_{role}"] = precision.astype(np.float64)
    return found


def of_arrays(arrays: Arrays, roles: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a Baseline that are arrays; ValueError says in a few words which tensor cannot be true."""
    mean = _array(arrays, "embedding_mean", 1)
    precision = _array(arrays, "embedding_precision", 2)
    distances = _array(arrays, "distances", 1)
    if precision.shape != (len(mean), len(mean)):
        raise ValueError(f"a mean of {len(mean)} and a precision of {precision.shape} do not fit together")
    _check_precision(precision, "embedding_precision")
    if len(distances) == 0 or (np.diff(distances) < 0).any() or distances[0] < 0:
        raise ValueError("distances must be one or more numbers from 0, rising")
    codes, medians = _codes(arrays)
    found: dict[str, Any] = {
        "embedding_mean": mean,
        "embedding_precision": precision,
        "distances": distances,
        "codes": codes,
        "code_medians": medians,
    }
    return found | (_by_part(arrays, roles, len(mean)) if "scale" in arrays else {})


def _by_part(arrays: Arrays, roles: tuple[str, ...], width: int) -> dict[str, Any]:
    """What distances by part are measured with; absent from bundles that are older than they."""
    rows = _array(arrays, "neighbours", 2).astype(np.float16)
    if len(rows) == 0 or rows.shape[1] != width:
        raise ValueError(f"'neighbours' has the shape {rows.shape}, not one or more rows of {width}")
    pictures = {}
    for role in roles:
        mean, precision = _array(arrays, f"picture_mean_{role}", 1), _array(arrays, f"picture_precision_{role}", 2)
        if precision.shape != (len(mean), len(mean)):
            raise ValueError(f"the picture of '{role}' has a mean of {len(mean)} and a precision of {precision.shape}")
        _check_precision(precision, f"picture_precision_{role}")
        pictures[role] = mean, precision
    scale = _array(arrays, "scale", 2, endless=True)
    if scale.shape != (3 + len(roles), 2) or not (np.isfinite(scale[:, 0]) & (scale[:, 0] < scale[:, 1])).all():
        raise ValueError(f"'scale' must be {3 + len(roles)} pairs, the first number below the second")
    scaled = _array(arrays, "scaled", 1)
    if len(scaled) == 0 or (np.diff(scaled) < 0).any():
        raise ValueError("'scaled' must be one or more numbers, rising")
    return {"neighbours": rows, "pictures": pictures, "scale": scale, "scaled": scaled}


def _check_precision(matrix: NDArray[np.float64], name: str) -> None:
    """Distances are read off one half of a precision and under a root: it has to be symmetric and positive definite."""
    apart = float(np.abs(matrix - matrix.T).max(initial=0.0))
    if apart > 1e-9 * float(np.abs(matrix).max(initial=0.0)):
        raise ValueError(f"'{name}' is not symmetric: two values that should be one differ by {apart:.3g}")
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"'{name}' is not positive definite, so that no distance can be measured with it") from error


def _codes(arrays: Arrays) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Codes (M, 4) of training pictures and the medians (256,) that their bits are taken about."""
    codes = arrays.get("codes")
    if codes is None or codes.dtype != np.uint64 or codes.ndim != 2 or codes.shape[1] != 4:
        raise ValueError("'codes' must be uint64 of shape (M, 4)")
    medians = _array(arrays, "code_medians", 1).astype(np.float32)
    if medians.shape != (256,):
        raise ValueError(f"'code_medians' has {len(medians)} values, not 256")
    return codes.astype(np.uint64), medians


def _array(arrays: Arrays, name: str, dimensions: int, endless: bool = False) -> NDArray[np.float64]:
    if name not in arrays:
        raise ValueError(f"it holds no '{name}'")
    array = arrays[name]
    if array.ndim != dimensions or array.dtype.kind != "f":
        raise ValueError(f"'{name}' is {array.ndim}-dimensional {array.dtype}, not {dimensions}-dimensional float")
    result = array.astype(np.float64)
    if np.isnan(result).any() or not (endless or np.isfinite(result).all()):
        raise ValueError(f"'{name}' holds values that are not finite")
    return result
