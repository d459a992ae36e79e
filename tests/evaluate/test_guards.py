from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.scripted import Scripted, case, cohort, pairs

from insula.bundle.types import Bundle
from insula.core.provenance import sha256_file
from insula.core.types import Cohort
from insula.evaluate import guards
from insula.evaluate.run import evaluate

Make = Callable[..., Bundle]


def judged(bundle: Bundle, made: Cohort, split: str = "test") -> tuple[str, ...]:
    return guards.find(bundle, made, made.cases, split)


def test_new_patients_of_a_cohort_split_by_patient_trip_no_guard(tiny_bundle: Make) -> None:
    made, script = pairs(4)
    report = evaluate(tiny_bundle(), made, predictor=Scripted(script), replicates=20)
    assert report.optimistic == ()
    assert report.headline.startswith("stroke: ROC-AUC")


def test_a_tripped_guard_takes_the_place_of_the_figures_in_the_headline(tiny_bundle: Make) -> None:
    made, script = pairs(4)
    report = evaluate(tiny_bundle(), replace(made, split_level="picture"), predictor=Scripted(script), replicates=20)
    assert report.headline.startswith("Optimistic: the cohort was split picture by picture")
    assert "ROC-AUC" not in report.headline
    assert report.to_dict()["optimistic"] == list(report.optimistic)


def test_patients_of_the_training_data_are_counted_once_each(tiny_bundle: Make) -> None:
    made = cohort(case("a", "P1"), case("b", "P1"), case("c", "P2"), case("d", "q9"))
    assert judged(tiny_bundle(), made) == ("2 of 3 patients here were in the training data",)
    assert guards.seen_patients(tiny_bundle(), made.cases[3:]) is None


def test_files_of_the_training_data_are_found_under_another_name(tiny_bundle: Make, tmp_path: Path) -> None:
    for key, value in (("a", 1.0), ("b", 2.0)):
        np.savez(tmp_path / f"{key}.npz", array=np.full((2, 2), value))
    bundle = tiny_bundle()
    bundle = replace(bundle, baseline=replace(bundle.baseline, files=(sha256_file(tmp_path / "a.npz"),)))
    made = cohort(case("a", "q1"), case("b", "q2"), case("gone", "q3"), root=str(tmp_path))
    assert judged(bundle, made) == ("1 of 3 files here were in the training data",)
    assert guards.seen_files(bundle, made, made.cases[1:]) == (0, 2)


@pytest.mark.parametrize(
    ("split", "said"), [("train", "on which the model was trained"), ("val", "given its threshold")]
)
def test_the_splits_that_made_the_model_are_no_test_of_it(tiny_bundle: Make, split: str, said: str) -> None:
    found = judged(tiny_bundle(), cohort(case("a", "q1")), split)
    assert len(found) == 1
    assert f"the split '{split}'" in found[0]
    assert said in found[0]


def test_a_cohort_without_patient_ids_is_not_taken_for_one_of_separate_patients(tiny_bundle: Make) -> None:
    found = judged(tiny_bundle(), replace(cohort(case("a", "q1")), patient_ids=False))
    assert len(found) == 1
    assert "no patient ids" in found[0]


def test_every_reason_is_given(tiny_bundle: Make) -> None:
    made = replace(cohort(case("a", "P1")), split_level="picture", patient_ids=False)
    assert len(judged(tiny_bundle(), made, "train")) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"patient_ids": False}, ["overlap of patients cannot be ruled out"]),
        ({"patients": ()}, ["overlap of patients cannot be ruled out"]),
        ({"files": ()}, ["overlap of files cannot be ruled out"]),
    ],
)
def test_what_could_not_be_checked_is_noted(tiny_bundle: Make, changes: dict[str, object], said: list[str]) -> None:
    bundle = tiny_bundle()
    bundle = replace(bundle, baseline=replace(bundle.baseline, **changes))  # type: ignore[arg-type]
    made, script = pairs(2)
    notes = evaluate(bundle, made, predictor=Scripted(script), replicates=20).notes
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))
