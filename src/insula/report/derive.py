"""What a report shows beside the figures themselves, from the same table of predictions: curves, thresholds, misses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insula.evaluate import risk_coverage as risks
from insula.evaluate import sets
from insula.evaluate.facts import Facts, answers
from insula.evaluate.outcome import plain
from insula.evaluate.table import Sample, by_patient, sample
from insula.infer import conformal
from insula.metrics import decision_curve, intervals

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]
GRID = tuple(round(0.05 * i, 2) for i in range(1, 20))
_SHOWN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_LARGEST = 40_000_000


def derive(table: pd.DataFrame, facts: Facts, replicates: int, level: float | None = None) -> dict[str, Any]:
    """Curves and lists by name; one that the table cannot give is None.

    replicates: bootstrap samples of whole patients behind each band. level: the coverage that prediction sets promise.
    """
    cases = sample(table, facts)
    patients, _ = by_patient(cases, facts)
    k = facts.positive_index
    called = answers(patients.p, facts, patients.limits)[:, k]
    y, p = patients.y[:, k], patients.p[:, k]
    count = max(200, min(replicates, _LARGEST // len(cases.keys)))
    return {
        "pr_curve": pr_curve(y, p, min(count, replicates), facts.seed),
        "thresholds": thresholds(y, p, patients.limits[:, k]),
        "decision_curve": _decision(y, p, patients, replicates, facts.seed),
        "rebased": rebased(p, y, facts),
        "risk_coverage": risk_coverage(cases, facts, min(count, replicates)),
        "prediction_sets": prediction_sets(table, cases, facts, level, replicates),
        "misses": misses(table, patients, facts, called),
    }


def pr_curve(y: Bools, p: Values, replicates: int, seed: int) -> dict[str, Any] | None:
    """Precision against recall at each distinct probability, n rows of one patient each, with its band at each recall.

    None without a positive row. band: recall, then the 2.5th and 97.5th percentile of the precision at the first
    threshold that reaches it. prevalence: the precision of chance.
    """
    if not y.any():
        return None
    order = np.argsort(-p, kind="stable")
    hit = y[order].astype(np.float64)
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    found = np.cumsum(hit)[ends]
    grid = np.linspace(0.02, 1.0, 50)
    spread = []
    for weights in intervals.replicates(np.arange(len(p)), replicates, seed):
        w = weights[:, order]
        true, every = np.cumsum(w * hit, axis=1)[:, ends], np.cumsum(w, axis=1)[:, ends]
        for hits, rows in zip(true, every, strict=True):
            if hits[-1] > 0:
                at = np.searchsorted(hits, grid * hits[-1] - 1e-9)
                spread.append(hits[at] / rows[at])
    band = None
    if spread:
        low, high = np.quantile(spread, [0.025, 0.975], axis=0)
        band = [grid.tolist(), low.tolist(), high.tolist()]
    return {
        "recall": (found / hit.sum()).tolist(),
        "precision": (found / (ends + 1)).tolist(),
        "band": band,
        "prevalence": float(y.mean()),
    }


def thresholds(y: Bools, p: Values, limits: Values) -> list[dict[str, Any]]:
    """What other thresholds would have given, for orientation only: the four cells and Wilson's intervals.

    Rows are patients, called positive where p ≥ threshold; limits (n,) are the thresholds in use, chosen beforehand.
    `used` marks them: one row, also where patients of several bundles have their own, whose least and greatest are
    `own`; it then stands at their mean.
    """
    low, high, mean = float(limits.min()), float(limits.max()), float(limits.mean())
    used = low if low == high else mean
    rows = []
    for t in sorted({*GRID, used}):
        called = p >= (limits if t == used else t)
        cells = {
            "tp": int((y & called).sum()),
            "fp": int((~y & called).sum()),
            "fn": int((y & ~called).sum()),
            "tn": int((~y & ~called).sum()),
        }
        shares = {
            "sensitivity": (cells["tp"], cells["tp"] + cells["fn"]),
            "specificity": (cells["tn"], cells["tn"] + cells["fp"]),
            "ppv": (cells["tp"], cells["tp"] + cells["fp"]),
            "npv": (cells["tn"], cells["tn"] + cells["fn"]),
        }
        rows.append(
            {"threshold": float(t), "used": t == used, "own": [low, high] if t == used and low < high else None}
            | cells
            | {name: _wilson(hits, of) for name, (hits, of) in shares.items()}
        )
    return rows


def rebase(p: Values, here: float, there: float) -> Values:
    """Probabilities that hold at the prevalence `here`, at another one: the odds times the ratio of the prior odds.

    Source: Saerens, Latinne and Decaestecker, Neural Computation 14:21, 2002. It holds where the disease looks alike in
    both places and only its frequency differs.
    """
    ill, well = p * there / here, (1 - p) * (1 - there) / (1 - here)
    result: Values = ill / (ill + well)
    return result


def rebased(p: Values, y: Bools, facts: Facts) -> dict[str, Any] | None:
    """What a probability of this cohort becomes at each of the policy's prevalences; None without both classes."""
    if y.all() or not y.any():
        return None
    here, used = float(y.mean()), facts.threshold(facts.positive)
    at = np.array(sorted({*_SHOWN, used}))
    columns = [
        {
            "prevalence": there,
            "probability": rebase(at, here, there).tolist(),
            "mean": float(rebase(p, here, there).mean()),
        }
        for there in facts.prevalences
    ]
    return {"here": here, "threshold": used, "probability": at.tolist(), "at": columns}


def risk_coverage(rows: Sample, facts: Facts, replicates: int) -> dict[str, Any]:
    """The share of wrong answers among the surest cases, as fewer of them are answered; see evaluate.risk_coverage.

    Confidence is the probability of what was answered. band: coverage, then the 2.5th and 97.5th percentile over
    patients of the risk at the first confidence that reaches it.
    """
    called, k = answers(rows.p, facts, rows.limits), facts.positive_index
    if facts.kind == "multilabel":
        sure = np.where(called[:, k], rows.p[:, k], 1 - rows.p[:, k])
        wrong = called[:, k] != rows.y[:, k]
    else:
        sure = (rows.p * called).sum(axis=1)
        wrong = (called != rows.y).any(axis=1)
    found = risks.judge(sure, ~wrong, rows.patients, replicates, facts.seed)
    order = np.argsort(-sure, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(sure[order])), len(sure) - 1)
    grid = np.linspace(0.05, 1.0, 39)
    spread = []
    for weights in intervals.replicates(rows.patients, replicates, facts.seed):
        w = weights[:, order]
        kept, off = np.cumsum(w, axis=1)[:, ends], np.cumsum(w * wrong[order], axis=1)[:, ends]
        for cases, errors in zip(kept, off, strict=True):
            at = np.searchsorted(cases, grid * cases[-1] - 1e-9)
            spread.append(errors[at] / cases[at])
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    band = [grid.tolist(), low.tolist(), high.tolist()]
    return {**plain(found), "band": band, "n": len(sure), "errors": int(wrong.sum())}


def with_sets(table: pd.DataFrame, facts: Facts, quantiles: Sequence[float]) -> pd.DataFrame:
    """The table with a column `set_<class>` for each exclusive class: whether the prediction set of the case holds it.

    quantiles: one per class, as a bundle holds them. A table that has the columns stays as it is, and so does one of
    labels that may stand together, whose sets follow from more than their probabilities.
    """
    known = any(f"set_{name}" in table.columns for name in facts.classes)
    if known or facts.kind == "multilabel" or len(quantiles) != len(facts.classes):
        return table
    p = table[[f"p_{name}" for name in facts.classes]].to_numpy(dtype=np.float64)
    kept = conformal.members(p, quantiles)
    return table.assign(**{f"set_{name}": kept[:, k] for k, name in enumerate(facts.classes)})


def prediction_sets(
    table: pd.DataFrame, rows: Sample, facts: Facts, level: float | None, replicates: int
) -> dict[str, Any] | None:
    """What the prediction sets are worth; see evaluate.sets. None without `set_<class>` columns.

    level: the coverage promised for each class, None where nobody says. sizes: how many sets hold 0, 1, … classes.
    """
    found = sets.of_table(table, rows, facts, 0.5 if level is None else level, None, replicates)
    if found is None:
        return None
    held = table[[f"set_{name}" for name in facts.classes]].to_numpy(dtype=bool).sum(axis=1)
    counts = [int((held == size).sum()) for size in range(len(facts.classes) + 1)]
    return {**plain(found), "level": level, "sizes": counts}


def misses(table: pd.DataFrame, patients: Sample, facts: Facts, called: Bools) -> list[dict[str, Any]]:
    """Every patient with the positive class who was not called positive, the surest error first, with the cases."""
    k = facts.positive_index
    missed = np.flatnonzero(patients.y[:, k] & ~called)
    missed = missed[np.lexsort((patients.keys[missed], patients.p[missed, k]))]
    theirs = table[table["patient"].astype(str).isin(patients.keys[missed])].astype({"patient": str})
    of = {str(key): rows for key, rows in theirs.groupby("patient", sort=False)}
    found = []
    for i in missed:
        key = str(patients.keys[i])
        cases = [
            {"case": str(row["case"]), "probability": float(row[f"p_{facts.positive}"])}
            | ({"action": str(row["action"])} if "action" in row else {})
            for _, row in of[key].iterrows()
        ]
        limit = float(patients.limits[i, k])
        found.append({"patient": key, "probability": float(patients.p[i, k]), "threshold": limit, "cases": cases})
    return found


def _decision(y: Bools, p: Values, patients: Sample, replicates: int, seed: int) -> Any:
    if not y.any():
        return None
    return decision_curve.curve(y, p, patients.patients, replicates=replicates, seed=seed)


def _wilson(hits: int, of: int) -> dict[str, Any]:
    if of == 0:
        return {"value": None, "interval": None, "events": 0, "n": 0}
    return {"value": hits / of, "interval": list(intervals.wilson(hits, of)), "events": hits, "n": of}
