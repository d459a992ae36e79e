"""Small scans that no two models would answer alike: each of another patient, of one to four slices."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from tests.serve.client import dicom


@cache
def slices(number: int) -> tuple[bytes, ...]:
    """The files of a scan; a number has always the same."""
    draw = np.random.default_rng(number)
    level, spread = draw.uniform(1030, 1100), draw.uniform(2, 40)
    found = []
    for k in range(1, 2 + number % 4):
        one = pydicom.dcmread(
            io.BytesIO(dicom(number=k, patient=f"L-{number}", series=f"1.2.9.{number}.1", name=f"Load^{number}"))
        )
        one.StudyInstanceUID, one.SOPInstanceUID = f"1.2.9.{number}", f"1.2.9.{number}.1.{k}"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.PixelData = np.clip(draw.normal(level, spread, (24, 24)), 0, 4095).astype(np.uint16).tobytes()
        stream = io.BytesIO()
        one.save_as(stream, enforce_file_format=True)
        found.append(stream.getvalue())
    return tuple(found)


def written(folder: Path, number: int) -> list[Path]:
    """The files of a scan on the disk."""
    paths = []
    for k, data in enumerate(slices(number), 1):
        paths.append(folder / f"{number}-{k}.dcm")
        paths[-1].write_bytes(data)
    return paths
