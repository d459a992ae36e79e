"""A NIfTI file with the same voxels and geometry, and nothing that was written about them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np

from insula.cohort.deidentify.tally import Tally
from insula.core.errors import ScanError
from insula.scans import limits, nifti

_GZIP = b"\x1f\x8b"
_HU = re.compile(rb"\bHU\b|hounsfield", re.IGNORECASE)
# field → (offset, length); what is not here is geometry, scaling or the kind of values
_ONE = {
    "data_type": (4, 10),
    "db_name": (14, 18),
    "extents": (32, 4),
    "session_error": (36, 2),
    "glmax": (140, 4),
    "glmin": (144, 4),
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
}
_TWO = {"descrip": (240, 80), "aux_file": (320, 24), "intent_name": (508, 16), "unused_str": (525, 15)}


def clean(path: Path, tally: Tally) -> bytes:
    """The bytes of the cleaned file, gzip or plain as it was, its voxels bit for bit the same.

    Every text of the header is cleared (a description that names Hounsfield units keeps `HU`), extensions and bytes
    after the last voxel are dropped, and the gzip header carries no name and no time. Raises ScanError and LimitError
    as the reader.
    """
    end = nifti.end(path)
    raw = path.read_bytes()
    packed = raw.startswith(_GZIP)
    if packed:
        with path.open("rb") as stream:
            raw = b"".join(limits.inflate(stream, end + 1))  # a byte more tells that there are more
    second = raw[4:8] == b"n+2\0"
    length, fields = (540, _TWO) if second else (348, _ONE)
    import nibabel

    kind: Any = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    header = kind(raw[:length])
    offset = int(header["vox_offset"])
    voxels = int(np.prod([int(d) for d in header.get_data_shape()])) * header.get_data_dtype().itemsize
    body = raw[offset : offset + voxels]
    if offset < length or len(body) < voxels:
        raise ScanError("The file is cut short; copy it again.")
    head = bytearray(raw[:length])
    for name, (start, size) in fields.items():
        old = bytes(head[start : start + size])
        head[start : start + size] = (b"HU" if name == "descrip" and _HU.search(old) else b"").ljust(size, b"\0")
        if old.strip(b"\0 "):
            tally.emptied[name] += 1
    if any(raw[length : length + 4]) or offset > length + 4:
        tally.removed["header extension"] += 1
    if len(raw) > offset + voxels:
        tally.removed["bytes after the last voxel"] += 1
    made = kind(bytes(head))
    made["vox_offset"] = length + 4
    sides = int(made["dim"][0])
    made["dim"][sides + 1 :] = 1
    plain = made.binaryblock + b"\0\0\0\0" + body
    return gzip.compress(plain, 6, mtime=0) if packed else plain
