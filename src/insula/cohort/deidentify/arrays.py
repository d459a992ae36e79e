"""NumPy arrays with the same numbers, under names that say nothing."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from insula.cohort.deidentify.tally import Tally
from insula.core.errors import ScanError
from insula.scans import arrays

_NAMES = frozenset({"array", "image", "volume", "data", "affine", "units"})
_UNITS = frozenset({"HU", "a.u.", "RGB"})


def clean(path: Path, tally: Tally) -> bytes:
    """The bytes of a cleaned .npy or .npz; raises ScanError and LimitError as the reader.

    An .npz keeps its picture, `affine` and `units`; members with other names and texts are dropped, and so are the
    names and comments of the archive.
    """
    arrays.read(path)
    stream = io.BytesIO()
    if not zipfile.is_zipfile(path):
        array = np.load(path, allow_pickle=False)
        if array.dtype.names or array.dtype.kind not in "biuf":
            raise ScanError("The array holds more than plain numbers.")
        np.save(stream, array, allow_pickle=False)
        return stream.getvalue()
    kept: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
    for name, found in arrays.members(path, _NAMES):
        if found is not None and name == "units" and str(found) in _UNITS:
            kept[name] = np.asarray(str(found))
        elif found is not None and found.dtype.kind in "biuf":
            kept[name if name in _NAMES else "array"] = found
        else:
            tally.removed["member of the archive"] += 1
    np.savez_compressed(stream, allow_pickle=False, **kept)
    return stream.getvalue()
