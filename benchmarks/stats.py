"""Every figure with its interval against a loop over scikit-learn: time and memory (make bench-stats).

One yes-or-no question on 100,000 cases of 20,000 patients, 2,000 bootstrap samples of whole patients. Both sides give
the same figures: eleven per class, their means over the classes and seven over both. Insula's side is the judgement as
`insula evaluate` makes it: with sorting, the jackknife, the intervals and the band of the ROC curve. The loop resamples
the rows and asks scikit-learn; it runs 20 replicates, interleaved with Insula's rounds, and is extrapolated.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time

import numpy as np
from scipy.special import expit
from sklearn import metrics as sk

from insula.evaluate.facts import Facts, answers
from insula.evaluate.figures import level
from insula.evaluate.table import Sample
from insula.metrics import classification as cl
from insula.metrics import intervals, ranking

CASES, PATIENTS, REPLICATES, ASKED, ROUNDS = 100_000, 20_000, 2000, 20, 3
GOALS = {"share_of_the_loop": 0.01, "peak_mb": 2000, "auc_error": 0.0}


def made() -> tuple[Sample, Facts]:
    rng = np.random.default_rng(0)
    owner = np.concatenate([np.arange(PATIENTS), rng.integers(0, PATIENTS, CASES - PATIENTS)])
    sick = rng.random(PATIENTS) < 0.3
    y = sick[owner]
    p = expit(1.5 * y - 1.0 + 0.7 * rng.normal(size=PATIENTS)[owner] + 0.7 * rng.normal(size=CASES))
    p = np.round(p, 4)  # some equal scores, as a network in half precision gives
    names = np.char.add("c", np.arange(CASES).astype(str))
    keys = np.char.add("p", owner.astype(str))
    limits = np.tile([0.5, 0.4], (CASES, 1))
    facts = Facts("made", "Is it a stroke?", "answer", "multiclass", ("no", "yes"), "yes", {"yes": 0.4})
    return Sample(names, keys, np.stack([~y, y], 1), np.stack([1 - p, p], 1), limits), facts


def loop(rows: Sample, facts: Facts, count: int) -> tuple[float, list[float]]:
    """Seconds and the AUCs of a plain loop."""
    called = answers(rows.p, facts, rows.limits)
    keys, owner = np.unique(rows.patients, return_inverse=True)
    of_patient = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    areas = []
    start = time.perf_counter()
    for draw in np.concatenate(list(intervals.draws(len(keys), count, facts.seed))).astype(int):
        chosen = np.concatenate([of_patient[i] for i in np.repeat(np.arange(len(keys)), draw)])
        y, p, c = rows.y[chosen], rows.p[chosen], called[chosen]
        for k in range(2):
            truth, score, answer = y[:, k], p[:, k], c[:, k]
            areas.append(sk.roc_auc_score(truth, score))
            sk.average_precision_score(truth, score)
            sk.brier_score_loss(truth, score)
            sk.log_loss(truth, score)
            sk.accuracy_score(truth, answer)
            sk.recall_score(truth, answer)
            sk.recall_score(truth, answer, pos_label=False)
            sk.precision_score(truth, answer)
            sk.precision_score(truth, answer, pos_label=False)
            sk.f1_score(truth, answer)
            sk.fbeta_score(truth, answer, beta=2)
            sk.matthews_corrcoef(truth, answer)
            sk.cohen_kappa_score(truth, answer)
        true, answer = y.argmax(1), c.argmax(1)
        sk.accuracy_score(true, answer)
        sk.balanced_accuracy_score(true, answer)
        sk.matthews_corrcoef(true, answer)
        sk.cohen_kappa_score(true, answer)
        sk.log_loss(true, p)
    return time.perf_counter() - start, areas[1::2]


def main() -> int:
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{ROUNDS} rounds, interleaved; load {os.getloadavg()[0]:.1f}"
    )
    print(f"{CASES} cases of {PATIENTS} patients, {REPLICATES} bootstrap samples of patients, all figures\n")
    rows, facts = made()
    ours: list[float] = []
    theirs: list[float] = []
    areas: list[float] = []
    peak = 0.0
    for number in range(ROUNDS):
        start = time.perf_counter()
        level("case", rows, facts, REPLICATES)
        ours.append(time.perf_counter() - start)
        if number == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, areas = loop(rows, facts, ASKED)
        theirs.append(seconds * REPLICATES / ASKED)
    drawn = np.concatenate(list(intervals.draws(len(np.unique(rows.patients)), ASKED, facts.seed)))
    owner = np.unique(rows.patients, return_inverse=True)[1]
    exact = ranking.rank(rows.y[:, 1], rows.p[:, 1], owner).figures(drawn)[0]
    error = float(np.abs(exact - areas).max())
    tied = np.round(rows.p[:, 1], 1)
    whole = cl.roc_auc(rows.y[:, 1], tied, cl.once(CASES))[0]
    positive, negative = (np.bincount((tied[rows.y[:, k]] * 10).round().astype(int), minlength=11) for k in (1, 0))
    below = np.cumsum(negative) - negative
    pairs = int(
        (positive * (2 * below + negative)).sum()
    )  # whole numbers: the area by its definition, without rounding
    error_tied = abs(whole - pairs / (2 * int(positive.sum()) * int(negative.sum())))
    print(f"{'side':<34}{'median s':>10}{'least':>9}{'most':>9}")
    for name, times in (("insula", ours), ("loop over scikit-learn (×100)", theirs)):
        print(f"{name:<34}{statistics.median(times):>10.2f}{min(times):>9.2f}{max(times):>9.2f}")
    share = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"\nshare of the loop: {share:.4f} (1/{1 / share:.0f}); peak memory {peak:.0f} MB, libraries included")
    print(f"AUC against scikit-learn, largest difference over {ASKED} replicates: {error:.1e}")
    print(f"AUC with eleven different scores, against whole numbers: {error_tied:.1e}")
    figures = {
        "share_of_the_loop": round(share, 5),
        "seconds": round(statistics.median(ours), 2),
        "loop_seconds": round(statistics.median(theirs), 1),
        "peak_mb": round(peak),
        "auc_error": error_tied,
        "auc_against_scikit_learn": error,
    }
    holds = all(figures[name] <= goal for name, goal in GOALS.items()) and error < 1e-12
    print(json.dumps({"bench": "stats", "figures": figures, "goals": GOALS, "holds": bool(holds)}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
