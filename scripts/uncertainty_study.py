"""Write docs/results/uncertainty.md: which measure of uncertainty knows when a prediction is wrong.

    .venv/bin/python scripts/uncertainty_study.py --work runs/uncertainty [--folds runs/stroke-ct/by-patient]

Trains two small ensembles on made patients (kept in the work folder) and asks them on patients that they never saw.
--folds: a cross-validation of stroke_ct by patient; each patient is asked of the fold that did not train on him.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from phantom_models import bundle, cohort

from insula.bundle.load import load
from insula.bundle.patients import hash_patient
from insula.cohort.index import survey_cohort
from insula.core.recipe_policy import Source
from insula.core.types import Case, Cohort, Prediction, Volume
from insula.evaluate import risk_coverage
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.infer.referral import judged
from insula.infer.uncertainty import SOURCES, entropy
from insula.metrics.intervals import Figure
from insula.scans.read import read_files

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "stroke_ct"
COUNT, MEMBERS, REPLICATES, NOISY = 480, 3, 2000, 48
KINDS = ("brain-tumour", "haemorrhage-ct")
NOISE = {"brain-tumour": (0.0, 0.02, 0.05, 0.1, 0.2), "haemorrhage-ct": (0.0, 5.0, 10.0, 20.0, 40.0)}
UNIT = {"brain-tumour": "of the 99th percentile", "haemorrhage-ct": "HU"}
ACCEPTED = (0.5, 0.7, 0.8, 0.9, 1.0)
Bools, Floats = NDArray[np.bool_], NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Predictions on patients that the model never saw. scores: name → how sure, higher is surer, one a case."""

    name: str
    right: Bools
    patients: NDArray[np.str_]
    scores: dict[str, Floats]


def judge(name: str, predictor: Predictor, found: Sequence[tuple[Prediction, str, Sequence[str]]]) -> Asked:
    """Predictions, each with its patient and true classes, with every score by which they could be referred."""
    target = predictor.bundle.recipe.target
    threshold = predictor.bundle.decision.thresholds[target.positive]
    p = np.stack([one.probabilities for one, _, _ in found]).astype(float)
    y = np.array([[c in truth for c in target.classes] for _, _, truth in found])
    confidence, called, right = judged(p, y, target, threshold)
    others = p.copy()
    others[:, target.positive_index] = -1.0
    chosen = np.where(called | (not target.exclusive), target.positive_index, others.argmax(axis=1))
    scores = {"confidence": confidence, "entropy": -entropy(p, target.kind, target.positive_index)}
    for source in SOURCES:
        sure = [one.uncertainty.get(source) for one, _, _ in found]
        if any(s is None for s in sure):
            continue
        told = [s for s in sure if s is not None]
        mean = np.stack([s.mean for s in told]).astype(float)
        scores[f"{source}: confidence of the mean"] = _confidence(mean, chosen, called, target.exclusive)
        scores[f"{source}: spread"] = -np.array([float(s.spread[k]) for s, k in zip(told, chosen, strict=True)])
        scores[f"{source}: entropy"] = -np.array([s.entropy for s in told])
        scores[f"{source}: mutual information"] = -np.array([s.mutual_information for s in told])
    return Asked(name, right, np.array([patient for _, patient, _ in found]), scores)


def _confidence(mean: Floats, chosen: NDArray[np.int_], called: Bools, exclusive: bool) -> Floats:
    """Of the mean over draws, in the class that the plain prediction chose."""
    p = mean[np.arange(len(mean)), chosen]
    return p if exclusive else np.where(called, p, 1.0 - p)


def of_phantoms(kind: str, predictor: Predictor, table: Cohort) -> Asked:
    """The test patients of a made cohort, one scan each."""
    name = predictor.bundle.recipe.target_name
    found = []
    for case in table.of_split("test"):
        one = predictor.case(case, Path(table.root), ask=SOURCES)
        found.append((one, case.patient, case.labels[name]))
    return judge(f"made patients, {kind}", predictor, found)


def of_folds(folder: Path) -> list[Asked]:
    """Real patients, each by the fold that did not see him: all pictures of a patient together, and one by one."""
    whole, single = [], []
    for home in sorted(folder.glob("fold-*/bundle")):
        model = load(home)
        predictor = Predictor(model)
        cases = survey_cohort(REAL, model.recipe).cohort.cases
        base = model.baseline
        mine: dict[str, list[Case]] = {}
        for case in cases:
            if hash_patient(base.salt, case.patient) not in base.patients:
                mine.setdefault(case.patient, []).append(case)
        ask: tuple[Source, ...] = ("dropout", "views")
        for patient, pictures in mine.items():
            slices = [predictor.prepare(read_files([REAL / p for p in c.scans["ct"].paths]))[0] for c in pictures]
            truth = pictures[0].labels["stroke"]
            whole.append((predictor, predictor.from_slices(np.concatenate(slices), patient, ask=ask), patient, truth))
            single += [(predictor, predictor.from_slices(s, patient, ask=ask), patient, truth) for s in slices]
    return [_joined("stroke_ct, patients", whole), _joined("stroke_ct, single pictures", single)]


def _joined(name: str, found: list[tuple[Predictor, Prediction, str, tuple[str, ...]]]) -> Asked:
    """The folds' cases as one list, each judged at its own bundle's threshold."""
    predictors = dict.fromkeys(one[0] for one in found)
    parts = [judge(name, each, [one[1:] for one in found if one[0] is each]) for each in predictors]
    scores = {key: np.concatenate([part.scores[key] for part in parts]) for key in parts[0].scores}
    right, patients = (np.concatenate([getattr(part, key) for part in parts]) for key in ("right", "patients"))
    return Asked(name, right, patients, scores)


def against(asked: Asked, score: str, seed: int = 0) -> tuple[float, float, float]:
    """AURC of confidence minus that of a score (above 0 the score is better), with 95% over patients."""
    a, b = asked.scores["confidence"], asked.scores[score]
    _, owner = np.unique(asked.patients, return_inverse=True)
    n = int(owner.max()) + 1
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), REPLICATES).astype(float)[:, owner]
    apart = risk_coverage.aurc(a, asked.right, weights) - risk_coverage.aurc(b, asked.right, weights)
    plain = float(risk_coverage.aurc(a, asked.right)[0] - risk_coverage.aurc(b, asked.right)[0])
    low, high = np.quantile(apart, [0.025, 0.975])
    return plain, float(low), float(high)


def risk_at(asked: Asked, score: str, share: float) -> float:
    """The error among so large a share of the surest cases."""
    order = np.argsort(-asked.scores[score], kind="stable")
    kept = order[: max(1, round(share * len(order)))]
    return float((~asked.right[kept]).mean())


def ranking(asked: Asked) -> list[str]:
    """The table of one set of predictions."""
    wrong, n = int((~asked.right).sum()), len(asked.right)
    lines = [
        f"### {asked.name}",
        "",
        f"{n} cases of {len(set(asked.patients))} patients, {wrong} answered wrongly ({wrong / n:.1%}).",
        "",
        f"| score | AURC | saved against a lot | gained on confidence | {' | '.join(f'{s:.0%}' for s in ACCEPTED)} |",
        "|---|---|---|---|" + "---|" * len(ACCEPTED),
    ]
    for name, values in asked.scores.items():
        found = risk_coverage.judge(values, asked.right, asked.patients, REPLICATES)
        apart = "" if name == "confidence" else "{:+.4f} ({:+.4f} to {:+.4f})".format(*against(asked, name))
        risks = " | ".join(f"{risk_at(asked, name, share):.1%}" for share in ACCEPTED)
        lines.append(f"| {name} | {said(found.aurc)} | {said(found.gain)} | {apart} | {risks} |")
    return [*lines, ""]


def said(figure: Figure) -> str:
    """A figure with its interval."""
    ends = f" ({figure.interval[0]:.3f} to {figure.interval[1]:.3f})" if figure.interval else ""
    return f"{figure.value:.3f}{ends}"


def noised(kind: str, predictor: Predictor, table: Cohort) -> list[str]:
    """Mean spread of the positive class by source as noise is added to the same scans."""
    recipe = predictor.bundle.recipe
    k, threshold = recipe.target.positive_index, predictor.bundle.decision.thresholds[recipe.target.positive]
    cases = table.of_split("test")[:NOISY]
    spread: dict[str, list[list[float]]] = {source: [] for source in SOURCES}
    errors: list[str] = []
    for level in NOISE[kind]:
        each: dict[str, list[float]] = {source: [] for source in SOURCES}
        wrong = unlike = rejected = 0
        for i, case in enumerate(cases):
            scan = read_files([Path(table.root) / p for p in case.scans[recipe.role].paths])
            one = predictor.volume(_noisy(scan, level, i), case.key, ask=SOURCES)
            truth = recipe.target.positive in case.labels[recipe.target_name]
            wrong += (float(one.probabilities[k]) >= threshold) != truth
            unlike += one.domain_score > recipe.policy.refer.domain
            rejected += decide(one, predictor.bundle).action == "reject"
            for source in SOURCES:
                each[source].append(float(one.uncertainty[source].spread[k]))
        errors.append(f"{wrong} | {unlike} | {rejected}")
        for source in SOURCES:
            spread[source].append(each[source])
    lines = [
        f"| {kind}: noise, {UNIT[kind]} | wrong of {len(cases)} | unlike | rejected | {' | '.join(SOURCES)} |",
        "|---|---|---|---|" + "---|" * len(SOURCES),
    ]
    g = np.random.default_rng(0)
    draws = g.integers(0, len(cases), (REPLICATES, len(cases)))
    for at, level in enumerate(NOISE[kind]):
        cells = []
        for source in SOURCES:
            values, plain = np.array(spread[source][at]), np.array(spread[source][0])
            cell = f"{values.mean():.3f}"
            if at:
                low, high = np.quantile((values - plain)[draws].mean(axis=1), [0.025, 0.975])
                cell += f" ({values.mean() - plain.mean():+.3f}, {low:+.3f} to {high:+.3f})"
            cells.append(cell)
        lines.append(f"| {level:g} | {errors[at]} | {' | '.join(cells)} |")
    return [*lines, ""]


def _noisy(volume: Volume, level: float, seed: int) -> Volume:
    size = level if volume.units == "HU" else level * float(np.percentile(volume.array, 99))
    noise = np.random.default_rng(seed).normal(0.0, 1.0, volume.array.shape).astype(np.float32)
    return replace(volume, array=volume.array + np.float32(size) * noise)


def shared(sets: Sequence[Asked]) -> list[str]:
    """Mean of what each score gains on confidence, over the sets that have it."""
    names = [name for name in sets[0].scores if name != "confidence"]
    rows = []
    for name in names:
        gains = [against(one, name)[0] for one in sets if name in one.scores]
        better = sum(gain > 0 for gain in gains)
        rows.append((float(np.mean(gains)), f"| {name} | {len(gains)} | {np.mean(gains):+.4f} | {better} |"))
    ordered = [line for _, line in sorted(rows, reverse=True)]
    return [
        "| score | sets | mean gain in AURC on confidence | sets where it gains |",
        "|---|---|---|---|",
        *ordered,
        "",
    ]


def document(sets: Sequence[Asked], noise: Sequence[str]) -> str:
    """The whole page."""
    lines = [OPENING, ""]
    for one in sets:
        lines += ranking(one)
    lines += ["## All sets together", "", *shared(sets), "## Spread and noise", "", NOISE_WORDS, "", *noise]
    return "\n".join(lines).rstrip() + "\n"


OPENING = f"""# Which uncertainty knows when the model is wrong

Written by `scripts/uncertainty_study.py`; the figures come from its run.

A risk-coverage curve takes the cases in the order of a score and counts the errors among those accepted so far. Its
area (AURC, Geifman et al. 2019) is the error of a policy that refers by this score, averaged over all limits; referral
by lot has the error of all cases. Intervals: bootstrap over patients. *Gained on confidence*: the AURC of the plain
prediction's confidence minus the score's, on the same resampled patients; above 0 the score ranks errors better. The
last columns are the error among the surest so many of the cases.

`confidence` and the first `entropy` are of the plain prediction; 30 dropout passes; 8 views beside the plain one;
{MEMBERS} members (the plain prediction of an ensemble is that of its averaged log-odds). Networks: `simple_cnn` at 64²
pixels from random weights, on 216 made patients. The folds of stroke_ct are single networks: they have no members.

What follows for the policy: plain confidence comes first, since nothing here ranks errors better on made and on real
patients alike; the confidence of the mean over draws comes nearest to it, at 30 passes or 8 views more. Spread over
dropout passes tells errors from right answers on both made sets (*saved against a lot* lies above 0 with its interval)
and costs next to nothing, so it stays as a second look; on the 62 patients of stroke_ct it is not told from a lot.
Entropy and mutual information add nothing to these two, and stay off unless a recipe sets a limit for them. Entropy is
distance from one half, whatever was answered: where the threshold stands lower, it takes a positive answer at 0.4 for
as sure as one at 0.6, which is why it fails on haemorrhage.

## Ranking of errors"""

NOISE_WORDS = f"""White noise added to the same scans before they are prepared; mean spread of the positive class over
{NOISY} test patients, and how much larger it is than without noise (95% over patients). *Unlike*: beyond
`policy.refer.domain`; *rejected*: beyond `policy.refuse.distance`.

Spread over members grows as noise sets in, on both; over dropout passes it does on MR up to 5% of noise, and on CT from
40 HU on; over views hardly. Of strong noise spread says nothing more: the network of the MR model then gives one class
to every scan and is sure of it in every draw. What finds these scans is their distance from the training data."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=ROOT / "runs" / "stroke-ct" / "by-patient")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "uncertainty.md")
    o = parser.parse_args()
    sets: list[Asked] = []
    noise: list[str] = []
    for kind in KINDS:
        table = cohort(kind, o.work, COUNT)
        predictor = Predictor(bundle(kind, o.work, table, MEMBERS), threads=1)
        print(f"[{kind}] asking", flush=True)
        sets.append(of_phantoms(kind, predictor, table))
        noise += noised(kind, predictor, table)
    if REAL.is_dir() and list(o.folds.glob("fold-*/bundle")):
        print("[stroke_ct] asking", flush=True)
        sets += of_folds(o.folds)
    o.out.write_text(document(sets, noise), encoding="utf-8")
    frame = pd.DataFrame({"set": [s.name for s in sets], "wrong": [int((~s.right).sum()) for s in sets]})
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main()
