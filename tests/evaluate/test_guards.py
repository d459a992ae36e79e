from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate import made_pictures
from tests.evaluate.scripted import Scripted, case, cohort, pairs

from insula.bundle.types import Bundle
from insula.core.types import Cohort
from insula.evaluate import files, guards, known, near
from insula.evaluate.pictures import gather
from insula.evaluate.run import evaluate

Make = Callable[..., Bundle]


def judged(bundle: Bundle, made: Cohort, split: str = "test") -> tuple[str, ...]:
    found = files.hashes(made.cases, Path(made.root))
    return guards.reasons(guards.check(known.of_bundle(bundle), made, made.cases, split, found))


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
    first = report.to_dict()["guards"][0]
    assert (first["name"], first["verdict"]) == ("split", "fail")


def test_a_split_is_not_passed_where_its_patients_fail(tiny_bundle: Make) -> None:
    def verdicts(made: Cohort, split: str = "test") -> dict[str, str]:
        told = guards.check(known.of_bundle(tiny_bundle()), made, made.of_split("test"), split, {})
        return {guard.name: guard.verdict for guard in told}

    whole = cohort(case("a", "q1"), case("b", "q2"))
    assert (verdicts(whole)["split"], verdicts(whole)["patients"]) == ("pass", "pass")
    leaked = cohort(case("a", "P1"), case("b", "q2"))
    assert (verdicts(leaked)["split"], verdicts(leaked)["patients"]) == ("cannot tell", "fail")
    nameless = replace(whole, patient_ids=False)
    assert (verdicts(nameless)["split"], verdicts(nameless)["patients"]) == ("cannot tell", "fail")
    trained = replace(case("c", "q2"), split="train")
    torn = replace(whole, cases=(*whole.cases, trained))
    found = guards.split_guard(torn, whole.cases, "test")
    assert (found.verdict, found.evidence) == ("fail", ("b",))
    assert found.finding == "1 of 2 patients here stand in this table's train or val as well"
    assert guards.split_guard(torn, torn.cases, "all").verdict == "cannot tell"
    assert guards.split_guard(whole, whole.cases, "all").verdict == "pass"


def test_patients_of_the_training_data_are_counted_once_each(tiny_bundle: Make) -> None:
    made = cohort(case("a", "P1"), case("b", "P1"), case("c", "P2"), case("d", "q9"))
    assert judged(tiny_bundle(), made) == ("2 of 3 patients here were in the training data",)
    found = guards.patients_guard(known.of_bundle(tiny_bundle()), made, made.cases)
    assert found.evidence == ("a", "b", "c")
    passed = guards.patients_guard(known.of_bundle(tiny_bundle()), made, made.cases[3:])
    assert (passed.verdict, passed.finding) == ("pass", "none of 1 patients here was in the training data")


def test_files_of_the_training_data_are_found_under_another_name(tiny_bundle: Make, tmp_path: Path) -> None:
    for key, value in (("a", 1.0), ("b", 2.0)):
        np.savez(tmp_path / f"{key}.npz", array=np.full((2, 2), value))
    bundle = tiny_bundle()
    made = cohort(case("a", "q1"), case("b", "q2"), case("gone", "q3"), root=str(tmp_path))
    found = files.hashes(made.cases, tmp_path)
    bundle = replace(bundle, baseline=replace(bundle.baseline, files=(found["a.npz"],)))
    assert judged(bundle, made) == ("1 of 3 files here were in the training data",)
    told = known.of_bundle(bundle)
    assert guards.files_guard(told, made.cases[1:2], found).verdict == "pass"
    missing = guards.files_guard(told, made.cases[1:], found)
    assert (missing.verdict, missing.finding) == (
        "cannot tell",
        "1 of 2 files here are gone and could not be compared",
    )


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


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"patient_ids": False}, "patients", "overlap of patients cannot be ruled out"),
        ({"patients": ()}, "patients", "overlap of patients cannot be ruled out"),
        ({"files": ()}, "files", "overlap of files cannot be ruled out"),
    ],
)
def test_what_could_not_be_checked_is_noted(
    tiny_bundle: Make, changes: dict[str, object], name: str, said: str
) -> None:
    bundle = tiny_bundle()
    bundle = replace(bundle, baseline=replace(bundle.baseline, **changes))  # type: ignore[arg-type]
    made, script = pairs(2)
    report = evaluate(bundle, made, predictor=Scripted(script), replicates=20)
    found = {g.name: g for g in report.guards}[name]
    assert found.verdict == "cannot tell"
    assert said in found.finding
    assert f"Cannot tell: {found.finding}." in report.notes


def test_a_bundle_without_codes_cannot_tell_of_pictures_and_says_so(tiny_bundle: Make) -> None:
    bare = replace(known.of_bundle(tiny_bundle()), pictures=None)
    found = guards.pictures_guard(bare, None)
    assert (found.verdict, "no codes of its training pictures" in found.finding) == ("cannot tell", True)


def test_copies_of_training_pictures_fail_and_are_named(tiny_bundle: Make, tmp_path: Path) -> None:
    made = made_pictures.cohort(tmp_path, 30, 4)
    train, test = made.of_split("train"), made.of_split("test")
    told = replace(known.of_bundle(tiny_bundle()), pictures=near.of_cases(train, tmp_path))
    assert guards.pictures_guard(told, gather(test, tmp_path)).verdict == "pass"
    made_pictures.put(tmp_path / f"{test[2].key}.jpg", made_pictures.copied(made_pictures.head(4)))
    found = guards.pictures_guard(told, gather(test, tmp_path))
    assert found.verdict == "fail"
    assert found.finding == "1 of 4 cases here show a picture of the training data (copies count)"
    assert len(found.evidence) == 1
    assert found.evidence[0].startswith(test[2].key)
    assert found.evidence[0].endswith("mirrored)")


def test_pictures_of_the_cohorts_own_training_cases_can_fail_a_bundle_without_codes_but_not_pass_it(
    tiny_bundle: Make, tmp_path: Path
) -> None:
    made = made_pictures.cohort(tmp_path, 30, 3)
    test = made.of_split("test")
    told = replace(known.of_bundle(tiny_bundle()), pictures=None)
    instead = near.of_cases(made.of_split("train"), tmp_path)
    assert guards.pictures_guard(told, gather(test, tmp_path), instead).verdict == "cannot tell"
    made_pictures.put(tmp_path / f"{test[0].key}.jpg", made_pictures.copied(made_pictures.head(6)))
    assert guards.pictures_guard(told, gather(test, tmp_path), instead).verdict == "fail"


def test_a_case_without_a_picture_is_not_taken_for_a_new_one(tiny_bundle: Make, tmp_path: Path) -> None:
    made = made_pictures.cohort(tmp_path, 30, 2)
    told = replace(known.of_bundle(tiny_bundle()), pictures=near.of_cases(made.of_split("train"), tmp_path))
    (tmp_path / f"{made.of_split('test')[0].key}.jpg").unlink()
    found = guards.pictures_guard(told, gather(made.of_split("test"), tmp_path))
    assert (found.verdict, found.finding) == ("cannot tell", "1 of 2 cases here have no picture that could be compared")
