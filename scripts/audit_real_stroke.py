"""stroke_ct for audit_real.py: networks of five folds audited, and their patients taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from audit_real_figures import Floats, Told, apart, figure, insula, of_audit
from numpy.typing import NDArray

from insula.audit.background import out_of_fold
from insula.audit.corruptions import chosen
from insula.bundle.load import load as load_bundle
from insula.cohort.split import folds
from insula.cohort.table import load, save
from insula.core.types import Case, Cohort
from insula.evaluate.facts import Facts, answers, of_recipe
from insula.evaluate.table import Sample, by_patient, sample
from insula.metrics import compare, maps, proportion

FOLDS, STRONGEST = 5, 5
STEP = 0.02  # of a probability: smaller changes count as none, as in the audit


def stroke(runs: Path, work: Path, full: Sequence[int], every: int) -> Told:
    """The networks of a cross-validation by patient, each on the patients that it has not seen.

    full: folds that are audited in full. In all of them the skull alone is taken from every so-manieth picture of each
    patient.
    """
    cohort, home = load(runs / "stroke.parquet"), runs / "by-patient"
    recipe = load_bundle(home / "fold-0" / "bundle").recipe
    answered, facts = pd.read_parquet(home / "cases.parquet"), of_recipe(recipe, {})
    audits: dict[str, Told] = {}
    whole: list[pd.DataFrame] = []
    thin: list[pd.DataFrame] = []
    for i, fold in enumerate(folds(cohort, recipe, FOLDS, "patient")):
        bundle = home / f"fold-{i}" / "bundle"
        own = answered[answered["case"].isin([case.key for case in fold.of_split("test")])]
        if set(own["fold"]) != {i}:
            raise SystemExit(f"Fold {i} of {home} was split otherwise; make it anew with this version.")
        table, audited = work / f"skull-{i}.parquet", work / f"skull-audit-{i}"
        if not table.is_file():
            save(thinned(fold, every), table)
        given = ("--check", "skull", "--no-sanity", "--replicates", "200")
        insula("audit", bundle, table, *given, "--out", audited, done=audited / "audit.json")
        thin.append(_measured(own, audited))
        if i not in full:
            continue
        table, audited = work / f"fold-{i}.parquet", work / f"stroke-audit-{i}"
        if not table.is_file():
            save(fold, table)
        grades = f"audit.robustness.grades=[{STRONGEST}]"
        insula("audit", bundle, table, "--set", grades, "--out", audited, done=audited / "audit.json")
        audits[str(i)] = of_audit(audited)
        whole.append(_measured(own, audited))
    several, skull = pd.concat(whole, ignore_index=True), pd.concat(thin, ignore_index=True)
    return {
        "all": {"pictures": len(answered), "patients": int(answered["patient"].nunique())},
        "folds": audits,
        "pictures": len(several),
        "patients": int(several["patient"].nunique()),
        "thin": {"pictures": len(skull), "every": every},
        "skull": without_skull(skull, facts),
        "heat": {name: heat(several, name) for name in ("outside", "border")},
        "exchange": {name: moved(several, facts, name) for name in ("background",)},
        "background": background(several, facts),
        "marks": {name: marks(several, facts, name) for name in ("text", "device", "outline")},
        "robustness": robustness(several, facts),
    }


def thinned(fold: Cohort, every: int) -> Cohort:
    """Every so-manieth test picture of each patient, by name, and nothing else."""
    by_patient: dict[str, list[Case]] = {}
    for case in sorted(fold.of_split("test"), key=lambda one: one.key):
        by_patient.setdefault(case.patient, []).append(case)
    return replace(fold, cases=tuple(case for cases in by_patient.values() for case in cases[::every]))


def _measured(own: pd.DataFrame, audited: Path) -> pd.DataFrame:
    """Answers and thresholds of a fold with what an audit measured on the same pictures."""
    table = pd.read_parquet(audited / "audit-cases.parquet").drop(columns="patient")
    return own.drop(columns=["fold"]).merge(table, on="case", validate="one_to_one")


def pair(whole: pd.DataFrame, facts: Facts, name: str) -> tuple[Sample, Sample, int]:
    """Answers before and after a change, one row a patient, over the pictures that were answered after it, and how
    many these are.
    """
    columns = [f"{name}/{label}" for label in facts.classes]
    kept = whole[whole[columns].notna().all(axis=1)] if set(columns) <= set(whole.columns) else whole[:0]
    if not len(kept):
        raise SystemExit(f"No picture was answered after {name}.")
    before = sample(kept, facts)
    after = replace(before, p=kept[columns].to_numpy(np.float64))
    return by_patient(before, facts)[0], by_patient(after, facts)[0], len(kept)


def true_side(rows: Sample, facts: Facts) -> Floats:
    """The probability that each row's label is as it is, (n,)."""
    k = facts.positive_index
    found: Floats = np.where(rows.y[:, k], rows.p[:, k], 1 - rows.p[:, k])
    return found


def without_skull(whole: pd.DataFrame, facts: Facts) -> Told:
    """ROC-AUC and the probability of the true side with and without bone, by label, with paired tests."""
    before, after, pictures = pair(whole, facts, "skull")
    k = facts.positive_index
    y = before.y[:, k]
    area = compare.delong(y, before.p[:, k], after.p[:, k])
    turned = (answers(before.p, facts, before.limits) != answers(after.p, facts, after.limits)).any(axis=1)
    old, new = true_side(before, facts), true_side(after, facts)
    labels = {"all": np.ones(len(y), bool), facts.positive: y, f"no {facts.positive}": ~y}
    return {
        "pictures": pictures,
        "patients": len(y),
        "roc_auc": {
            "with": figure(compare.delong_interval(y, before.p[:, k])),
            "without": figure(compare.delong_interval(y, after.p[:, k])),
            "lost": figure(area.difference),
            "p": area.p_value,
        },
        "turned": figure(proportion.figure(turned, np.ones(len(y), bool), before.patients, "")),
        "labels": {name: _better(old[among], new[among], before.patients[among]) for name, among in labels.items()},
    }


def _better(old: Floats, new: Floats, patients: NDArray[np.str_]) -> Told:
    better, worse = int((new - old >= STEP).sum()), int((new - old <= -STEP).sum())
    return {
        "with": figure(maps.mean(old, patients, "")),
        "without": figure(maps.mean(new, patients, "")),
        "change": figure(maps.mean(new - old, patients, "", signed=True)),
        "counts": [better, worse, len(old) - better - worse],
        "p": compare.sign_test(better, worse),
    }


def heat(whole: pd.DataFrame, name: str) -> Told:
    """The share of the heat in a place, in networks with weights drawn anew, and the difference."""
    own, drawn = (whole[f"heat/{name}{of}"].to_numpy(np.float64) for of in ("", "/drawn"))
    both = np.isfinite(own) & np.isfinite(drawn)
    owners = whole["patient"].to_numpy(str)[both]
    values = {"own": (own[both], False), "drawn": (drawn[both], False), "more": ((own - drawn)[both], True)}
    return {key: figure(maps.mean(v, owners, "", signed=signed)) for key, (v, signed) in values.items()}


def moved(whole: pd.DataFrame, facts: Facts, name: str) -> Told:
    """How far the probability moves, on the mean, towards the side that a region came from, and answers that turn."""
    before, after, pictures = pair(whole, facts, f"exchange/{name}")
    k = facts.positive_index
    move = np.where(before.y[:, k], -1.0, 1.0) * (after.p[:, k] - before.p[:, k])
    turned = (answers(before.p, facts, before.limits) != answers(after.p, facts, after.limits)).any(axis=1)
    return {
        "pictures": pictures,
        "mean": figure(maps.mean(move, before.patients, "", signed=True)),
        "turned": [int(turned.sum()), len(turned)],
    }


def background(whole: pd.DataFrame, facts: Facts) -> Told:
    """ROC-AUC of a model that sees what lies beside the head alone, cross-validated over all patients, and the
    networks' own.
    """
    names = [name for name in whole.columns if name.startswith("background/")]
    mean = whole[whole[names].notna().all(axis=1)].groupby("patient")[names].mean()
    rows = by_patient(sample(whole, facts), facts)[0]
    place = {str(key): i for i, key in enumerate(rows.keys)}
    y = rows.y[[place[str(key)] for key in mean.index], facts.positive_index]
    scores = out_of_fold(mean.to_numpy(np.float64), y, 0)
    own = rows.y[:, facts.positive_index], rows.p[:, facts.positive_index]
    return {"alone": figure(compare.delong_interval(y, scores)), "model": figure(compare.delong_interval(*own))}


def marks(whole: pd.DataFrame, facts: Facts, name: str) -> Told:
    """Patients with a suspected mark among positives and negatives, and the difference of these shares."""
    by = whole.groupby("patient")
    marked, y = by[f"marks/{name}"].max().to_numpy() == 1.0, by[f"y_{facts.positive}"].max().to_numpy(bool)
    return {"counts": [int((marked & y).sum()), int(y.sum()), int((marked & ~y).sum()), int((~y).sum())]} | {
        "apart": apart(marked, y, ~y)
    }


def robustness(whole: pd.DataFrame, facts: Facts) -> list[Told]:
    """What each corruption costs at everyday and at the greatest strength, over all patients of all folds."""
    found: list[Told] = []
    k = facts.positive_index
    for one in chosen(()):
        for grade in sorted({one.everyday, STRONGEST}):
            name = f"robustness/{one.name}/{grade}"
            if f"{name}/{facts.positive}" not in whole.columns:
                continue
            before, after, pictures = pair(whole, facts, name)
            area = compare.delong(before.y[:, k], before.p[:, k], after.p[:, k])
            change = true_side(after, facts) - true_side(before, facts)
            turned = (answers(before.p, facts, before.limits) != answers(after.p, facts, after.limits)).any(axis=1)
            found.append(
                {
                    "title": one.title,
                    "strength": f"{one.strength(grade):g} ({one.unit})",
                    "everyday": grade == one.everyday,
                    "lost": figure(area.difference),
                    "change": figure(maps.mean(change, before.patients, "", signed=True)),
                    "turned": [int(turned.sum()), len(turned)],
                    "refused": len(whole) - pictures,
                }
            )
    return found
