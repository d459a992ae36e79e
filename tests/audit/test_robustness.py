"""What measuring does with a bundle and the scans of a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests import tiny_bundle, tiny_cohort
from tests.audit.corrupt.made_volumes import head, magnitude

from insula.audit.corruptions import chosen
from insula.audit.ground import Ground
from insula.audit.part import Measured
from insula.audit.robustness import CHECK, _disturbed, judge, measure
from insula.bundle.save import save
from insula.core.recipe_audit import Audit, Robustness
from insula.core.types import Case
from insula.evaluate.run import evaluate
from insula.infer.predict import Predictor, Scans

STACK = [one for one in chosen() if "CT" in one.modalities and "HU" in one.units]


def ground(folder: Path, rejects: bool = False, **robustness: Any) -> Ground:
    cohort = tiny_cohort.make(folder / "scans")
    recipe = tiny_bundle.recipe().model_copy(update={"audit": Audit(robustness=Robustness(**robustness))})
    parts = tiny_bundle.parts(recipe, tiny_bundle.weights(1, 2))
    report = evaluate(save(folder / "plain", parts), cohort, replicates=20)
    bundle = save(folder / "bundle", tiny_bundle.rejecting(parts) if rejects else parts)
    return Ground(bundle, Predictor(bundle), cohort, cohort.cases, report, replicates=100)


def measured(made: Ground, case: Case) -> tuple[Scans, Measured]:
    scans = made.predictor.read(case, made.root)
    return scans, measure(made, case, scans)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return ground(tmp_path_factory.mktemp("audit"))


def test_every_suited_corruption_and_grade_has_a_column_a_class_and_the_scan_stays_untouched(made: Ground) -> None:
    case = made.cases[0]
    before = made.predictor.read(case, made.root)["ct"][0].array
    scans, found = measured(made, case)
    names = {f"robustness/{one.name}/{grade}" for one in STACK for grade in range(1, 6)}
    assert set(found) == {f"{name}/{c}" for name in names for c in ("normal", "stroke", "~refused")}
    assert np.array_equal(scans["ct"][0].array, before)
    answered = [name for name in names if found[f"{name}/~refused"] == 0.0]
    assert all(found[f"{name}/normal"] + found[f"{name}/stroke"] == pytest.approx(1.0) for name in answered)
    assert len(answered) > 0.9 * len(names)


def test_a_column_is_what_the_bundle_says_of_the_corrupted_scan(made: Ground) -> None:
    case = made.cases[1]
    scans, found = measured(made, case)
    for one in chosen(("noise_ct", "brighter", "motion_ct", "slices_dropped")):
        changed = one(scans["ct"][0], one.strength(3), made.rng(case.key, one.name, 3))
        expected = made.predictor.volume(changed, case.key).probabilities
        assert found[f"robustness/{one.name}/3/normal"] == pytest.approx(float(expected[0]), abs=1e-6)


def test_the_same_seed_gives_the_same_and_another_case_or_seed_another_noise(tmp_path: Path) -> None:
    noisy = ground(tmp_path, corruptions=("noise_ct",))
    case, column = noisy.cases[0], "robustness/noise_ct/5/stroke"
    scans, first = measured(noisy, case)
    assert measure(noisy, case, scans) == first
    assert measure(replace(noisy, seed=1), case, scans)[column] != first[column]
    assert measure(noisy, replace(case, key="x"), scans)[column] != first[column]


def test_a_corruption_that_changes_nothing_keeps_the_undisturbed_answer(made: Ground) -> None:
    case = made.cases[2]
    scans, found = measured(made, case)
    assert scans["ct"][0].spacing[2] == 5.0  # mm: as thick as grade 2 already
    row = made.rows.p[list(made.rows.keys).index(case.key)]
    for grade, same in ((1, True), (2, True), (3, False)):
        answer = [found[f"robustness/slices_thicker/{grade}/{c}"] for c in ("normal", "stroke")]
        assert (answer == row.tolist()) == same


def test_what_is_refused_has_no_answer(tmp_path: Path) -> None:
    rejecting = ground(tmp_path, rejects=True, corruptions=("blur",))
    found = measured(rejecting, rejecting.cases[0])[1]
    assert {found[f"robustness/blur/{g}/~refused"] for g in range(1, 6)} == {1.0}
    assert all(np.isnan(found[f"robustness/blur/{g}/stroke"]) for g in range(1, 6))


def test_a_scan_that_turns_black_and_white_is_refused_by_the_checks_of_the_picture(made: Ground) -> None:
    case = made.cases[0]
    scans = made.predictor.read(case, made.root)
    dark = replace(scans["ct"][0], array=scans["ct"][0].array * 0.05 - 18.0)  # just in the window, until it is darkened
    found = measure(made, case, {"ct": (dark,)})
    assert found["robustness/darker/5/~refused"] == 1.0
    assert np.isnan(found["robustness/darker/5/stroke"])
    assert found["robustness/brighter/5/~refused"] == 0.0


def test_only_the_patients_that_are_looked_at_cost_predictions(tmp_path: Path) -> None:
    few = ground(tmp_path, most=2, corruptions=("jpeg",), grades=(5,))
    found = [measured(few, case)[1] for case in few.cases]
    assert sorted(len(one) for one in found) == [0] * 6 + [6] * 2
    assert {name.split("/")[2] for one in found for name in one} == {"2", "5"}


def test_every_scan_of_every_role_that_it_is_for_is_disturbed(made: Ground) -> None:
    case = made.cases[0]
    scans = made.predictor.read(case, made.root)
    ct = scans["ct"][0]
    found = measure(made, case, {"ct": (ct, ct)})
    one = chosen(("brighter",))[0]
    changed = one(ct, 0.3, made.rng(case.key, "brighter", 5))
    expected = made.predictor.scans({"ct": (changed, changed)}, case.key).probabilities
    assert found["robustness/brighter/5/stroke"] == pytest.approx(float(expected[1]), abs=1e-6)


def test_a_role_that_a_corruption_is_not_for_stays_as_it_is() -> None:
    scans = {"ct": (head(), head()), "mri": (magnitude(),)}
    modalities = {"ct": "CT", "mri": "MR"}
    for name, changes in (("noise_ct", {"ct"}), ("bias_field", {"mri"}), ("blur", {"ct", "mri"})):
        found = _disturbed(scans, chosen((name,))[0], 4, modalities, np.random.default_rng(0))
        assert found.any
        for role, several in scans.items():
            moved = [new is not old for new, old in zip(found.scans[role], several, strict=True)]
            assert moved == [role in changes] * len(several)


def test_measured_tables_are_judged(made: Ground) -> None:
    rows = [{"case": c.key, "patient": c.patient, **measured(made, c)[1]} for c in made.cases]
    part = judge(made, pd.DataFrame(rows))
    assert CHECK.judge is judge
    assert CHECK.measure is measure
    assert len(part.findings) == 2 * len(STACK) + 1
    assert {f.verdict for f in part.findings} == {"cannot tell"}  # 4 patients of a class
    assert any("4 positive" in f.evidence for f in part.findings)
