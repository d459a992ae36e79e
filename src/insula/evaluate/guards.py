"""Reasons why figures would look better than the model is on new patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.types import Case, Cohort


def find(bundle: Bundle, cohort: Cohort, cases: Sequence[Case], split: str) -> tuple[str, ...]:
    """Every reason that holds for these cases, in one clause each; none means that no guard was tripped."""
    reasons = []
    if cohort.split_level == "picture":
        reasons.append(
            "the cohort was split picture by picture, so pictures of one patient may stand in training and here"
        )
    if not cohort.patient_ids:
        reasons.append(
            "the cohort has no patient ids, so nobody can tell whether its patients were trained on, and every picture "
            "counts as a patient of its own"
        )
    if split in ("train", "val"):
        use = "trained" if split == "train" else "stopped, calibrated and given its threshold"
        reasons.append(f"these are the cases of the split '{split}', on which the model was {use}")
    known = seen_patients(bundle, cases)
    if known:
        reasons.append(f"{known[0]} of {known[1]} patients here were in the training data")
    files = seen_files(bundle, cohort, cases)
    if files[0]:
        reasons.append(f"{files[0]} of {files[1]} files here were in the training data")
    return tuple(reasons)


def seen_patients(bundle: Bundle, cases: Sequence[Case]) -> tuple[int, int] | None:
    """How many of the cases' patients the bundle was trained on, of how many; None for not one."""
    trained = set(bundle.baseline.patients)
    patients = {case.patient for case in cases}
    seen = sum(hash_patient(bundle.baseline.salt, patient) in trained for patient in patients)
    return (seen, len(patients)) if seen else None


def seen_files(bundle: Bundle, cohort: Cohort, cases: Sequence[Case]) -> tuple[int, int]:
    """How many of the cases' files are, byte for byte, files that the bundle was trained on, of how many."""
    trained = set(bundle.baseline.files)
    role = bundle.recipe.role
    paths = {path for case in cases if role in case.scans for path in case.scans[role].paths}
    if not trained:
        return 0, len(paths)
    root = Path(cohort.root)
    found = [root / path for path in sorted(paths)]
    return sum(path.is_file() and provenance.sha256_file(path) in trained for path in found), len(paths)


def notes(bundle: Bundle) -> tuple[str, ...]:
    """What the guards could not check, so that silence is not taken for a clean bill."""
    found = []
    if not bundle.baseline.patients or not bundle.baseline.patient_ids:
        found.append("The bundle was trained without patient ids, so an overlap of patients cannot be ruled out.")
    if not bundle.baseline.files:
        found.append("The bundle lists no training files, so an overlap of files cannot be ruled out.")
    return tuple(found)
