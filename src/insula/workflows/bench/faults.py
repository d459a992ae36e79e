"""The faults of the bench: how each one comes about, and which findings name it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import logit

from insula.core.errors import InsulaError
from insula.core.recipe import OperatingPoint
from insula.core.types import Case, Cohort, Scan
from insula.evaluate.facts import of_recipe
from insula.evaluate.run import evaluate
from insula.metrics.thresholds import choose
from insula.workflows.bench.situation import PATIENTS, POSITIVE, TARGET, Situation, cohort

SHARED, COPIED = 30, 20  # patients that stand in two splits, pictures that do
MANY = 480  # half of them in the test split: what 10% of wrong labels take to be found in nearly all cohorts
DOUBT = 0.7  # what a miscalibrated head gives the answer in the middle of all


class WithoutEffectError(InsulaError):
    """A fault that cannot be planted here, since nothing would be wrong."""

    code = "without_effect"
    exit_code = 10


Change = Callable[[Situation, Path, int], Situation]


@dataclass(frozen=True)
class Fault:
    """One fault.

    plants: into the files of the cohort, so that the network is trained on it; change: of a clean
    situation, whose network stays. names: beginnings of the names of findings, any of which names this fault. patients:
    of a planted cohort, more where the effect takes more to be told from chance.
    """

    name: str
    title: str
    names: tuple[str, ...]
    plants: tuple[str, ...] = ()
    change: Change | None = None
    patients: int = PATIENTS


def patient_leak(at: Situation, folder: Path, seed: int) -> Situation:
    """Every second slice of some training patients stands as a case of its own in the test split."""
    chosen = _drawn(at.cohort.of_split("train"), SHARED, seed)
    return _with(at, [_halved(case, f"{case.key}-b", case.patient, 1) for case in chosen])


def duplicates(at: Situation, folder: Path, seed: int) -> Situation:
    """Copies of training scans, byte for byte, under the names of other patients in the test split."""
    made = []
    for number, case in enumerate(_drawn(at.cohort.of_split("train"), COPIED, seed)):
        place = Path("copies") / f"{number:03}"
        target = Path(at.cohort.root) / place
        target.mkdir(parents=True, exist_ok=True)
        scan = case.scans["ct"]
        paths = [place / Path(path).name for path in scan.paths]
        for old, new in zip(scan.paths, paths, strict=True):
            shutil.copyfile(Path(at.cohort.root) / old, Path(at.cohort.root) / new)
        told = replace(scan, paths=tuple(path.as_posix() for path in paths), study_uid="", series_uid="")
        made.append(_new(case, f"copy-{number:03}", {"ct": told}))
    return _with(at, made)


def near_duplicates(at: Situation, folder: Path, seed: int) -> Situation:
    """Training scans compressed anew, mirrored and cropped, under other names and UIDs in the test split."""
    count = 4 * COPIED
    whole = cohort(folder / "near", seed, (f"duplicates:{count}",))
    with (folder / "near" / "truth.csv").open(newline="", encoding="utf-8") as file:
        source = {
            row["patient_id"]: row["copy_of"]
            for row in csv.DictReader(file)
            if row["copy"] in ("recompressed", "flipped", "cropped")
        }
    train = {case.patient for case in at.cohort.of_split("train")}
    base = {case.patient: case for case in whole.cases}
    found = [replace(base[patient], split="test") for patient, of in source.items() if of in train and patient in base]
    return _with(at, [_brought(case, whole, at.cohort, "near") for case in found[:COPIED]])


def subgroup(at: Situation, folder: Path, seed: int) -> Situation:
    """The lesions of women in the test split are hardly to be seen, as the network has never met them."""
    weak = cohort(folder / "weak", seed, ("subgroup:sex=F:0.1",))
    faint = {case.key: case for case in weak.cases if case.attributes["sex"] == "F"}
    cases = tuple(
        replace(_brought(faint[case.key], weak, at.cohort, "weak"), split="test")
        if case.split == "test" and case.key in faint
        else case
        for case in at.cohort.cases
    )
    return replace(at, cohort=replace(at.cohort, cases=cases))


def miscalibrated(at: Situation, folder: Path, seed: int) -> Situation:
    """Logits so small that half of all answers, which are nearly always right, get a probability below 0.7.

    Too large ones would do no harm that could be seen in a network that errs in two cases of a hundred.
    """
    table = evaluate(at.bundle, at.cohort, passes=0, replicates=200).table
    p = table[f"p_{POSITIVE}"].to_numpy(np.float64).clip(1e-7, 1 - 1e-7)
    factor = float(np.median(np.abs(logit(p))) / logit(DOUBT))
    if factor < 1:
        raise WithoutEffectError("Half of the answers are as doubtful already.")
    told = replace(at.bundle.decision, temperature=at.bundle.decision.temperature * factor)
    return replace(at, bundle=replace(at.bundle, decision=told))


def prevalence(at: Situation, folder: Path, seed: int) -> Situation:
    """A test split in which one patient in ten bleeds, and half of those in training."""
    test = at.cohort.of_split("test")
    ill = [case for case in test if POSITIVE in case.labels[TARGET]]
    well = [case for case in test if POSITIVE not in case.labels[TARGET]]
    gone = {case.key for case in _drawn(ill, len(ill) - round(len(well) / 9), seed)}
    return replace(at, cohort=replace(at.cohort, cases=tuple(c for c in at.cohort.cases if c.key not in gone)))


def tuned(at: Situation, folder: Path, seed: int) -> Situation:
    """The threshold that is best on the test patients, given in place of the bundle's."""
    facts = of_recipe(at.bundle.recipe, at.bundle.decision.thresholds, at.bundle.decision.power)
    table = evaluate(at.bundle, at.cohort, passes=0, replicates=200).table
    y, p = table[f"y_{POSITIVE}"].to_numpy(bool), table[f"p_{POSITIVE}"].to_numpy(np.float64)
    own = facts.threshold(POSITIVE)
    for aim in (at.bundle.recipe.policy.operating_point, OperatingPoint(f2=True)):
        best = float(choose(y, p, aim))
        if ((p >= best) != (p >= own)).any():
            return replace(at, thresholds={POSITIVE: best})
    raise WithoutEffectError("The bundle's own threshold is the best one on these test patients too.")


def shuffled(at: Situation, folder: Path, seed: int) -> Situation:
    """A table of the bundle's own predictions whose rows came out of order."""
    table = evaluate(at.bundle, at.cohort, passes=0, replicates=200).table
    p = table[f"p_{POSITIVE}"].to_numpy(np.float64)
    order = np.random.default_rng((seed, 101)).permutation(len(p))
    return replace(at, given=dict(zip(table["case"].astype(str), p[order].tolist(), strict=True)))


def _with(at: Situation, more: list[Case]) -> Situation:
    """The situation with further test cases."""
    return replace(at, cohort=Cohort((*at.cohort.cases, *more), at.cohort.root, at.cohort.split_level))


def _brought(case: Case, whole: Cohort, to: Cohort, under: str) -> Case:
    """A case of another cohort with its files copied under the root of this one."""
    scan = case.scans["ct"]
    paths = [Path(under) / path for path in scan.paths]
    for old, new in zip(scan.paths, paths, strict=True):
        target = Path(to.root) / new
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(whole.root) / old, target)
    return replace(case, scans={"ct": replace(scan, paths=tuple(path.as_posix() for path in paths))})


def _drawn(cases: tuple[Case, ...] | list[Case], count: int, seed: int) -> list[Case]:
    order = np.random.default_rng((seed, 103)).permutation(len(cases))[:count]
    return [cases[int(i)] for i in sorted(order)]


def _halved(case: Case, key: str, patient: str, first: int) -> Case:
    scan = case.scans["ct"]
    part = replace(scan, paths=scan.paths[first::2], study_uid="", series_uid="")
    return replace(case, key=key, patient=patient, scans={"ct": part}, split="test")


def _new(case: Case, name: str, scans: dict[str, Scan]) -> Case:
    return replace(case, key=name, patient=name, scans=scans, split="test")


FAULTS = (
    Fault(
        "patient-leak",
        "a patient stands in training and test",
        ("evidence/patients", "leaks/patient"),
        change=patient_leak,
    ),
    Fault(
        "duplicates", "the same pictures in training and test", ("leaks/identical", "evidence/files"), change=duplicates
    ),
    Fault(
        "near-duplicates",
        "compressed, mirrored or cropped copies",
        ("leaks/near", "evidence/pictures"),
        change=near_duplicates,
    ),
    Fault("text", "a letter burned in on positives", ("marks/text", "exchange/text"), ("text:any",)),
    Fault("scanner", "one scanner per class", ("check/scanner", "baselines/metadata"), ("scanner:1",)),
    Fault(
        "border",
        "another headrest under positives",
        ("baselines/border", "background/", "exchange/background"),
        ("border:any",),
    ),
    Fault("device", "coils, clips and shunts in positives", ("marks/device", "exchange/device"), ("device:any=1",)),
    Fault("label-noise", "one label in ten is wrong", ("labels/contradicted",), ("label-noise:0.1",), patients=MANY),
    Fault(
        "miscalibrated",
        "right answers are called doubtful, half of them below 0.7",
        ("calibration/",),
        change=miscalibrated,
    ),
    Fault("subgroup", "lesions of women in the test hardly to be seen", ("subgroups/sex=",), change=subgroup),
    Fault("prevalence", "one in ten bleeds, half did in training", ("shift/prevalence",), change=prevalence),
    Fault("tuned-threshold", "the threshold chosen on the test patients", ("evidence/threshold",), change=tuned),
    Fault("shuffled", "predictions in other rows than their own", ("predictions/order",), change=shuffled),
    Fault("slope", "a wrong rescale slope at one site", ("shift/scale",), ("slope:site=south:0.85",)),
    Fault("outline", "the lesion outlined on positives", ("marks/outline", "exchange/outline"), ("outline:any",)),
)
CLEAN = Fault("clean", "nothing planted", ())
assert PATIENTS >= 2 * COPIED  # noqa: S101
