"""A small cohort of CT series on disk that the tiny bundle takes, one series a patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.scans.made_dicom import write

from insula.core.types import Case, Cohort, Scan, Split


def make(root: Path, patients: int = 8, slices: int = 2, split: Split = "test") -> Cohort:
    """Half of the patients carry a blob of high values and the label stroke."""
    rng = np.random.default_rng(5)
    cases = []
    for i in range(patients):
        names = []
        for k in range(slices):
            pixels = rng.normal(1064, 25, (24, 24))
            pixels[8:16, 8:16] += 40 * (i % 2)
            names.append(f"{i}/{k}.dcm")
            write(
                root / names[-1],
                pixels.astype(np.int16),
                PatientID=f"A{i}",
                SeriesInstanceUID=f"1.2.{i + 1}",
                ImagePositionPatient=[0.0, 0.0, 5.0 * k],
                InstanceNumber=k + 1,
            )
        scan = Scan(tuple(names), "dicom")
        labels = {"answer": (("normal", "stroke")[i % 2],)}
        cases.append(Case(f"case-{i}", f"A{i}", {"ct": scan}, labels, split=split))
    return Cohort(tuple(cases), str(root), "patient" if split else "")
