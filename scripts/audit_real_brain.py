"""brain_tumor_mri for audit_real.py: audits of two networks, accuracy with and without copies, and the colour mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from audit_real_figures import Bools, Floats, Told, apart, figure, insula, of_audit
from numpy.typing import NDArray
from PIL import Image

from insula.bundle.load import load as load_bundle
from insula.cohort.table import load
from insula.core.types import Case, Cohort
from insula.evaluate.facts import Facts, answers, of_recipe
from insula.evaluate.table import Sample, sample
from insula.infer.predict import Predictor
from insula.metrics import proportion

MOST = 200  # trained pictures of each kind
OF = "meningioma"  # the class that the published network hardly finds


@dataclass(frozen=True)
class Judged:
    """A network's answers to its test pictures: the rows, which are right, and where and how each picture lies."""

    facts: Facts
    rows: Sample
    right: Bools
    mode: NDArray[np.str_]
    truth: NDArray[np.str_]


def brain(runs: Path, work: Path) -> Told:
    """Both networks of brain_tumor_mri: what their audits say, and the accuracies with and without."""
    made: Told = {}
    for name in ("published", "grouped"):
        bundle, cohort = runs / f"{name}-run" / "bundle", runs / f"{name}.parquet"
        report, audited = work / f"{name}-report", work / f"{name}-audit"
        insula("evaluate", bundle, cohort, "--out", report, done=report / "cases.parquet")
        insula("audit", bundle, cohort, "--out", audited, done=audited / "audit.json")
        table = load(cohort)
        judged = answered(bundle, table, report)
        copied = np.zeros(len(judged.right), bool)
        if name == "published":
            insula("leaks", cohort, "--out", work / "leaks", done=work / "leaks" / "pairs.csv")
            copied = np.isin(judged.rows.keys, list(copies(work / "leaks" / "pairs.csv", "test", "train")))
        print(f"[{name}] measuring", flush=True)
        made[name] = {
            "audit": of_audit(audited),
            "accuracy": accuracies(judged, copied),
            "by_heart": accuracies(by_heart(table, judged), copied),
            "mode": by_mode(table, judged),
            "grey": in_grey(bundle, table, judged),
        }
        if name == "published":
            made[name]["trained"] = trained_on(bundle, table, work / "leaks" / "pairs.csv", judged.facts)
    return made


def answered(bundle: Path, cohort: Cohort, report: Path) -> Judged:
    """The answers of an evaluation as its own policy gives them."""
    held = load_bundle(bundle)
    facts = of_recipe(held.recipe, held.decision.thresholds)
    rows = sample(pd.read_parquet(report / "cases.parquet"), facts)
    right = (answers(rows.p, facts, rows.limits) == rows.y).all(axis=1)
    modes = {case.key: case.scans[held.recipe.role].attributes["mode"] for case in cohort.cases}
    truth = np.array(facts.classes)[rows.y.argmax(axis=1)]
    return Judged(facts, rows, right, np.array([modes[str(key)] for key in rows.keys]), truth)


def copies(pairs: Path, here: str, there: str) -> set[str]:
    """Pictures of one split of which a picture of another is identical or a near-duplicate."""
    table = pd.read_csv(pairs)
    found: set[str] = set()
    for mine, other in (("first", "second"), ("second", "first")):
        across = (table[f"{mine}_split"] == here) & (table[f"{other}_split"] == there)
        found |= set(table.loc[across, mine].astype(str))
    return found


def accuracies(of: Judged, copied: Bools) -> Told:
    """Accuracy over all pictures, over those with and without a copy in training, and of each class in both."""
    every = np.ones(len(of.right), bool)
    found: Told = {"all": share_right(of, every), "groups": {}, "classes": {}}
    if copied.any():
        found["groups"] = {"copied": share_right(of, copied), "new": share_right(of, ~copied)}
        found["apart"] = apart(of.right, copied, ~copied)
    for name in of.facts.classes:
        among = of.truth == name
        found["classes"][name] = {"all": share_right(of, among)}
        if copied.any():
            found["classes"][name] |= {
                "copied": share_right(of, among & copied),
                "new": share_right(of, among & ~copied),
                "apart": apart(of.right, among & copied, among & ~copied),
            }
    return found


def trained_on(bundle: Path, cohort: Cohort, pairs: Path, facts: Facts) -> Told:
    """Accuracy on meningiomas that the network was trained on, those with a copy in the test and those without."""
    predictor, twins = Predictor(load_bundle(bundle)), copies(pairs, "train", "test")
    own = sorted(
        (case for case in cohort.of_split("train") if case.labels[facts.target] == (OF,)), key=lambda case: case.key
    )
    found: Told = {}
    for name, kind in (("copied", True), ("new", False)):
        cases = [case for case in own if (case.key in twins) == kind]
        some = [cases[int(i)] for i in np.random.default_rng(0).permutation(len(cases))[:MOST]]
        scans = ((case, predictor.read(case, Path(cohort.root))) for case in some)
        p = np.stack([predictor.scans(volumes, case.key).probabilities for case, volumes in scans]).astype(np.float64)
        right = answers(p, facts)[:, facts.classes.index(OF)]
        keys = np.array([case.key for case in some])
        found[name] = figure(proportion.figure(right, np.ones(len(right), bool), keys, ""))
    return found


def by_heart(cohort: Cohort, of: Judged) -> Judged:
    """The same with the label of the training picture that is most like each test picture at 64 × 64 grey pixels.

    Most alike: the greatest correlation. Nothing is trained: what it gets right it knows by heart.
    """
    root, by_key = Path(cohort.root), {case.key: case for case in cohort.cases}

    def rows(cases: Sequence[Case]) -> Floats:
        flat = np.stack([_small(root / next(iter(case.scans.values())).paths[0]) for case in cases])
        flat -= flat.mean(axis=1, keepdims=True)
        scaled: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        return scaled

    trained = cohort.of_split("train")
    near = (rows([by_key[str(key)] for key in of.rows.keys]) @ rows(trained).T).argmax(axis=1)
    labels = np.array([case.labels[of.facts.target][0] for case in trained])
    return replace(of, right=labels[near] == of.truth)


def _small(path: Path) -> Floats:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX), np.float64).ravel()


def by_mode(cohort: Cohort, of: Judged) -> Told:
    """Accuracy in each colour mode, of each class too, and that of answering with the mode's commonest class."""
    modes = sorted(set(of.mode.tolist()))
    target, role = of.facts.target, next(iter(cohort.cases[0].scans))
    trained = [(c.scans[role].attributes["mode"], c.labels[target][0]) for c in cohort.of_split("train")]
    common = {m: commonest([label for mode, label in trained if mode == m]) for m in modes}
    guess = np.array([common[mode] for mode in of.mode.tolist()])
    usual = commonest([label for _, label in trained])
    return {
        "modes": {m: share_right(of, of.mode == m) for m in modes},
        "apart": apart(of.right, of.mode == modes[0], of.mode == modes[-1]),
        "classes": {
            name: {m: share_right(of, (of.truth == name) & (of.mode == m)) for m in modes} for name in of.facts.classes
        },
        "common": common,
        "alone": figure(proportion.figure(guess == of.truth, np.ones(len(guess), bool), of.rows.patients, "")),
        "usual": usual,
        "nothing": figure(proportion.figure(of.truth == usual, np.ones(len(guess), bool), of.rows.patients, "")),
    }


def in_grey(bundle: Path, cohort: Cohort, of: Judged) -> Told:
    """Accuracy with every colour file read as a grey one, how many answers change, and the largest change of p."""
    predictor = Predictor(load_bundle(bundle))
    by_key, role = {case.key: case for case in cohort.cases}, next(iter(cohort.cases[0].scans))
    p, changed = of.rows.p.copy(), 0
    for row in np.flatnonzero(of.mode != "L").tolist():
        case = by_key[str(of.rows.keys[row])]
        path = Path(cohort.root) / case.scans[role].paths[0]
        volume = predictor.read(case, Path(cohort.root))[role][0]
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"), np.float32)[None, None]
        changed += len(volume.array) > 1
        made = replace(volume, array=grey, units="a.u.", full_scale=255.0, attributes={"mode": "L"})
        p[row] = predictor.scans({role: (made,)}, case.key).probabilities
    called = answers(p, of.facts, of.rows.limits)
    turned = (called != answers(of.rows.p, of.facts, of.rows.limits)).any(axis=1)
    right = (called == of.rows.y).all(axis=1)
    return {
        "files": int((of.mode != "L").sum()),
        "coloured": int(changed),
        "turned": int(turned.sum()),
        "largest": float(np.abs(p - of.rows.p).max()),
        "accuracy": figure(proportion.figure(right, np.ones(len(right), bool), of.rows.patients, "")),
    }


def share_right(of: Judged, among: Bools) -> Told:
    return figure(proportion.figure(of.right, among, of.rows.patients, "no picture"))


def commonest(labels: Sequence[str]) -> str:
    counts: Mapping[str, int] = {name: list(labels).count(name) for name in sorted(set(labels))}
    return max(counts, key=lambda name: counts[name])
