"""Maps of a network that is known to answer to the lesion alone, judged from scan to figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.workflows import made_maps

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, UsageError
from insula.core.types import Case, Cohort
from insula.evaluate.maps import SHUFFLED, MapsReport, table
from insula.evaluate.maps_findings import still_alike
from insula.evaluate.run import evaluate
from insula.workflows.maps import Wanted, score

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Cohort, Bundle]:
    root = tmp_path_factory.mktemp("squares")
    bundle = made_maps.bundle(root / "bundle")
    return bundle, made_maps.cohort(root), replace(bundle, provenance={"shuffled_labels": True})


@pytest.fixture(scope="module")
def report(made: tuple[Bundle, Cohort, Bundle]) -> MapsReport:
    return score(made[0], made[1], Wanted(steps=6, draws=3), made[2])


def test_the_heat_lies_on_the_lesion_of_every_true_positive(report: MapsReport) -> None:
    assert (report.facts["cases"], report.facts["patients"], report.facts["regions"]) == (6, 6, ["head"])
    whole, left, right = report.lesions
    assert [(one.lesion, one.n) for one in (whole, left, right)] == [("", 6), ("left", 3), ("right", 3)]
    assert whole.pointing.value == 1.0
    assert whole.iou.value > 0.5
    assert whole.inside.value > 0.6
    assert whole.outside.value == pytest.approx(0.0, abs=0.02)
    assert whole.inside.value + whole.near.value + whole.outside.value == pytest.approx(1.0)
    assert whole.chance["lesion"] == pytest.approx(64 / (3 * 32 * 32))
    assert report.failures == ()
    assert report.within.value == pytest.approx(1.0, abs=0.02)
    assert 0.5 < report.within_chance < 0.7


def test_the_figures_are_those_of_the_evaluation(report: MapsReport, made: tuple[Bundle, Cohort, Bundle]) -> None:
    other = evaluate(made[0], made[1], replicates=50, passes=0).localisation
    assert other is not None
    for ours, theirs in zip(report.lesions, other.lesions, strict=False):
        assert (ours.map_of, ours.lesion, ours.iou, ours.inside) == (
            theirs.map_of, theirs.lesion, theirs.iou, theirs.inside,
        )  # fmt: skip


def test_covering_the_square_takes_the_answer_away_and_showing_it_gives_it_back(report: MapsReport) -> None:
    start, end = report.ends
    assert start.value > 0.9 > 0.5 > end.value
    for effect in (report.deletion, report.insertion):
        assert effect.gain.interval is not None
        assert effect.gain.interval[0] > 0.1
        assert effect.shares[0] == 0.0
        assert effect.shares[-1] == 1.0
    assert report.deletion.area.value < report.deletion.area_random.value
    assert report.insertion.area.value > report.insertion.area_random.value
    assert report.deletion.gain.value == pytest.approx(report.deletion.area_random.value - report.deletion.area.value)


def test_drawn_anew_the_network_loses_its_maps(report: MapsReport) -> None:
    names = [one.name for one in report.cascade]
    assert names == ["heads", *(f"encoder, block {i} of 4" for i in (4, 3, 2, 1))]
    assert [one.name for one in report.random] == ["all weights 1", "all weights 2", "all weights 3"]
    assert report.cascade[-1].similarity == report.random[0].similarity
    assert set(still_alike(report.cascade)) <= set(report.warnings)
    for one in report.random:
        assert one.similarity.n + one.flat == 6
        assert not one.similarity.n or one.similarity.value < 0.5
        assert one.figures is not None
        assert one.figures.pointing.value < 1.0
    assert any("more of its heat in the lesion" in text for text in report.findings)


def test_a_control_with_the_same_maps_is_a_warning(report: MapsReport) -> None:
    """It is the network itself, said to be trained on shuffled labels."""
    assert report.shuffled is not None
    assert report.shuffled.name == SHUFFLED
    assert report.shuffled.similarity.value == pytest.approx(1.0)
    assert report.shuffled.figures is not None
    assert report.shuffled.figures.iou == report.lesions[0].iou
    assert [text for text in report.warnings if "may hardly depend on the labels" in text]


def test_the_table_holds_what_the_figures_are_made_of(report: MapsReport) -> None:
    found = table(report.cases)
    assert len(found) == 6
    assert found["deletion"].mean() == pytest.approx(report.deletion.area.value)
    assert found["iou"].mean() == pytest.approx(report.lesions[0].iou.value)
    assert found["similarity_shuffled_labels"].notna().sum() + report.shuffled.flat == 6  # type: ignore[union-attr]
    assert set(found["lesion"]) == {"left", "right"}
    assert {"similarity_heads", "similarity_encoder_block_1_of_4", "iou_all_weights_2"} <= set(found.columns)


def test_the_level_is_chosen_on_validation_cases_alone(report: MapsReport, made: tuple[Bundle, Cohort, Bundle]) -> None:
    assert report.chosen is not None
    assert report.chosen.cases == 2
    assert report.chosen.iou.n == 6
    tested = replace(made[1], cases=tuple(c for c in made[1].cases if c.split == "test"))
    again = score(made[0], tested, Wanted(steps=2, draws=1, networks=0))
    assert again.chosen is None
    assert (again.cascade, again.random, again.shuffled) == ((), (), None)
    assert "No weights were drawn anew" in " ".join(again.notes)


def test_a_kind_has_its_own_map_and_cases(made: tuple[Bundle, Cohort, Bundle]) -> None:
    found = score(made[0], made[1], Wanted(name="left", steps=2, draws=1, networks=0))
    assert found.facts["cases"] == 6  # this network says both sides of every square
    assert [(one.map_of, one.lesion, one.n) for one in found.lesions] == [("left", "", 3)]


def test_fewer_cases_can_be_asked_for_and_are_told(made: tuple[Bundle, Cohort, Bundle]) -> None:
    seen: list[str] = []

    def bar(cases: Iterable[Case], label: str, total: int) -> Iterable[Case]:
        seen.append(f"{label} {total}")
        return cases

    found = score(made[0], made[1], Wanted(most=3, steps=2, draws=1, networks=0), progress=bar)
    assert found.facts["cases"] == 3
    assert "3 of the 6 cases called 'any' were drawn" in " ".join(found.notes)
    assert seen == ["predict 8", "maps 3", "level 2"]


def test_a_scan_that_cannot_be_read_is_a_failure_and_a_mask_that_does_not_fit_a_note(
    made: tuple[Bundle, Cohort, Bundle], tmp_path: Path
) -> None:
    cases = list(made[1].cases[:6])
    np.save(tmp_path / "thin.npy", np.ones((1, 32, 32), np.uint8))
    broken = replace(cases[0].scans["ct"], paths=("gone.npz",))
    thin = replace(cases[1].scans["ct"], mask=str(tmp_path / "thin.npy"))
    cases[0] = replace(cases[0], scans={"ct": broken})
    cases[1] = replace(cases[1], scans={"ct": thin})
    found = score(made[0], replace(made[1], cases=tuple(cases)), Wanted(steps=2, draws=1, networks=0))
    assert [one.case for one in found.failures] == ["c0"]
    assert found.facts["cases"] == 5
    assert found.lesions[0].n == 4
    assert "A lesion mask could not be used" in " ".join(found.notes)


def test_what_cannot_be_asked_is_refused(made: tuple[Bundle, Cohort, Bundle]) -> None:
    bundle, cohort, control = made
    with pytest.raises(UsageError, match="no class 'both'"):
        score(bundle, cohort, Wanted(name="both"))
    with pytest.raises(UsageError, match="not trained on shuffled labels"):
        score(bundle, cohort, Wanted(), bundle)
    with pytest.raises(UsageError, match="runs the bundle's graph"):
        score(bundle, cohort, Wanted(method="occlusion"))
    other = replace(control, recipe=control.recipe.model_copy(update={"inputs": {}}))
    with pytest.raises(UsageError, match="same inputs and targets"):
        score(bundle, cohort, Wanted(), other)
    with pytest.raises(EvaluationError, match="no case in the split 'train'"):
        score(bundle, cohort, Wanted(split="train"))
    well = replace(cohort, cases=cohort.cases[6:8])
    with pytest.raises(EvaluationError, match="called present in none of 2 cases"):
        score(bundle, well, Wanted())


@pytest.mark.parametrize("method", ["occlusion", "grad_cam_pp", "guided_backprop"])
def test_other_methods_are_judged_likewise(made: tuple[Bundle, Cohort, Bundle], method: str) -> None:
    networks = 0 if method == "occlusion" else 1
    cases = tuple(c for c in made[1].cases if c.key in ("c0", "c1", "c2"))
    found = score(made[0], replace(made[1], cases=cases), Wanted(method, steps=3, draws=1, networks=networks))
    assert found.lesions[0].n == 3
    assert found.lesions[0].inside.value > 0.3
    assert len(found.random) == networks
