from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind
from statsmodels.stats.contingency_tables import Table2x2
from tests.audit.made_looks import baseline, ground, head, middle, recipe, table

from insula.audit.ground import Ground
from insula.audit.part import Part
from insula.audit.shift import CHECK, _trained, judge, measure
from insula.core.types import Volume

SITES = [f"site {'ABC'[i % 3]}" for i in range(45)]


def on(
    positives: int, negatives: int, counts: dict[str, int] | None = None, inputs: int | None = None,
    kind: Any = "binary", sites: list[str] | None = None, **audit: Any,
) -> Ground:  # fmt: skip
    positive = [True] * positives + [False] * negatives
    volume = head(0, size=24, slices=1)
    made = ground(
        positive, [volume] * len(positive), middle, given=recipe(kind="binary", **audit),
        attributes=[{"site": s} for s in sites] if sites else None,
    )  # fmt: skip
    asked = recipe(kind=kind, **audit)
    told = {} if inputs is None else {"training": {"train_inputs": inputs}}
    bundle = SimpleNamespace(recipe=asked, id="made", baseline=baseline(**(counts or {})), metrics=told)
    report = replace(made.report, facts=replace(made.facts, kind=kind))
    return replace(made, bundle=bundle, report=report)  # type: ignore[arg-type]


def judged(made: Ground, scale: Any = None) -> Part:
    plain: dict[str, Any] = {"case": [c.key for c in made.cases], "patient": [c.patient for c in made.cases]}
    return judge(made, pd.DataFrame(plain | ({} if scale is None else {"shift/scale": scale})))


@pytest.mark.parametrize(
    ("here", "trained"), [((30, 30), (10, 90)), ((5, 55), (40, 60)), ((20, 20), (0, 50)), ((9, 0), (30, 30))]
)
def test_the_odds_ratio_and_its_interval_are_those_of_statsmodels_with_a_half_added(
    here: tuple[int, int], trained: tuple[int, int]
) -> None:
    made = on(*here, {"stroke": trained[0], "normal": trained[1]})
    found = judged(made).findings[0]
    reference = Table2x2(np.array([here, trained]) + 0.5)
    low, high = reference.oddsratio_confint()
    if reference.oddsratio < 1:
        low, high = 1 / high, 1 / low
    assert found.value == pytest.approx(max(reference.oddsratio, 1 / reference.oddsratio))
    assert found.interval == pytest.approx((max(low, 1.0), high))
    assert f"stroke: {here[0]} of {sum(here)} patients here, {trained[0]} of {sum(trained)} cases in" in found.evidence
    assert found.verdict == ("fail" if max(low, 1.0) > 2 else "pass" if high <= 2 else "cannot tell")


def test_the_same_prevalence_passes_and_few_patients_cannot_tell() -> None:
    counts = {"stroke": 300, "normal": 700}
    assert judged(on(60, 140, counts)).findings[0].verdict == "pass"
    assert judged(on(3, 7, counts)).findings[0].verdict == "cannot tell"
    assert judged(on(120, 80, counts)).findings[0].verdict == "fail"


def test_odds_of_more_training_cases_than_patients_are_measured_and_not_judged() -> None:
    made = on(60, 20, {"stroke": 300, "normal": 700})
    made.bundle.baseline = replace(made.bundle.baseline, patients=tuple(map(str, range(50))))  # type: ignore[misc]
    found = judged(made).findings[0]
    assert (found.verdict, found.interval) == ("cannot tell", None)
    assert found.value == pytest.approx(3 * 7 / 3, rel=0.05)
    assert "1000 training cases of at most 50 patients" in found.evidence
    made.bundle.baseline = replace(made.bundle.baseline, patient_ids=False)  # type: ignore[misc]
    assert judged(made).findings[0].verdict == "fail"


def test_training_counts_of_every_kind_of_label() -> None:
    counts = {"normal": 50, "tumour": 30, "stroke": 20}
    assert _trained(on(5, 5, counts, kind="multiclass")) == (20, 80)
    assert _trained(on(5, 5, {"stroke": 20, "subdural": 15}, 100, "multilabel")) == (20, 80)
    assert _trained(on(5, 5, {"stroke": 20, "subdural": 15}, None, "multilabel")) is None
    assert _trained(on(5, 5, {"normal": 50})) is None
    pictures = on(5, 5, {"stroke": 20, "subdural": 15}, 3000, "multilabel")
    section = pictures.bundle.recipe.input.model_copy(update={"unit": "image"})
    asked = pictures.bundle.recipe.model_copy(update={"inputs": {"ct": section}})
    assert _trained(replace(pictures, bundle=SimpleNamespace(**{**vars(pictures.bundle), "recipe": asked}))) is None  # type: ignore[arg-type]


def test_a_bundle_that_tells_no_classes_cannot_be_held_against() -> None:
    found = judged(on(5, 5)).findings[0]
    assert (found.verdict, math.isnan(found.value)) == ("cannot tell", True)
    assert found.evidence == "No interval: the bundle does not tell the classes of its training cases."


def scaled(volume: Volume, slope: float) -> Volume:
    """The scan as a wrong rescale slope shows it: stored values from −1,024 HU on are stretched."""
    return replace(volume, array=(volume.array + 1024) * np.float32(slope) - 1024)


def test_the_scale_is_from_air_to_soft_tissue_whatever_is_padded() -> None:
    plain = head(0)
    padded = replace(plain, array=plain.array.copy())
    padded.array[:, :, :, :12] = -3024.0
    mr = replace(plain, units="a.u.", modality="MR")
    empty = replace(plain, array=np.full_like(plain.array, -1000.0))
    full = replace(plain, array=np.full_like(plain.array, 40.0))
    made = ground([True] * 5, [plain, padded, mr, empty, full], middle)
    found = table(made, measure)["shift/scale"].tolist()
    assert found[0] == pytest.approx(1035, abs=2)
    assert found[1] == pytest.approx(found[0], abs=1)
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("slope", [1.1, 0.9])
def test_a_site_whose_slope_is_off_by_a_tenth_is_found_and_the_others_pass(slope: float) -> None:
    volumes = [scaled(head(i), slope if SITES[i] == "site C" else 1.0) for i in range(45)]
    made = ground([i % 2 == 1 for i in range(45)], volumes, middle, attributes=[{"site": s} for s in SITES])
    part = judge(made, table(made, measure))
    verdicts = {f.check: f.verdict for f in part.findings if f.check.startswith("shift/scale/")}
    assert verdicts == {"shift/scale/site A": "pass", "shift/scale/site B": "pass", "shift/scale/site C": "fail"}
    wrong = part.findings[-1]
    assert wrong.value == pytest.approx(abs(slope - 1), abs=0.005)
    assert f"{'longer' if slope > 1 else 'shorter'} than that of site" in wrong.evidence
    assert [row[0] for row in part.tables[0].rows] == ["site A", "site B", "site C"]
    assert part.notes == ()


def test_two_sites_are_held_against_each_other_by_welchs_test() -> None:
    rng = np.random.default_rng(1)
    sites = ["A"] * 12 + ["B"] * 20
    scale = np.where(np.array(sites) == "A", 1035.0, 1060.0) + rng.normal(0, 10, 32)
    part = judged(on(16, 16, sites=sites), scale)
    own, others = np.log(scale[:12]), np.log(scale[12:])
    test = ttest_ind(own, others, equal_var=False)
    ends = np.expm1(test.confidence_interval(0.95))
    found = next(f for f in part.findings if f.check == "shift/scale/A")
    assert found.value == pytest.approx(abs(math.expm1(own.mean() - others.mean())))
    assert found.interval == pytest.approx(sorted(abs(ends)))
    assert f"p {min(2 * test.pvalue, 1):.3f}, corrected for 2 sites" in found.evidence
    assert found.verdict == "pass"


def test_a_patient_with_several_scans_counts_once() -> None:
    made = on(10, 10, sites=["A"] * 10 + ["B"] * 10)
    cases = tuple(replace(c, patient="one" if i < 8 else c.patient) for i, c in enumerate(made.cases))
    part = judged(replace(made, cases=cases), np.linspace(1030, 1040, 20))
    assert part.notes == ("Too few patients to tell the HU scale of: A, B.",)
    assert [f.check for f in part.findings[1:]] == []


def test_a_large_site_is_held_against_small_ones_together_and_these_are_named() -> None:
    sites = ["A"] * 10 + ["B"] * 3 + ["C"] * 3
    part = judged(on(8, 8, sites=sites), np.array([1160.0, 1161.0] * 5 + [1035.0, 1036.0, 1034.0] * 2))
    (found,) = part.findings[1:]
    assert (found.check, found.verdict) == ("shift/scale/A", "fail")
    assert "than that of the others together" in found.evidence
    assert part.notes == ("Too few patients to tell the HU scale of: B, C.",)


def test_one_site_alone_and_no_site_are_said() -> None:
    one = judged(on(5, 5, sites=["A"] * 10), np.linspace(1030, 1040, 10))
    assert "All cases come from one site (A)" in one.notes[0]
    assert "so sites are not held against each other" in judged(on(5, 5), np.linspace(1030, 1040, 10)).notes[0]
    assert "so sites are not held against each other" in judged(on(5, 5)).notes[0]


def test_each_limit_of_the_recipe_is_held() -> None:
    sites = ["A"] * 20 + ["B"] * 20
    scale = np.where(np.array(sites) == "A", 1035.0, 1135.0) + np.random.default_rng(0).normal(0, 5, 40)

    def verdicts(**shift: Any) -> list[str]:
        made = on(30, 10, {"stroke": 100, "normal": 900}, sites=sites, shift=shift)
        return [f.verdict for f in judged(made, scale).findings]

    assert verdicts() == ["fail", "fail", "fail"]
    assert verdicts(prevalence=500.0) == ["pass", "fail", "fail"]
    assert verdicts(slope=0.2) == ["fail", "pass", "pass"]
    assert verdicts(prevalence=None, slope=None) == ["cannot tell"] * 3
    assert (CHECK.measure, CHECK.judge) == (measure, judge)
