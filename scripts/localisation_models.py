"""Small networks trained on made patients, for the study of where heat maps lie; kept in a folder and reused.

All cases are slabs of four slices, around the largest cut of the lesion or anywhere in a head without one: whole series
carry so weak a label that a small network learns nothing from some hundred of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort.index import survey_cohort
from insula.cohort.phantom.make import make
from insula.cohort.split import split
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.finish import finish
from insula.train.fit import fit
from insula.train.shuffle import shuffle_labels

SIZE, SLICES, SLAB, SEED = 96, 16, 4, 7
FRACTIONS = (0.5, 0.1, 0.4)
_SMALL = (
    "model.encoder=simple_cnn",
    "model.pretrained=false",
    "model.pool=max",
    "train.lr=0.002",
    "train.batch=8",
    "train.epochs=32",
    "train.patience=32",
)
_CT = f"inputs.ct.prep=[{{windows: [[40, 80]]}}, {{resize: {SIZE}}}]"
_MR = f"inputs.mri.prep=[{{percentile: [1, 99]}}, {{resize: {SIZE}}}]"


@dataclass(frozen=True)
class Study:
    """One question on made patients: the phantom and recipe of its name, how many patients, settings."""

    kind: str
    patients: int
    settings: tuple[str, ...]


STUDIES = {
    "haemorrhage": Study("haemorrhage-ct", 480, (_CT,)),
    "stroke": Study("stroke-ct", 240, ("inputs.ct.unit=series", _CT)),
    "tumour": Study("brain-tumour", 240, (_MR,)),
}


def recipe(study: Study) -> Recipe:
    """The recipe that is shipped, with a small network from random weights at 96² pixels."""
    return recipes.load(study.kind, (*study.settings, *_SMALL))


def cohort(name: str, work: Path) -> Cohort:
    """A study's made patients as slabs, split by patient: half to train, a tenth to validate, the rest to test."""
    study, folder = STUDIES[name], work / f"{name}-patients"
    if not folder.is_dir():
        print(f"[{name}] making {study.patients} patients", flush=True)
        make(study.kind, folder, study.patients, SEED, SIZE, SLICES)
    asked = recipe(study)
    found = split(survey_cohort(folder, asked).cohort, asked, FRACTIONS)
    rng = np.random.default_rng(SEED)
    return replace(found, cases=tuple(slab(case, folder, asked.role, rng) for case in found.cases))


def slab(case: Case, root: Path, role: str, rng: np.random.Generator) -> Case:
    """The case with files and mask of so many slices: around the largest cut of its lesion, or at a random height."""
    scan = case.scans[role]
    volume = scan.paths[0] if scan.format == "nifti" else ""
    names = [] if volume else sorted(scan.paths, key=lambda p: float(_header(root / p).ImagePositionPatient[2]))
    first = int(rng.integers(0, SLICES - SLAB + 1))
    mask = scan.mask
    if mask:
        cuts = np.asarray(nibabel.load(root / mask).dataobj).sum((0, 1))
        first = int(np.clip(cuts.argmax() - rng.integers(1, SLAB - 1), 0, SLICES - SLAB))
        mask = _cut(root, mask, first)
    paths = (_cut(root, volume, first),) if volume else tuple(names[first : first + SLAB])
    return replace(case, scans={**case.scans, role: replace(scan, paths=paths, mask=mask)})


def _cut(root: Path, path: str, first: int) -> str:
    """Some slices of a volume as a file of their own, with the sidecar of the whole beside it."""
    made = f"slabs/{path}"
    (root / made).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.load(root / path).slicer[:, :, first : first + SLAB], root / made)
    sidecar = root / path.replace(".nii.gz", ".json")
    if sidecar.is_file():
        shutil.copy(sidecar, root / made.replace(".nii.gz", ".json"))
    return made


def _header(path: Path) -> pydicom.FileDataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def bundle(name: str, work: Path, table: Cohort, shuffled: bool = False) -> Bundle:
    """The study's network, or its control on labels shuffled over patients; trained where no earlier run left it."""
    home = work / (f"{name}-shuffled" if shuffled else name)
    if not (home / "bundle").is_dir():
        asked = recipe(STUDIES[name])
        run = fit(table, asked, home, work / "cache", say=lambda line: print(line, flush=True), shuffled=shuffled)
        finish(run, shuffle_labels(table, asked) if shuffled else table, home / "bundle")
    return load(home / "bundle")
