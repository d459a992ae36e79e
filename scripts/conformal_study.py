"""Write docs/results/conformal.md: what prediction sets and risk-controlled referral promise, measured.

    .venv/bin/python scripts/conformal_study.py --work runs/conformal [--table NAME=predictions.parquet ...]

Predictions are kept in the work folder, so that a second run takes up where the first one stopped. --table adds the
out-of-fold predictions of a cross-validation (its predictions.parquet) to those of the plain reader below.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from insula.cohort.index import survey_cohort
from insula.cohort.phantom.make import make
from insula.core import recipe as recipes
from insula.core.recipe import OperatingPoint, Recipe
from insula.core.types import Cohort
from insula.evaluate import risk_coverage
from insula.infer import conformal, referral
from insula.metrics import thresholds
from insula.scans.read import read_files

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "stroke_ct"
HALVES = 2000
LEVELS = (0.8, 0.9, 0.95)
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995)


def reader(cohort: Cohort, recipe: Recipe) -> pd.DataFrame:
    """Five-fold predictions of a plain reader: quantiles of the values and of their asymmetry, logistic regression."""
    name, classes = recipe.target_name, recipe.target.classes
    rows, truth, owners = [], [], []
    for case in cohort.cases:
        volume = read_files([Path(cohort.root) / p for p in case.scans[recipe.role].paths])
        rows.append(_features(volume.array[0]))
        truth.append(classes.index(case.labels[name][0]))
        owners.append(case.patient)
    x, y, groups = np.stack(rows), np.array(truth), np.array(owners)
    p = np.zeros((len(y), len(classes)))
    for fitted, held in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=5000))
        p[held] = model.fit(x[fitted], y[fitted]).predict_proba(x[held])
    table = {"patient": owners} | {f"p_{c}": p[:, k] for k, c in enumerate(classes)}
    return pd.DataFrame(table | {f"y_{c}": y == k for k, c in enumerate(classes)})


def _features(array: np.ndarray) -> np.ndarray:
    """array: (Z, Y, X). The value quantiles of each slice, and those of its difference from its mirror image."""
    found = []
    for piece in array:
        small = piece[: len(piece) // 8 * 8, : piece.shape[1] // 8 * 8]
        small = small.reshape(small.shape[0] // 8, 8, -1, 8).mean((1, 3)) if len(piece) > 200 else piece
        inside = small > np.quantile(small, 0.3)
        found.append([np.quantile(v[inside], QUANTILES) for v in (small, np.abs(small - small[:, ::-1]))])
    each = np.array(found).reshape(len(found), -1)
    return np.concatenate([each.mean(0), each.max(0), each.std(0)])


def predictions(work: Path, count: int) -> dict[str, tuple[pd.DataFrame, str]]:
    """Tables by name, with the positive class; made once and kept."""
    made: dict[str, tuple[pd.DataFrame, str]] = {}
    for kind in ("brain-tumour", "stroke-ct"):
        recipe = recipes.load(kind, ("inputs.ct.unit=series",) if kind == "stroke-ct" else ())
        kept = work / f"phantoms-{kind}-{count}.parquet"
        if not kept.is_file():
            folder = work / f"phantoms-{kind}-{count}"
            if not folder.is_dir():
                make(kind, folder, count, 7, 64, 12)
            reader(survey_cohort(folder, recipe).cohort, recipe).to_parquet(kept)
        made[f"phantoms, {kind} (plain reader)"] = pd.read_parquet(kept), recipe.target.positive
    if REAL.is_dir():
        kept = work / "stroke_ct.parquet"
        if not kept.is_file():
            recipe = recipes.load("stroke-ct", ("inputs.ct.unit=series",))
            reader(survey_cohort(REAL, recipe).cohort, recipe).to_parquet(kept)
        made["stroke_ct (plain reader)"] = pd.read_parquet(kept), "stroke"
    return made


def patients(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Mean probabilities and labels of each patient, and the classes."""
    classes = tuple(c.removeprefix("p_") for c in table.columns if c.startswith("p_"))
    grouped = table.groupby("patient")
    p = grouped[[f"p_{c}" for c in classes]].mean().to_numpy()
    y = grouped[[f"y_{c}" for c in classes]].max().to_numpy(bool)
    return p, y, classes


def coverage(p: np.ndarray, y: np.ndarray, level: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Random halves: covered share and calibration cases of each class, mean set size, share of single sets."""
    g = np.random.default_rng(seed)
    kind = "multiclass" if (y.sum(1) == 1).all() else "multilabel"
    hit, seen, used = np.zeros(y.shape[1]), np.zeros(y.shape[1]), np.zeros(y.shape[1])
    sizes, single = [], []
    for _ in range(HALVES):
        order = g.permutation(len(p))
        left, right = order[: len(p) // 2], order[len(p) // 2 :]
        inside = conformal.members(p[right], conformal.quantiles(p[left], y[left], kind, level))
        hit += (inside & y[right]).sum(0)
        seen += y[right].sum(0)
        used += y[left].sum(0)
        sizes.append(inside.sum(1).mean())
        single.append((inside.sum(1) == 1).mean())
    return hit / seen, used / HALVES, float(np.mean(sizes)), float(np.mean(single))


def referred(p: np.ndarray, y: np.ndarray, k: int, seed: int = 1) -> dict[str, float]:
    """Random halves, threshold and acceptance from one of them: what is certified, and the error in the other."""
    g = np.random.default_rng(seed)
    target = recipes.Target(kind="multiclass", classes=[f"c{i}" for i in range(y.shape[1])], primary=f"c{k}")
    share, certified, error, above = [], 0, [], 0
    for _ in range(HALVES // 4):
        order = g.permutation(len(p))
        left, right = order[: len(p) // 2], order[len(p) // 2 :]
        threshold = thresholds.choose(y[left, k], p[left, k], OperatingPoint(youden=True))
        c, _, ok = referral.judged(p[left], y[left], target, threshold)
        found = referral.control(c, ok)
        c, _, ok = referral.judged(p[right], y[right], target, threshold)
        taken = np.round(c, 6) >= found.threshold
        share.append(taken.mean())
        if found.threshold <= 1:
            certified += 1
            error.append((~ok[taken]).mean())
            above += error[-1] > 0.05
    return {
        "certified": certified / len(share),
        "share": float(np.mean(share)),
        "error": float(np.mean(error)) if error else float("nan"),
        "above": above / len(share),
    }


def guarantee(n: int, shape: str, repetitions: int = 2000) -> tuple[float, float, float]:
    """Made confidences with known risk: share certified, accepted on average, and how often the true risk is above 5%.

    calibrated: beta(2.2, 0.35), right with that probability. tuned: two classes whose threshold is chosen by Youden's
    index on the same patients. crowded: a tenth of all stands at the top and errs in a fifth of cases.
    """
    g = np.random.default_rng(n)
    pool = _draw(np.random.default_rng(99), 400_000, shape)
    broken = certified = 0
    accepted = []
    for _ in range(repetitions):
        p, y = _draw(g, n, shape)
        threshold = 0.5
        if shape == "tuned" and 0 < y.sum() < n:
            threshold = thresholds.choose(y, p, OperatingPoint(youden=True))
        found = referral.control(*_decided(p, y, threshold, shape))
        accepted.append(found.share)
        if found.threshold <= 1:
            certified += 1
            c, ok = _decided(*pool, threshold, shape)
            broken += float((~ok[c >= found.threshold]).mean()) > 0.05
    return certified / repetitions, float(np.mean(accepted)), broken / repetitions


def _draw(g: np.random.Generator, n: int, shape: str) -> tuple[np.ndarray, np.ndarray]:
    if shape == "tuned":
        y = g.random(n) < 0.3
        z = g.normal(0, 2, n) + np.where(y, 2.5, -2.5)
        return 1 / (1 + np.exp(-(z * 2.5 / 2 + np.log(0.3 / 0.7)))), y
    c = beta.rvs(2.2, 0.35, size=n, random_state=g)
    right = g.random(n) < c
    if shape == "crowded":
        top = g.random(n) < 0.1
        c, right = np.where(top, 0.9995 + 0.0004 * g.random(n), c * 0.9995), np.where(top, g.random(n) < 0.8, right)
    return c, right


def _decided(p: np.ndarray, y: np.ndarray, threshold: float, shape: str) -> tuple[np.ndarray, np.ndarray]:
    if shape != "tuned":
        return p, y
    called = p >= threshold
    return np.where(called, p, 1 - p), called == y
