"""Every derived number against scikit-learn or against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_curve
from statsmodels.stats.proportion import proportion_confint
from tests.evaluate.made_tables import binary, binary_facts, facts, table

from insula.evaluate.table import sample
from insula.report import derive


def ties(n: int = 80, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities in steps of a tenth, so that many are equal."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    return y, np.round(np.clip(0.35 * y + 0.65 * rng.random(n), 0, 1), 1)


def test_the_precision_recall_curve_is_that_of_scikit_learn() -> None:
    y, p = ties()
    found = derive.pr_curve(y, p, 200, 0)
    assert found is not None
    precision, recall, _ = precision_recall_curve(y, p, drop_intermediate=False)
    np.testing.assert_allclose(found["recall"], recall[:-1][::-1])
    np.testing.assert_allclose(found["precision"], precision[:-1][::-1])
    assert found["prevalence"] == y.mean()


def test_the_band_of_the_precision_holds_the_curve_and_narrows_with_more_patients() -> None:
    widths = []
    for n in (60, 1500):
        y, p = ties(n)
        found = derive.pr_curve(y, p, 300, 0)
        assert found is not None
        grid, low, high = (np.array(side) for side in found["band"])
        at = np.searchsorted(found["recall"], grid - 1e-9)
        inside = (low <= np.array(found["precision"])[at] + 1e-9) & (np.array(found["precision"])[at] <= high + 1e-9)
        assert inside.mean() > 0.9
        widths.append(float((high - low).mean()))
    assert widths[1] < widths[0] / 3


def test_there_is_no_precision_recall_curve_without_a_positive_row() -> None:
    assert derive.pr_curve(np.zeros(5, bool), np.linspace(0, 1, 5), 20, 0) is None


def test_the_cells_of_each_threshold_are_those_of_scikit_learn() -> None:
    y, p = ties()
    rows = derive.thresholds(y, p, np.full(len(y), 0.37))
    assert [row["threshold"] for row in rows if row["used"]] == [0.37]
    assert len(rows) == len(derive.GRID) + 1
    assert len(derive.thresholds(y, p, np.full(len(y), 0.35))) == len(derive.GRID)
    for row in rows:
        cells = confusion_matrix(y, p >= row["threshold"], labels=[False, True]).ravel()
        assert [row[name] for name in ("tn", "fp", "fn", "tp")] == cells.tolist()


def test_patients_of_several_bundles_are_judged_at_their_own_thresholds() -> None:
    y, p = ties()
    limits = np.where(np.arange(len(y)) % 2 == 0, 0.31, 0.52)
    (used,) = [row for row in derive.thresholds(y, p, limits) if row["used"]]
    cells = confusion_matrix(y, p >= limits, labels=[False, True]).ravel()
    assert [used[name] for name in ("tn", "fp", "fn", "tp")] == cells.tolist()
    assert used["own"] == [0.31, 0.52]
    assert used["threshold"] == limits.mean()
    assert all(row["own"] is None for row in derive.thresholds(y, p, np.full(len(y), 0.4)))


def test_the_shares_at_a_threshold_have_wilsons_intervals() -> None:
    y, p = ties()
    for row in derive.thresholds(y, p, np.full(len(y), 0.4)):
        for name, hits, of in (
            ("sensitivity", row["tp"], row["tp"] + row["fn"]),
            ("specificity", row["tn"], row["tn"] + row["fp"]),
            ("ppv", row["tp"], row["tp"] + row["fp"]),
            ("npv", row["tn"], row["tn"] + row["fn"]),
        ):
            if of == 0:
                assert row[name] == {"value": None, "interval": None, "events": 0, "n": 0}
            else:
                assert row[name]["value"] == hits / of
                want = proportion_confint(hits, of, method="wilson")
                np.testing.assert_allclose(row[name]["interval"], want, atol=1e-12)


def test_re_based_probabilities_are_those_of_bayes_rule_on_counts() -> None:
    # of 1,000 with p = 0.8 at a prevalence of one half, 800 are ill; thin the ill so that they are one in five overall
    here, there = 0.5, 0.2
    ill, well = 800 * there / here, 200 * (1 - there) / (1 - here)
    np.testing.assert_allclose(derive.rebase(np.array([0.8]), here, there), ill / (ill + well))
    p = np.array([0.0, 0.1, 0.5, 1.0])
    np.testing.assert_allclose(derive.rebase(p, 0.3, 0.3), p)
    np.testing.assert_allclose(derive.rebase(derive.rebase(p, 0.3, 0.01), 0.01, 0.3), p, atol=1e-12)
    np.testing.assert_allclose(derive.rebase(np.array([0.3]), 0.3, 0.01), 0.01)


def test_calibrated_probabilities_stay_calibrated_when_re_based() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 2, 200_000)
    y = rng.random(len(p)) < p
    here, there = float(y.mean()), 0.05
    keep = y & (rng.random(len(p)) < there / (1 - there) * (1 - here) / here) | ~y
    q = derive.rebase(p[keep], here, there)
    for low, high in ((0.0, 0.02), (0.02, 0.1), (0.1, 0.5)):
        bin_ = (q >= low) & (q < high)
        assert abs(q[bin_].mean() - y[keep][bin_].mean()) < 0.01


def test_the_table_of_re_based_probabilities_holds_the_threshold_and_the_mean() -> None:
    y, p = ties()
    given = binary_facts(0.37, prevalences=(0.01, 0.2))
    found = derive.rebased(p, y, given)
    assert found is not None
    assert 0.37 in found["probability"]
    assert [column["prevalence"] for column in found["at"]] == [0.01, 0.2]
    for column in found["at"]:
        np.testing.assert_allclose(column["mean"], derive.rebase(p, y.mean(), column["prevalence"]).mean())
    assert derive.rebased(p, np.ones_like(y), given) is None


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_risk_and_coverage_by_their_definition(kind: str) -> None:
    given = facts(kind)
    rows = sample(table(kind), given)
    found = derive.risk_coverage(rows, given, 50)
    k = given.positive_index
    pairs = []
    for p, y, t in zip(rows.p, rows.y, rows.limits, strict=True):
        if kind == "multilabel":
            said = p[k] >= t[k]
            pairs.append((p[k] if said else 1 - p[k], said != y[k]))
        else:
            others = [p[i] if i != k else -1 for i in range(3)]
            answer = k if p[k] >= t[k] else int(np.argmax(others))
            pairs.append((p[answer], not y[answer]))
    for cover, risk in zip(found["coverage"], found["risk"], strict=True):
        least = sorted((confidence for confidence, _ in pairs), reverse=True)[round(cover * len(pairs)) - 1]
        kept = [wrong for confidence, wrong in pairs if confidence >= least]
        assert cover == pytest.approx(len(kept) / len(pairs))
        assert risk == pytest.approx(np.mean(kept))
    assert (found["n"], found["errors"]) == (len(pairs), sum(wrong for _, wrong in pairs))
    grid, low, high = found["band"]
    at = np.searchsorted(found["coverage"], np.array(grid) - 1e-9)
    inside = [
        low[i] <= found["risk"][at[i]] + 1e-9 and found["risk"][at[i]] <= high[i] + 1e-9 for i in range(len(grid))
    ]
    assert np.mean(inside) > 0.9


def test_the_coverage_of_prediction_sets_is_counted_by_true_class() -> None:
    made = binary([0, 0, 0, 1, 1], [0.1, 0.6, 0.4, 0.7, 0.2])
    quantiles = (0.5, 0.7)  # normal is kept where 1 − p(normal) ≤ 0.5, stroke where 1 − p(stroke) ≤ 0.7
    given = binary_facts()
    with_sets = derive.with_sets(made, given, quantiles)
    assert with_sets["set_normal"].tolist() == [True, False, True, False, True]
    assert with_sets["set_stroke"].tolist() == [False, True, True, True, False]
    found = derive.prediction_sets(with_sets, sample(with_sets, given), given, 0.9, 50)
    assert found is not None
    assert [(f["events"], f["n"]) for f in found["of_class"].values()] == [(2, 3), (1, 2)]
    assert (found["level"], found["sizes"]) == (0.9, [0, 4, 1])
    assert found["size"]["value"] == 6 / 5
    assert derive.with_sets(with_sets, given, (0.0, 0.0)) is with_sets
    assert derive.prediction_sets(made, sample(made, given), given, 0.9, 50) is None


def test_sets_of_labels_that_combine_are_not_guessed_from_their_probabilities() -> None:
    made = table("multilabel")
    assert derive.with_sets(made, facts("multilabel"), (0.5, 0.5, 0.5)) is made


def test_every_missed_patient_is_listed_with_every_case_the_surest_error_first() -> None:
    made = binary(
        [1, 1, 1, 1, 0, 1], [0.4, 0.1, 0.2, 0.45, 0.3, 0.9], ["A", "B", "A", "C", "D", "E"], action=["refer"] * 6
    )
    given = binary_facts(0.5)
    found = derive.derive(made, given, 30)["misses"]
    assert [m["patient"] for m in found] == ["B", "A", "C"]
    assert found[1]["probability"] == pytest.approx(0.3)
    assert [(c["case"], c["probability"], c["action"]) for c in found[1]["cases"]] == [
        ("c000", 0.4, "refer"),
        ("c002", 0.2, "refer"),
    ]
    assert {m["threshold"] for m in found} == {0.5}


def test_a_cohort_without_positives_has_fewer_curves_and_no_misses() -> None:
    found = derive.derive(binary([0, 0, 0], [0.1, 0.6, 0.4]), binary_facts(), 30)
    assert found["pr_curve"] is found["rebased"] is found["decision_curve"] is None
    assert found["misses"] == []
    assert found["risk_coverage"]["errors"] == 1
