"""Small folders of made scans, laid out in the ways that a cohort may be laid out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.scans.made_dicom import write


def picture(seed: int, side: int = 96) -> NDArray[np.uint8]:
    """A head-like oval with structure of its own: two seeds share the outline and nothing inside."""
    rng = np.random.default_rng(seed)
    inside = cv2.GaussianBlur(rng.random((side, side)), (0, 0), side / 24)
    inside = (inside - inside.min()) / np.ptp(inside)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = np.sqrt((x / 0.75) ** 2 + (y / 0.9) ** 2)
    head = np.where(radius < 0.85, 0.25 + 0.5 * inside, np.where(radius < 1.0, 1.0, 0.0))
    return np.asarray(255 * head, dtype=np.uint8)


def by_patient(root: Path, classes: dict[str, int], files: int = 2) -> Path:
    """CLASS/patient/files: PNG pictures, patients numbered through."""
    number = 0
    for name, patients in classes.items():
        for _ in range(patients):
            folder = root / name / f"p{number:03d}"
            folder.mkdir(parents=True)
            for k in range(files):
                Image.fromarray(picture(number * 100 + k)).save(folder / f"{k + 1}.png")
            number += 1
    return root


def flat(root: Path, classes: dict[str, int]) -> Path:
    """CLASS/file: nothing but the file's name tells the patients apart."""
    number = 0
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for k in range(count):
            Image.fromarray(picture(number)).save(root / name / f"s{number // 2:02d}_{k}.png")
            number += 1
    return root


def dicom_patient(folder: Path, patient: str, slices: int = 3, seed: int = 0, **fields: object) -> None:
    """One series of a patient, its file names in no order."""
    for k in range(slices):
        pixels = picture(seed * 50 + k, 32).astype(np.int16) // 3 + 1024
        values = {"PatientID": patient, "SeriesInstanceUID": f"1.2.{seed}", "StudyInstanceUID": f"1.9.{seed}"}
        write(folder / f"{(k * 5) % 7}.dcm", pixels, ImagePositionPatient=[0, 0, -5.0 * k], **(values | fields))
