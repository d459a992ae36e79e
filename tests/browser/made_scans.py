"""Head CT as DICOM for the browser's tests: a head whose right half holds a bright block, stored in two ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insula.scans.write import made_uid, write_ct_series

SLICES, SIDE = 8, 160
MARKED = range(2, 6)  # slices with the block
_MM = 1.2
_AIR, _BRAIN, _BONE, _BLOOD = -1000.0, 34.0, 1100.0, 74.0


def head(blood: float = 1.0) -> NDArray[np.float64]:
    """HU (Z, Y, X) with x from the patient's right to the left: skull, brain, and blood in the right half alone.

    blood: how wide and high the block is, of its full size.
    """
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / (SIDE / 2)
    radius = np.hypot(x / 0.78, y / 0.92)
    plane = np.where(radius < 1.0, _BONE, _AIR)
    plane = np.where(radius < 0.88, _BRAIN, plane)
    made = np.repeat(plane[None], SLICES, axis=0)
    if blood:
        block = (np.abs(x + 0.34) < 0.16 * blood) & (np.abs(y + 0.05) < 0.22 * blood)
        made[MARKED.start : MARKED.stop, block] = _BLOOD
    return made


def write(folder: Path, patient: str, blood: float = 1.0, flipped: bool = False, seed: int = 0) -> list[Path]:
    """The head as a series of files. flipped: stored from the patient's left to the right, as the headers then say."""
    hu = head(blood) + np.random.default_rng(seed).normal(0.0, 1.5, (SLICES, SIDE, SIDE))
    half = _MM * (SIDE - 1) / 2
    affine = np.diag([_MM, _MM, 5.0, 1.0])  # to LPS mm: x grows towards the patient's left
    affine[:2, 3] = -half
    if flipped:
        hu = hu[:, :, ::-1]
        affine[0] = [-_MM, 0.0, 0.0, half]
    header = {
        "PatientID": patient,
        "PatientName": f"Made^{patient}",
        "PatientSex": "O",
        "PatientAge": "060Y",
        "StudyDate": "",
        "StudyTime": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "PatientBirthDate": "",
        "StudyID": "1",
        "SeriesNumber": "1",
        "SeriesDescription": "Made head CT",
        "PatientPosition": "HFS",
        "BodyPartExamined": "HEAD",
        "Manufacturer": "Made",
        "KVP": "120",
        "PositionReferenceIndicator": "",
    }
    names = [f"{number:02d}.dcm" for number in range(SLICES)]
    uids = made_uid("study", patient, flipped, blood, seed), made_uid("series", patient, flipped, blood, seed)
    return write_ct_series(hu, affine, folder, names, uids, header)
