"""Every figure of a report's JSON, page and card, computed again from `cases.parquet` without a line of Insula's own.

Only the files are read, as anybody could who was sent the folder; scikit-learn, statsmodels and plain formulas judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint
from tests.report.made_report import make
from tests.report.parsed import Page

from insula.report import folder, words

KINDS = {
    "two classes": (("normal", "stroke"), "multiclass"),
    "three classes": (("healthy", "benign", "malignant"), "multiclass"),
    "labels": (("subdural", "any"), "multilabel"),
}


@dataclass(frozen=True)
class Left:
    """What an evaluation left behind: the record, the predictions, the page and the card."""

    held: dict[str, Any]
    table: pd.DataFrame
    page: Page
    card: str

    @property
    def classes(self) -> list[str]:
        return list(self.held["facts"]["classes"])

    @property
    def positive(self) -> str:
        return str(self.held["facts"]["positive"])

    def rows(self, level: str) -> pd.DataFrame:
        """One row per case, or the mean over a patient's cases; a patient has a label that any case has."""
        if level == "case":
            return self.table
        groups = self.table.groupby("patient")
        p, y = groups[[f"p_{n}" for n in self.classes]].mean(), groups[[f"y_{n}" for n in self.classes]].max()
        return p.join(y)

    def answers(self, level: str) -> pd.DataFrame:
        """Which class is called present: by thresholds, or the largest of the others below the positive's threshold."""
        rows, limits = self.rows(level), self.held["facts"]["thresholds"]
        if self.held["facts"]["kind"] == "multilabel":
            return pd.DataFrame({n: rows[f"p_{n}"] >= limits.get(n, 0.5) for n in self.classes})
        others = [n for n in self.classes if n != self.positive]
        best = np.array(others)[rows[[f"p_{n}" for n in others]].to_numpy().argmax(axis=1)]
        said = np.where(rows[f"p_{self.positive}"] >= limits[self.positive], self.positive, best)
        return pd.DataFrame({n: said == n for n in self.classes}, index=rows.index)


@cache
def left(kind: str) -> Left:
    classes, how = KINDS[kind]
    report = make(classes, how, patients=60, source={"cohort": "somewhere", "split": "test"})  # type: ignore[arg-type]
    with TemporaryDirectory() as name:
        page = folder.write_figures(report, Path(name))
        return Left(
            json.loads((Path(name) / "report.json").read_text(encoding="utf-8")),
            pd.read_parquet(Path(name) / "cases.parquet"),
            Page(page.read_text(encoding="utf-8")),
            (Path(name) / "model-card.md").read_text(encoding="utf-8"),
        )


def ece(y: np.ndarray, p: np.ndarray) -> float:
    """Bins of equal number, as many as the cube root of n, equal probabilities in one bin, by sorting."""
    count = min(10, max(2, round(len(p) ** (1 / 3))))
    edges = sorted({np.sort(p)[int(np.ceil(len(p) * i / count)) - 1] for i in range(1, count)})
    bins = np.array([sum(v > edge for edge in edges) for v in p])
    return float(sum(abs((y[bins == b] - p[bins == b]).sum()) for b in set(bins)) / len(p))


def slope(y: np.ndarray, p: np.ndarray) -> float:
    fitted = sm.GLM(y, sm.add_constant(np.log(p / (1 - p))), family=sm.families.Binomial()).fit()
    return float(fitted.params[1])


def intercept(y: np.ndarray, p: np.ndarray) -> float:
    odds = np.log(p / (1 - p))
    return float(sm.GLM(y, np.ones((len(y), 1)), family=sm.families.Binomial(), offset=odds).fit().params[0])


ONE: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda y, p, c: metrics.accuracy_score(y, c),
    "sensitivity": lambda y, p, c: metrics.recall_score(y, c),
    "specificity": lambda y, p, c: metrics.recall_score(~y, ~c),
    "ppv": lambda y, p, c: metrics.precision_score(y, c),
    "npv": lambda y, p, c: metrics.precision_score(~y, ~c),
    "f1": lambda y, p, c: metrics.f1_score(y, c),
    "f2": lambda y, p, c: metrics.fbeta_score(y, c, beta=2),
    "mcc": lambda y, p, c: metrics.matthews_corrcoef(y, c),
    "kappa": lambda y, p, c: metrics.cohen_kappa_score(y, c),
    "roc_auc": lambda y, p, c: metrics.roc_auc_score(y, p),
    "pr_auc": lambda y, p, c: metrics.average_precision_score(y, p),
    "brier": lambda y, p, c: metrics.brier_score_loss(y, p),
    "log_loss": lambda y, p, c: metrics.log_loss(y, p),
    "ece": lambda y, p, c: ece(y, p),
    "calibration_slope": lambda y, p, c: slope(y, p),
    "calibration_intercept": lambda y, p, c: intercept(y, p),
}


def together(y: np.ndarray, p: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """Figures over all exclusive classes, labels and answers (n, K)."""
    truth, said = y.argmax(1), called.argmax(1)
    of_truth = -np.log(p[np.arange(len(p)), truth])
    return {
        "accuracy": metrics.accuracy_score(truth, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "mcc": metrics.matthews_corrcoef(truth, said),
        "kappa": metrics.cohen_kappa_score(truth, said),
        "brier": float(((y - p) ** 2).sum(axis=1).mean()),
        "log_loss": float(of_truth.mean()),
        "log_loss_balanced": float(np.mean([of_truth[truth == k].mean() for k in range(y.shape[1])])),
    }


def columns(found: Left, level: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, called = found.rows(level), found.answers(level)
    y = rows[[f"y_{n}" for n in found.classes]].to_numpy(dtype=bool)
    return y, rows[[f"p_{n}" for n in found.classes]].to_numpy(dtype=float), called[found.classes].to_numpy(dtype=bool)


@pytest.mark.parametrize("level", ["patient", "case"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_the_json(kind: str, level: str) -> None:
    found = left(kind)
    y, p, called = columns(found, level)
    held = found.held[level]
    sums: dict[str, list[float]] = {}
    for k, name in enumerate(found.classes):
        one = held["classes"][name]
        cells = metrics.confusion_matrix(y[:, k], called[:, k]).ravel().tolist()
        assert [one[c] for c in ("tn", "fp", "fn", "tp")] == cells
        assert set(one["figures"]) == set(ONE)
        for key, figure in one["figures"].items():
            want = float(ONE[key](y[:, k], p[:, k], called[:, k]))
            assert figure["value"] == pytest.approx(want, abs=1e-6), (name, key)
            assert figure["interval"] is not None
            sums.setdefault(key, []).append(want)
    for key, figure in held["macro"].items():
        assert figure["value"] == pytest.approx(np.mean(sums[key]), abs=1e-6), key
    exclusive = found.held["facts"]["kind"] != "multilabel"
    all_of_them = together(y, p, called) if exclusive else {"accuracy": float((y == called).all(axis=1).mean())}
    assert {key: f["value"] for key, f in held["overall"].items()} == pytest.approx(all_of_them)
    if exclusive:
        assert held["confusion"] == metrics.confusion_matrix(y.argmax(1), called.argmax(1)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_share_rests_on_and_wilsons_interval(kind: str) -> None:
    found = left(kind)
    y, _, called = columns(found, "patient")
    for k, name in enumerate(found.classes):
        yes, said = y[:, k], called[:, k]
        for key, hits, of in (
            ("sensitivity", yes & said, yes),
            ("specificity", ~yes & ~said, ~yes),
            ("ppv", yes & said, said),
            ("npv", ~yes & ~said, ~said),
            ("accuracy", yes == said, np.ones(len(yes), bool)),
        ):
            figure = found.held["patient"]["classes"][name]["figures"][key]
            assert [figure["events"], figure["n"], figure["patients"]] == [hits.sum(), of.sum(), of.sum()]
            assert figure["method"] == "modified Wilson"
            want = proportion_confint(hits.sum(), of.sum(), method="wilson")
            np.testing.assert_allclose(figure["interval"], want, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_curves_and_what_follows_from_them(kind: str) -> None:
    found = left(kind)
    y, p, _ = columns(found, "patient")
    k, held = found.classes.index(found.positive), found.held
    truth, score = y[:, k], p[:, k]
    x, t = held["patient"]["classes"][found.positive]["roc"]
    np.testing.assert_allclose(np.trapezoid(t, x), metrics.roc_auc_score(truth, score))
    curve = held["pr_curve"]
    area = np.sum(np.diff(curve["recall"], prepend=0) * curve["precision"])
    np.testing.assert_allclose(area, metrics.average_precision_score(truth, score))
    n = len(truth)
    benefit = held["decision_curve"]
    for at, model, everybody in zip(benefit["thresholds"], benefit["model"], benefit["treat_all"], strict=True):
        called, odds = score >= at, at / (1 - at)
        assert model == pytest.approx((truth & called).sum() / n - (~truth & called).sum() / n * odds)
        assert everybody == pytest.approx(truth.mean() - (1 - truth.mean()) * odds)
        place = benefit["thresholds"].index(at)
        assert benefit["gain"][place] == pytest.approx(model - max(everybody, 0.0))
        assert benefit["all_low"][place] < everybody < benefit["all_high"][place]
    for row in held["thresholds"]:
        assert row["sensitivity"]["value"] == pytest.approx((truth & (score >= row["threshold"])).sum() / truth.sum())
    points = held["patient"]["curves"]["reliability"]
    assert sum(points["count"]) == n
    assert sum(points["positives"]) == truth.sum()
    assert np.average(points["predicted"], weights=points["count"]) == pytest.approx(score.mean())


@pytest.mark.parametrize("kind", KINDS)
def test_prevalences_by_counting_a_thousand_patients(kind: str) -> None:
    held = left(kind).held
    figures = held["patient"]["classes"][left(kind).positive]["figures"]
    se, sp = figures["sensitivity"]["value"], figures["specificity"]["value"]
    assert [row["prevalence"] for row in held["prevalence"]] == held["facts"]["prevalences"]
    for row in held["prevalence"]:
        ill, well = 1000 * row["prevalence"], 1000 * (1 - row["prevalence"])
        assert row["ppv"][0] == pytest.approx(ill * se / (ill * se + well * (1 - sp)))
        assert row["npv"][0] == pytest.approx(well * sp / (well * sp + ill * (1 - se)))
        assert row["alerts_per_1000"][0] == pytest.approx(ill * se + well * (1 - sp))
    here = held["rebased"]["here"]
    for column in held["rebased"]["at"]:
        for before, after in zip(held["rebased"]["probability"], column["probability"], strict=True):
            ratio = (after / (1 - after)) / (before / (1 - before))
            there = column["prevalence"]
            assert ratio == pytest.approx((there / (1 - there)) / (here / (1 - here)))


@pytest.mark.parametrize("kind", KINDS)
def test_reasons_are_counts_of_the_table_and_stand_on_the_page(kind: str) -> None:
    found = left(kind)
    table, held = found.table, found.held["held_back"]
    y, _, called = columns(found, "case")
    k = found.classes.index(found.positive)
    off = y[:, k] != called[:, k] if found.held["facts"]["kind"] == "multilabel" else (y != called).any(axis=1)
    back = (table["action"] != "accept").to_numpy()
    assert held["asked"]["value"] == pytest.approx(back.mean())
    assert held["caught"]["value"] == pytest.approx(back[off].mean())
    assert held["accepted"]["value"] == pytest.approx(off[~back].mean())
    assert held["referred"]["value"] == pytest.approx(off[table["action"] == "refer"].mean())
    assert [(one["action"], one["kind"]) for one in held["reasons"]] == [
        ("refer", "confidence"), ("refer", "spread"), ("reject", "distance"),
    ]  # fmt: skip
    for one in held["reasons"]:
        has = table["reason_kinds"].str.split(";").map(lambda kinds, kind=one["kind"]: kind in kinds).to_numpy()
        alone = (table["reason_kinds"] == one["kind"]).to_numpy()
        assert (one["share"]["events"], one["share"]["n"]) == (has.sum(), len(table))
        assert (one["wrong"]["events"], one["wrong"]["n"]) == (off[has].sum(), has.sum())
        name = f"{'Referred' if one['action'] == 'refer' else 'Rejected'}: {words.reason(one['kind']).lower()}"
        (cells,) = (row for row in found.page.rows if row[0] == name)
        assert cells[1].startswith(f"{100 * has.mean():.1f}%")
        assert cells[1].endswith(f"{has.sum()} of {len(table)}")
        assert cells[2].endswith(f"{off[has].sum()} of {has.sum()}")
        if one["action"] == "reject":
            assert (one["alone"], one["wrong_alone"], cells[3:]) == (None, None, ["", ""])
        else:
            assert (one["alone"]["events"], one["wrong_alone"]["events"]) == (alone.sum(), off[alone].sum())
            assert cells[3].endswith(f"{alone.sum()} of {len(table)}")


@pytest.mark.parametrize("kind", KINDS)
def test_policy_sets_domain_and_heat_are_counts_of_the_table(kind: str) -> None:
    found = left(kind)
    table, held = found.table, found.held
    y, p, called = columns(found, "case")
    k = found.classes.index(found.positive)
    one = held["facts"]["kind"] == "multilabel"
    right = y[:, k] == called[:, k] if one else (y == called).all(axis=1)
    accepted = (table["action"] == "accept").to_numpy()
    want = {
        "accepted": accepted.mean(),
        "referred": (table["action"] == "refer").mean(),
        "rejected": (table["action"] == "reject").mean(),
        "accuracy_of_all": right.mean(),
        "accuracy_of_accepted": right[accepted].mean(),
        "sensitivity_of_accepted": called[accepted & y[:, k], k].mean(),
    }
    assert {key: f["value"] for key, f in held["coverage"].items()} == pytest.approx(want)
    assert held["domain"]["beyond_median"]["value"] == pytest.approx((table["domain_score"] > 0.5).mean())
    curve = held["risk_coverage"]
    assert curve["errors"] == (~right).sum()
    assert curve["at_random"]["value"] == pytest.approx((~right).mean())
    sure = np.where(called[:, k], p[:, k], 1 - p[:, k]) if one else p[called]
    wrong = (~right)[np.argsort(-sure, kind="stable")]  # no two cases are equally sure here
    assert curve["aurc"]["value"] == pytest.approx((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())
    assert curve["gain"]["value"] == pytest.approx(curve["at_random"]["value"] - curve["aurc"]["value"])
    for i, name in enumerate(found.classes):
        kept = table.loc[y[:, i], f"set_{name}"]
        assert held["prediction_sets"]["of_class"][name]["value"] == pytest.approx(kept.mean())
    spots = table[table["peak_inside"].notna()]
    assert (held["localisation"]["n"], held["localisation"]["hits"]) == (len(spots), spots["peak_inside"].sum())
    means = {"iou": "iou", "inside": "heat_inside", "near": "heat_near", "outside": "heat_outside"}
    for key, column in means.items():
        assert held["localisation"]["lesions"][0][key]["value"] == pytest.approx(spots[column].mean())
    missed = found.rows("patient").index[(columns(found, "patient")[0] & ~columns(found, "patient")[2])[:, k]]
    assert {m["patient"] for m in held["misses"]} == set(missed)


@pytest.mark.parametrize("kind", KINDS)
def test_page_and_card_say_the_same_as_the_predictions(kind: str) -> None:
    found = left(kind)
    y, p, called = columns(found, "patient")
    k = found.classes.index(found.positive)
    card = [[c.strip() for c in line.strip("|").split(" | ")] for line in found.card.splitlines() if line[:1] == "|"]
    for key, compute in ONE.items():
        want = f"{compute(y[:, k], p[:, k], called[:, k]):.3f}".replace("-", "−")
        for rows in (found.page.rows, card):
            said = next(cells for cells in rows if cells[0] == words.NAMES[key])
            assert said[1] == want, key
    for name, column in zip(found.classes, range(len(found.classes)), strict=True):
        cells = next(c for c in found.page.rows if c[0].split(" (")[0] == name and len(c) == 9)
        truth, score = y[:, column], p[:, column]
        assert cells[1] == str(truth.sum())
        assert cells[3].startswith(f"{metrics.roc_auc_score(truth, score):.3f}")
        for place, key in ((6, "f1"), (7, "f2"), (8, "log_loss")):
            low, high = found.held["patient"]["classes"][name]["figures"][key]["interval"]
            value = ONE[key](truth, score, called[:, column])
            assert cells[place] == f"{value:.3f}{low:.3f} to {high:.3f}"


def forms(content: Any) -> set[str]:
    """Each number of a record in every form in which a page may write it."""
    if isinstance(content, dict):
        return set().union(*map(forms, content.values()), *map(forms, content))
    if isinstance(content, list):
        return set().union(*map(forms, content))
    if isinstance(content, bool) or content is None:
        return set()
    if isinstance(content, str):
        return set(re.findall(r"\d+(?:\.\d+)?", content))
    x = abs(content)
    shares = {f"{100 * x:.{digits}f}" for digits in (0, 1, 2)} if x <= 1 else set()
    return {f"{x:.{digits}f}" for digits in (0, 2, 3)} | {f"{x:,}", f"{x:.4g}"} | shares


@pytest.mark.parametrize("kind", KINDS)
def test_no_table_of_the_page_holds_a_number_that_the_json_does_not(kind: str) -> None:
    found = left(kind)
    known = forms(found.held)
    classes = found.held["patient"]["classes"], found.held["case"]["classes"]
    known |= {str(c["tp"] + c["fn"]) for level in classes for c in level.values()}
    checked = 0
    for cells in found.page.apart:
        if len(cells) == 3 and re.fullmatch(r"\d+[a-g]?", cells[0]):
            continue  # the checklists, whose numbers have a test of their own
        for cell in cells[1:]:
            for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", re.sub("F1|F2|per 1,000|95%", "", cell)):
                assert number in known, cells
                checked += 1
    assert checked > 400
