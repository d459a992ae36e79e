"""Verdicts on tables whose losses are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import accuracy_score, brier_score_loss, recall_score, roc_auc_score
from tests.audit.made_disturbed import disturbed, ground

from insula.audit.corruptions import chosen
from insula.audit.lost import confidence, losses, p_beyond
from insula.audit.part import Part
from insula.audit.robustness import judge, looked_at
from insula.core.errors import UsageError
from insula.core.types import Finding
from insula.evaluate.outcome import plain
from insula.metrics.compare import delong, holm
from insula.metrics.intervals import Figure
from insula.report.audit_words import why

CT = [one for one in chosen() if "CT" in one.modalities and "HU" in one.units]
EVERYDAY = {one.name: one.everyday for one in CT}


def answers(n: int = 60, seed: int = 1, apart: float = 1.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2 == 0
    return y, 1 / (1 + np.exp(-rng.normal(0, 1, n) - np.where(y, apart, -apart)))


def named(part: Part, name: str) -> Finding:
    return next(f for f in part.findings if f.check == f"robustness/{name}")


def test_nothing_lost_passes_everything() -> None:
    y, p = answers()
    made = ground(y, p)
    part = judge(made, disturbed(made, {}, p))
    assert {f.verdict for f in part.findings} == {"pass"}
    assert {f.value for f in part.findings} == {0.0}
    assert len(part.findings) == 2 * len(CT) + 1
    assert all(f.check.startswith("robustness/") for f in part.findings)
    assert len(part.charts) == len(CT)
    assert len(part.tables[0].rows) == 5 * len(CT)


def test_what_is_destroyed_fails_and_is_named() -> None:
    y, p = answers()
    made = ground(y, p)
    part = judge(made, disturbed(made, {("blur", g): 1 - p for g in range(1, 6)}, p))
    failed = {f.check for f in part.findings if f.verdict == "fail"}
    assert {"robustness/blur/roc_auc", "robustness/blur/sensitivity"} <= failed
    assert failed <= {"robustness/blur/roc_auc", "robustness/blur/sensitivity", "robustness/mean_roc_auc"}
    found, mean = named(part, "blur/roc_auc"), named(part, "mean_roc_auc")
    area = roc_auc_score(y, p)
    assert found.value == pytest.approx(area - (1 - area))
    assert f"{area:.3f} before, {1 - area:.3f} after" in found.evidence
    assert mean.value == pytest.approx((2 * area - 1) / len(CT))
    assert "by blur (" in mean.evidence
    assert "at everyday strength" in mean.evidence


def test_answers_that_became_one_number_fail_though_their_variance_is_0() -> None:
    y, p = answers(apart=9.0)
    assert roc_auc_score(y, p) == 1.0
    made = ground(y, p)
    found = named(judge(made, disturbed(made, {("jpeg", EVERYDAY["jpeg"]): np.full(60, 0.3)}, p)), "jpeg/roc_auc")
    assert found.value == 0.5
    assert found.verdict == "fail"
    assert found.interval is not None
    assert found.interval[0] < 0.5 < found.interval[1]


def test_a_loss_at_other_strengths_is_in_the_mean_and_no_finding() -> None:
    y, p = answers()
    made = ground(y, p)
    strong = {(one.name, 5): 1 - p for one in CT}
    part = judge(made, disturbed(made, strong, p))
    assert {f.verdict for f in part.findings if "mean" not in f.check} == {"pass"}
    mean = named(part, "mean_roc_auc")
    assert mean.value == pytest.approx((2 * roc_auc_score(y, p) - 1) / 5)
    assert mean.interval is not None
    assert mean.interval[0] < mean.value < mean.interval[1]
    assert mean.verdict == "fail"


@pytest.mark.parametrize(("n", "few"), [(38, True), (40, False)])
def test_too_few_patients_cannot_tell_and_say_why(n: int, few: bool) -> None:
    y, p = answers(n)
    made = ground(y, p)
    part = judge(made, disturbed(made, {("blur", EVERYDAY["blur"]): 1 - p}, p))
    found = named(part, "blur/roc_auc")
    assert (found.verdict == "cannot tell") == few
    if few:
        assert "19 positive and 19 negative patients, and 20 of each are needed" in found.evidence
        assert {f.verdict for f in part.findings} == {"cannot tell"}
        mean = named(part, "mean_roc_auc")
        assert mean.value == pytest.approx((2 * roc_auc_score(y, p) - 1) / 5 / len(CT))
        assert mean.interval is None
        assert "No interval: at no strength were 20 positive and as many negative patients answered." in mean.evidence
        assert {why(plain(f)) for f in part.findings} == {"no interval"}
    fewer = ground(y, p, events=10)
    assert named(judge(fewer, disturbed(fewer, {}, p)), "blur/roc_auc").verdict == "pass"


def test_refused_scans_are_no_loss_and_are_counted() -> None:
    y, p = answers(80)
    made = ground(y, p)
    wrong = np.where(np.arange(80) < 20, np.nan, p)
    part = judge(made, disturbed(made, {("noise_ct", EVERYDAY["noise_ct"]): wrong}, p))
    found = named(part, "noise_ct/roc_auc")
    assert found.verdict == "pass"
    assert "20 of 80 scans were refused" in found.evidence
    assert "60 patients" in found.evidence
    row = next(r for r in part.tables[0].rows if r[0] == "Noise (noise_ct)" and str(r[1]).endswith("*"))
    assert isinstance(row[-1], Figure)
    assert row[-1].value == 0.25
    none = judge(made, disturbed(made, {("noise_ct", EVERYDAY["noise_ct"]): np.full(80, np.nan)}, p))
    assert named(none, "noise_ct/roc_auc").verdict == "cannot tell"


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_losses_are_those_of_other_programs(kind: str) -> None:
    y, p = answers(90)
    other = np.clip(p + np.random.default_rng(4).normal(0, 0.3, 90), 0.02, 0.98)
    made = ground(y, p, kind)
    table = disturbed(made, {("blur", 3): other}, p)
    lost = losses(made, *made.changed(table, "robustness/blur/3"))
    assert lost.areas == pytest.approx((roc_auc_score(y, p), roc_auc_score(y, other)))
    called = p >= 0.5, other >= 0.5
    value = {name: figure.value for name, figure in lost.figures.items()}
    assert value["roc_auc"] == pytest.approx(delong(y, p, other).difference.value)
    assert value["sensitivity"] == pytest.approx(recall_score(y, called[0]) - recall_score(y, called[1]))
    assert value["specificity"] == pytest.approx(recall_score(~y, ~called[0]) - recall_score(~y, ~called[1]))
    assert value["accuracy"] == pytest.approx(accuracy_score(y, called[0]) - accuracy_score(y, called[1]))
    assert value["brier"] == pytest.approx(brier_score_loss(y, other) - brier_score_loss(y, p))
    assert all(f.interval is not None for f in lost.figures.values())


def test_confidence_is_that_of_the_answer_given() -> None:
    y, p = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.3, 0.6])
    two = ground(y, p)
    assert confidence(two, two.rows).tolist() == pytest.approx([0.9, 0.6, 0.7, 0.6])
    labels = ground(y, p, "multilabel")
    assert confidence(labels, labels.rows).tolist() == pytest.approx([0.9, 0.6, 0.7, 0.6])
    three = ground(y, p, "ordinal")  # the rest is shared by two classes
    assert confidence(three, three.rows).tolist() == pytest.approx([0.9, 0.3, 0.35, 0.6])


def test_p_beyond_a_limit_agrees_with_the_interval() -> None:
    half = 0.04
    figure = Figure(0.09, (0.05, 0.13), "", 40, 40, 20)
    assert p_beyond(figure, 0.05, 20) == pytest.approx(0.025)
    assert p_beyond(figure, 0.09, 20) == pytest.approx(0.5)
    error = half / t.ppf(0.975, 19)
    assert p_beyond(figure, 0.0, 20) == pytest.approx(t.sf(0.09 / error, 19))
    agreed = Figure(0.2, None, "", 40, 40, 20, "all bootstrap samples agree")
    assert (p_beyond(agreed, 0.1, 20), p_beyond(agreed, 0.3, 20)) == (0.0, 1.0)
    assert np.isnan(p_beyond(Figure(0.2, None, "", 4, 4, 2, "too few"), 0.1, 20))


def test_a_loss_that_chance_explains_among_many_corruptions_cannot_be_told() -> None:
    y, p = answers(200, seed=3)
    rng = np.random.default_rng(8)
    made = ground(y, p, roc_auc=0.0)
    for spread in np.linspace(0.12, 0.6, 60):
        other = np.clip(p + rng.normal(0, spread, 200), 0.0, 1.0)
        gap = delong(y, p, other).difference
        assert gap.interval is not None
        alone = p_beyond(gap, 0.0, 100)
        if 0.025 / len(CT) < alone < 0.02:
            break
    else:
        pytest.fail("no disturbance of the wanted size was drawn")
    part = judge(made, disturbed(made, {("blur", EVERYDAY["blur"]): other}, p))
    found = named(part, "blur/roc_auc")
    assert found.interval is not None
    assert found.interval[0] > 0.0
    assert found.verdict == "cannot tell"
    assert f"{len(CT)} corruptions were looked at (Holm)" in found.evidence
    single = ground(y, p, roc_auc=0.0, corruptions=("blur",))
    again = judge(single, disturbed(single, {("blur", EVERYDAY["blur"]): other}, p))
    assert named(again, "blur/roc_auc").verdict == "fail"
    assert holm([alone] + [1.0] * (len(CT) - 1))[0] >= 0.025


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_model_with_chance_changes_does_not_fail(seed: int) -> None:
    y, p = answers(120, seed=seed)
    rng = np.random.default_rng(seed)
    logit = np.log(p / (1 - p))
    made = ground(y, p, replicates=200)
    table = disturbed(
        made, {(one.name, g): 1 / (1 + np.exp(-logit - rng.normal(0, 0.4, 120))) for one in CT for g in range(1, 6)}, p
    )
    assert "fail" not in {f.verdict for f in judge(made, table).findings}


def test_a_limit_of_none_is_measured_and_not_judged() -> None:
    y, p = answers()
    made = ground(y, p, roc_auc=None)
    found = named(judge(made, disturbed(made, {("blur", 2): 1 - p}, p)), "blur/roc_auc")
    assert (found.verdict, np.isnan(found.limit)) == ("cannot tell", True)
    assert found.interval is not None


def test_the_recipe_chooses_corruptions_and_grades_and_the_everyday_one_is_always_there() -> None:
    y, p = answers()
    made = ground(y, p, corruptions=("blur", "jpeg"), grades=(5,))
    part = judge(made, disturbed(made, {}, p))
    assert [(row[0], row[1]) for row in part.tables[0].rows] == [
        ("Blur (blur)", "2 *"),
        ("Blur (blur)", "5"),
        ("JPEG (jpeg)", "2 *"),
        ("JPEG (jpeg)", "5"),
    ]
    wrong, table = ground(y, p, corruptions=("fog",)), disturbed(made, {}, p)
    with pytest.raises(UsageError, match="no corruption called 'fog'"):
        judge(wrong, table)


def test_charts_hold_the_losses_over_the_strengths() -> None:
    y, p = answers()
    made = ground(y, p)
    chart = next(c for c in judge(made, disturbed(made, {("blur", 5): 1 - p}, p)).charts if "(blur)" in c.title)
    assert chart.x == "mm FWHM"
    points = chart.lines["ROC-AUC"]
    assert [point[0] for point in points] == [0.5, 1.0, 2.0, 2.8, 5.0]
    assert [point[1] for point in points] == pytest.approx([0, 0, 0, 0, 2 * roc_auc_score(y, p) - 1])
    assert points[4][2] < points[4][1] < points[4][3]


@pytest.mark.parametrize(
    ("positives", "total", "most", "kept"), [(30, 100, 40, 20), (5, 100, 40, 5), (90, 100, 40, 30)]
)
def test_so_many_patients_are_looked_at_as_asked_for_half_of_them_positive(
    positives: int, total: int, most: int, kept: int
) -> None:
    y = np.arange(total) < positives
    made = ground(y, np.linspace(0.9, 0.1, total), most=most)
    chosen_ones = looked_at(made)
    assert len(chosen_ones) == most
    assert sum(f"c{i:03}" in chosen_ones for i in range(positives)) == kept
    assert looked_at(made) == chosen_ones
    everyone: Any = ground(y, np.linspace(0.9, 0.1, total), most=total)
    assert len(looked_at(everyone)) == total


def test_the_note_says_how_many_were_looked_at_and_how_it_is_corrected() -> None:
    y, p = answers(60)
    made = ground(y, p, most=50)
    table = disturbed(made, {}, p)
    rows = [c.key in looked_at(made) for c in made.cases]
    table.loc[~np.array(rows), [c for c in table.columns if c.startswith("robustness/")]] = np.nan
    part = judge(made, table)
    assert any("50 of 60 patients were looked at" in note for note in part.notes)
    assert any("Holm" in note for note in part.notes)
    assert named(part, "blur/roc_auc").verdict == "pass"
    assert "50 patients" in named(part, "blur/roc_auc").evidence


def test_without_anything_measured_nothing_can_be_told() -> None:
    y, p = answers()
    made = ground(y, p)
    part = judge(made, disturbed(made, {}, p)[["case", "patient"]])
    assert [(f.check, f.verdict) for f in part.findings] == [("robustness/mean_roc_auc", "cannot tell")]
    assert why(plain(part.findings[0])) == "not measured"
    assert part.tables == ()


def test_a_mean_over_too_few_patients_that_has_no_limit_is_measured() -> None:
    y, p = answers(20)
    made = ground(y, p, mean_roc_auc=None)
    assert why(plain(named(judge(made, disturbed(made, {}, p)), "mean_roc_auc"))) == "no limit"
