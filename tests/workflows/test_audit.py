"""An audit from a bundle and a cohort on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import tiny_bundle, tiny_cohort
from tests.workflows import made_maps

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core.errors import BundleError, EvaluationError, UsageError
from insula.core.recipe_audit import Audit, Robustness
from insula.core.types import Case, Cohort
from insula.evaluate.around import Asked
from insula.infer.predict import Predictor
from insula.workflows.audit import _labelled, run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Cohort]:
    root = tmp_path_factory.mktemp("tiny")
    return tiny_bundle.make(root), tiny_cohort.make(root / "scans", patients=10)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Cohort]:
    """A network that PyTorch builds, and its cohort."""
    root = tmp_path_factory.mktemp("squares")
    (root / "scans").mkdir()
    return made_maps.bundle(root / "bundle"), made_maps.cohort(root / "scans", ill=4, well=4)


def test_the_audit_stands_on_the_answers_of_the_evaluation(tiny: tuple[Bundle, Cohort]) -> None:
    report, judged = run(*tiny, checks=("exchange", "marks"), replicates=100)
    assert report.facts["cases"] == len(judged.table) == 10
    assert report.table["case"].tolist() == judged.table["case"].tolist()
    assert [part.name for part in report.parts] == ["marks", "exchange"]
    assert judged.baselines is not None  # they are asked for where nothing is said


def test_scans_of_a_case_are_predicted_as_the_case_is(tiny: tuple[Bundle, Cohort]) -> None:
    bundle, cohort = tiny
    predictor, root = Predictor(bundle), Path(cohort.root)
    for case in cohort.cases[:3]:
        whole, parts = predictor.case(case, root), predictor.scans(predictor.read(case, root), case.key)
        assert np.array_equal(whole.probabilities, parts.probabilities)
        assert np.array_equal(whole.heatmaps["ct"].array, parts.heatmaps["ct"].array)
        assert whole.warnings == parts.warnings
        views, warnings = predictor.prepared_of(predictor.read(case, root))
        asked, said = predictor.views(case, root)
        assert all(np.array_equal(a, b) for a, b in zip(views["ct"], asked["ct"], strict=True))
        assert warnings == said


def test_an_unknown_check_is_refused_before_anything_is_predicted(tiny: tuple[Bundle, Cohort]) -> None:
    def fails(cases: object, label: str, total: int) -> list[Case]:
        raise AssertionError("a case was looked at")

    with pytest.raises(UsageError, match="There is no audit called 'bones'"):
        run(*tiny, checks=("bones",), progress=fails)


def test_both_steps_tell_how_far_they_are(tiny: tuple[Bundle, Cohort]) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(cases: object, label: str, total: int) -> list[Case]:
        told.append((label, len(list(cases)), total))  # type: ignore[call-overload]
        return list(cases)  # type: ignore[call-overload,no-any-return]

    run(*tiny, checks=("marks",), replicates=100, progress=progress)
    assert told == [("evaluate", 10, 10), ("audit", 10, 10)]


def test_a_split_without_cases_is_refused(tiny: tuple[Bundle, Cohort]) -> None:
    with pytest.raises(EvaluationError, match="no case in the split 'val'"):
        run(*tiny, split="val")


def test_cases_bear_the_label_that_the_evaluation_read(tiny: tuple[Bundle, Cohort]) -> None:
    bundle, cohort = tiny
    elsewhere = tuple(replace(c, labels={}, attributes={"answer": c.labels["answer"][0]}) for c in cohort.cases)
    report, judged = run(bundle, replace(cohort, cases=elsewhere), checks=("exchange",), replicates=100)
    assert report.failures == ()
    assert [c.labels for c in _labelled(elsewhere, judged)] == [c.labels for c in cohort.cases]


def test_the_journal_is_used(tiny: tuple[Bundle, Cohort], tmp_path: Path) -> None:
    first, _ = run(*tiny, checks=("marks", "exchange"), replicates=100, journal=tmp_path)
    lines = (tmp_path / "journal.txt").read_bytes()
    again, _ = run(*tiny, checks=("marks", "exchange"), replicates=100, journal=tmp_path)
    assert (tmp_path / "journal.txt").read_bytes() == lines
    pd.testing.assert_frame_equal(first.table, again.table)


def test_heat_is_held_against_networks_drawn_anew_where_these_can_be_built(squares: tuple[Bundle, Cohort]) -> None:
    report, _ = run(*squares, checks=("heat",), replicates=100)
    assert report.failures == ()
    assert {"heat/border/drawn", "heat/outside/drawn"} <= set(report.table.columns)
    assert report.table["heat/border/drawn"].notna().any()
    assert report.parts[0].notes == ()
    plain, _ = run(*squares, checks=("heat",), replicates=100, sanity=False)
    assert "heat/border/drawn" not in plain.table.columns
    assert "No network could be drawn anew" in plain.parts[0].notes[0]


def test_a_bundle_whose_network_cannot_be_built_is_audited_without_unless_it_was_wanted(
    tiny: tuple[Bundle, Cohort],
) -> None:
    report, _ = run(*tiny, checks=("heat",), replicates=100)
    assert report.failures == ()
    assert "No network could be drawn anew" in report.parts[0].notes[0]
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        run(*tiny, checks=("heat",), replicates=100, sanity=True)
    assert run(*tiny, checks=("marks",), replicates=100, sanity=True)[0].failures == ()  # nobody asks for maps


def test_the_limits_are_those_of_the_bundles_recipe(tiny: tuple[Bundle, Cohort], tmp_path: Path) -> None:
    limits = Audit(robustness=Robustness(corruptions=("blur",), grades=(1,), most=4))
    recipe = tiny_bundle.recipe().model_copy(update={"audit": limits})
    bundle = save(tmp_path / "bundle", tiny_bundle.parts(recipe, tiny_bundle.weights(1, 2)))
    report, _ = run(bundle, tiny[1], checks=("robustness",), replicates=100, asked=Asked())
    assert report.facts["limits"]["robustness"]["corruptions"] == ["blur"]
    columns = [c for c in report.table.columns if c.startswith("robustness/")]
    assert {c.split("/")[1] for c in columns} == {"blur"}
    assert report.table[columns[0]].notna().sum() == 4
