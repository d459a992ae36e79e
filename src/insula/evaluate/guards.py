"""Reasons why figures would look better than the model is on new patients, each looked for and given a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from insula.core.types import Case, Cohort
from insula.evaluate import near
from insula.evaluate.evidence import Guard
from insula.evaluate.files import Hashes
from insula.evaluate.known import Known
from insula.evaluate.pictures import Pictures

_SHOWN = 20


def check(
    known: Known,
    cohort: Cohort,
    cases: Sequence[Case],
    split: str,
    found: Hashes,
    pictures: Pictures | None = None,
    instead: near.Known | None = None,
) -> tuple[Guard, ...]:
    """Every guard that asks where the cases come from.

    found: SHA-256 of the cases' files. pictures: of the cases. instead: codes of training pictures in this cohort, for
    a bundle that carries none.
    """
    patients = patients_guard(known, cohort, cases)
    how = split_guard(cohort, cases, split)
    if how.verdict == "pass" and patients.verdict == "fail":
        told = f"{how.finding}; it is not the split that the model was trained by"
        how = Guard("split", "cannot tell", told)
    return (
        how,
        patients,
        files_guard(known, cases, found),
        pictures_guard(known, pictures, instead),
    )


def reasons(guards: Sequence[Guard]) -> tuple[str, ...]:
    """The findings of the guards that failed: what takes the headline's place."""
    return tuple(guard.finding for guard in guards if guard.verdict == "fail")


def open_questions(guards: Sequence[Guard]) -> tuple[str, ...]:
    """What the guards could not tell, as notes, so that silence is not taken for a clean bill."""
    return tuple(dict.fromkeys(f"Cannot tell: {g.finding}." for g in guards if g.verdict == "cannot tell"))


def split_guard(cohort: Cohort, cases: Sequence[Case], split: str) -> Guard:
    """Whether these cases are a test at all, and were set apart patient by patient."""
    if split in ("train", "val"):
        use = "trained" if split == "train" else "stopped, calibrated and given its threshold"
        return Guard("split", "fail", f"these are the cases of the split '{split}', on which the model was {use}")
    if cohort.split_level == "picture":
        told = "the cohort was split picture by picture, so pictures of one patient may stand in training and here"
        return Guard("split", "fail", told)
    if split == "all":
        inside = sum(case.split in ("train", "val") for case in cases)
        if inside:
            told = f"every case was taken, {inside} of {len(cases)} of the splits 'train' and 'val' among them"
            return Guard("split", "cannot tell", told)
        return Guard("split", "pass", "every case of the cohort was taken, and none was set apart for training")
    if not cohort.patient_ids:
        return Guard("split", "cannot tell", "the cohort has no patient ids, so it cannot have been split by patient")
    used = {case.patient for name in ("train", "val") for case in cohort.of_split(name)}
    patients = {case.patient for case in cases}
    if patients & used:
        told = f"{len(patients & used)} of {len(patients)} patients here stand in this table's train or val as well"
        keys = tuple(case.key for case in cases if case.patient in used)[:_SHOWN]
        return Guard("split", "fail", told, keys)
    if not cohort.split_level:
        return Guard("split", "cannot tell", "nothing says how the cohort was split")
    return Guard("split", "pass", "the cohort was split by patient")


def patients_guard(known: Known, cohort: Cohort, cases: Sequence[Case]) -> Guard:
    """Whether a patient here was trained on, by the salted hashes that the bundle carries."""
    if not cohort.patient_ids:
        told = (
            "the cohort has no patient ids, so nobody can tell whether its patients were trained on, and every picture "
            "counts as a patient of its own"
        )
        return Guard("patients", "fail", told)
    patients = {case.patient for case in cases}
    seen = {patient for patient in patients if known.among(patient, known.patients)}
    if seen:
        keys = tuple(case.key for case in cases if case.patient in seen)[:_SHOWN]
        told = f"{len(seen)} of {len(patients)} patients here were in the training data"
        return Guard("patients", "fail", told, keys)
    if not known.patients or not known.patient_ids:
        told = "the bundle was trained without patient ids, so an overlap of patients cannot be ruled out"
        return Guard("patients", "cannot tell", told)
    return Guard("patients", "pass", f"none of {len(patients)} patients here was in the training data")


def files_guard(known: Known, cases: Sequence[Case], found: Hashes) -> Guard:
    """Whether a file here is, byte for byte, one that was trained on."""
    paths = {path for case in cases for scan in case.scans.values() for path in scan.paths}
    seen = {path for path, sha in found.items() if sha in known.files and path in paths}
    if seen:
        told = f"{len(seen)} of {len(paths)} files here were in the training data"
        return Guard("files", "fail", told, tuple(sorted(seen))[:_SHOWN])
    if not known.files:
        told = "the bundle lists no training files, so an overlap of files cannot be ruled out"
        return Guard("files", "cannot tell", told)
    gone = len(paths - set(found))
    if gone:
        return Guard("files", "cannot tell", f"{gone} of {len(paths)} files here are gone and could not be compared")
    return Guard("files", "pass", f"none of {len(paths)} files here was in the training data")


def pictures_guard(known: Known, pictures: Pictures | None, instead: near.Known | None = None) -> Guard:
    """Whether a picture here is a near-duplicate of one that was trained on: recompressed, resized, mirrored, turned.

    Fails from `near.SAME` bits of 256 down; from `near.CLOSE` down it may be a stranger, and a person should look.
    Codes of training pictures in this cohort, where the bundle carries none, can fail the guard but not pass it: they
    need not be all that was trained on.
    """
    base = known.pictures or instead
    if base is None or pictures is None:
        told = "the bundle carries no codes of its training pictures, so near-duplicates cannot be ruled out"
        return Guard("pictures", "cannot tell", told)
    total = len(pictures.cases)
    nearest = near.nearest(base, pictures)
    same = [one for one in nearest if one.bits <= near.SAME]
    if same:
        told = f"{len(same)} of {total} cases here show a picture of the training data (copies count)"
        return Guard("pictures", "fail", told, _said(same))
    close = [one for one in nearest if one.bits <= near.CLOSE]
    if close:
        told = f"{len(close)} of {total} cases here look much like a picture of the training data"
        return Guard("pictures", "cannot tell", told, _said(close))
    if known.pictures is None:
        told = (
            "the bundle carries no codes of its training pictures; no case here shows a picture of this cohort's "
            f"training cases ({len(base.codes)} pictures)"
        )
        return Guard("pictures", "cannot tell", told)
    if len(nearest) < total:
        told = f"{total - len(nearest)} of {total} cases here have no picture that could be compared"
        return Guard("pictures", "cannot tell", told)
    return Guard("pictures", "pass", f"none of {total} cases here shows one of {len(base.codes)} training pictures")


def _said(found: Sequence[near.Near]) -> tuple[str, ...]:
    return tuple(f"{one.case} ({one.bits} of 256 bits{', ' + one.how if one.how else ''})" for one in found[:_SHOWN])
