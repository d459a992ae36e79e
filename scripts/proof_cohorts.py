"""The made cohorts of phantom_proofs.py, each with a truth that is known to need what its proof is about."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insula.cohort.index import index
from insula.cohort.join import join
from insula.cohort.phantom import ct
from insula.cohort.phantom.fate import weakened
from insula.cohort.phantom.lesions import haemorrhage
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.phantom.patients import head_ct
from insula.cohort.split import split
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, FloatArray, Scan, Split, Volume
from insula.prep.cache import Prepared, build_all
from insula.prep.run import prepare

THIRTY = 30
FEW = 12  # slices of a head of which one is kept
SIDE = 64
CLASSES = ("no", "yes")
STEEP = 6.0  # difference of log hazard between a benign and a malignant tumour of their middle sizes
PER_MM = 0.6  # of log hazard, for each millimetre of radius


@dataclass(frozen=True)
class Made:
    """A split cohort and its opened caches by role."""

    cohort: Cohort
    prepared: Mapping[str, Prepared]

    @property
    def test(self) -> tuple[Case, ...]:
        """The cases that a proof is measured on."""
        return self.cohort.of_split("test")


def one_slice(recipe: Recipe, counts: Mapping[Split, int], seed: int, strength: float = 1.0) -> Made:
    """Head CT of thirty slices, every second one with a haemorrhage in a single slice.

    The slice is the one that the haemorrhage fills most; the other twenty-nine are those of the same head without it.
    """

    def patient(number: int) -> tuple[FloatArray, int]:
        _, place, head, scanner, g = head_ct(seed, number, SIDE, THIRTY, tilted=False)
        lesion = haemorrhage(head, "intraparenchymal", g)
        hu = ct.hounsfield(head, place, [], scanner, g)
        ill = number % 2
        if ill:
            at = int(lesion.mask.sum((1, 2)).argmax())
            hu[at] = ct.hounsfield(head, place, weakened([lesion], strength), scanner, g)[at]
        return prepare(Volume(hu[None], place.affine, "HU", "CT", "made"), recipe.input), ill

    return _composed(recipe, counts, patient)


def rare(recipe: Recipe, counts: Mapping[Split, int], seed: int, share: float) -> Made:
    """One CT slice a patient; this share of the train and val patients bleeds, and half of the test patients.

    The haemorrhage's contrast against the brain is drawn evenly from a tenth to all of what it should be, so that there
    are easy cases and hard ones.
    """
    ill: set[int] = set()
    start = 0
    for name, count in counts.items():
        wanted = round((0.5 if name == "test" else share) * count)
        ill |= {start + int(n) for n in np.random.default_rng((seed, start)).permutation(count)[:wanted]}
        start += count

    def patient(number: int) -> tuple[FloatArray, int]:
        _, place, head, scanner, g = head_ct(seed, number, SIDE, FEW, tilted=False)
        lesion = haemorrhage(head, "intraparenchymal", g)
        found = weakened([lesion], float(g.uniform(0.1, 1.0))) if number in ill else []
        hu = ct.hounsfield(head, place, found, scanner, g)
        at = int(lesion.mask.sum((1, 2)).argmax())
        slices = prepare(Volume(hu[None], place.affine, "HU", "CT", "made"), recipe.input)
        return slices[at : at + 1], int(number in ill)

    return _composed(recipe, counts, patient)


def both(recipe: Recipe, folder: Path, patients: int, seed: int) -> Made:
    """Tumour patients with CT and MR of whom neither alone tells the class; see docs/phantoms.md."""
    if not folder.exists():
        make("brain-tumour", folder, patients, seed, SIDE, 12, options=Options(modality="both"))
    table = join([index(folder, recipe.only(role)) for role in recipe.inputs]).cohort
    return _of_files(table, recipe, folder)


def outcomes(recipe: Recipe, folder: Path, patients: int, seed: int) -> Made:
    """Tumour patients with MR, stage and two outcomes: the phantom's own, and one that size and class decide more.

    Columns `days` and `dead`: an exponential time with the log hazard STEEP · (malignant) + PER_MM · (radius − middle),
    cut off by a follow-up drawn so that about a third of the patients is censored; `log_hazard` and `steep_hazard` hold
    the true values of both.
    """
    if not folder.exists():
        make("brain-tumour", folder, patients, seed, SIDE, 12, options=Options(answers=True))
    table = index(folder, recipe)
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["patient_id"]: row for row in csv.DictReader(file)}
    cases = tuple(_with_times(case, truth[case.patient], seed) for case in table.cases)
    return _of_files(replace(table, cases=cases), recipe, folder)


def _with_times(case: Case, truth: Mapping[str, str], seed: int) -> Case:
    label = truth["true_label"]
    if label == "healthy":
        return case
    middle = 16.5 if label == "benign" else 17.5
    hazard = STEEP * (label == "malignant") + PER_MM * (float(truth["radius_mm"]) - middle)
    draw = np.random.default_rng((seed, 83, int("".join(filter(str.isdigit, case.patient)))))
    time = 1000.0 * float(draw.exponential(np.exp(-hazard)))
    followed = 1000.0 * float(np.exp(draw.uniform(-2.5, 2.0)))
    told = {"days": f"{max(min(time, followed), 0.1):.1f}", "dead": str(int(time <= followed))}
    told |= {"log_hazard": truth["log_hazard"], "steep_hazard": f"{hazard:.4f}"}
    return replace(case, attributes={**case.attributes, **told})


def _of_files(table: Cohort, recipe: Recipe, folder: Path) -> Made:
    table = split(table, recipe, (0.5, 0.2, 0.3))
    prepared = build_all(table.cases, Path(table.root), recipe, folder.with_name(f"{folder.name}-cache"))
    return Made(table, prepared)


def _composed(recipe: Recipe, counts: Mapping[Split, int], patient: Callable[[int], tuple[FloatArray, int]]) -> Made:
    cases: list[Case] = []
    arrays: list[FloatArray] = []
    places: dict[str, tuple[int, int]] = {}
    at = 0
    for number, name in enumerate(_names(counts)):
        slices, label = patient(number)
        key = f"made-{number:04}"
        scan = Scan((f"{number}.npy",), "npy")
        labels = {recipe.target_name: (CLASSES[label],)}
        cases.append(Case(key, key, {recipe.role: scan}, labels, split=name))
        places[key] = (at, len(slices))
        arrays.append(slices)
        at += len(slices)
    whole: NDArray[np.float32] = np.concatenate(arrays)
    return Made(Cohort(tuple(cases), "made", "patient"), {recipe.role: Prepared(whole, places, {})})


def _names(counts: Mapping[Split, int]) -> Iterator[Split]:
    for name, count in counts.items():
        yield from [name] * count
