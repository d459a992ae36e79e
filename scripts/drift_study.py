"""Write docs/results/drift.md: how often drift is reported without any, and after how many patients planted drift is.

    .venv/bin/python scripts/drift_study.py --work runs/drift

Makes patients in the work folder, or takes those that an earlier run left there. In place of a network it has a
logistic regression on the numbers that describe a picture: what is studied is the watch, not what a network sees.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from insula.audit.corruptions import chosen
from insula.cohort.index import survey_cohort
from insula.cohort.phantom.make import make
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Volume
from insula.infer import domain_fit, domain_scale, suitable_statistics
from insula.metrics.classification import roc_auc
from insula.metrics.intervals import wilson
from insula.prep.run import prepared_volume, slices
from insula.scans.read import read_files
from insula.serve.monitor import betting
from insula.serve.monitor.drift import channel
from insula.serve.monitor.kept import DISTANCE, Reference

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "drift.md"
RATE, FIRST = 0.05, 100
WATCHES, PATIENTS, CHANNELS = 400, 1000, 10
KIND, COUNT, SPLITS, BEFORE, ORDERS = "haemorrhage-ct", 420, (120, 40), 40, 40
MIXED, SHARE, MOST = 0.9, 0.3, 1000
SIZE, SLICES = 64, 12
SETTINGS = ("inputs.ct.prep=[{windows: {value: [[40, 80]], pictures: as_shown}}, {resize: 64}]",)
Floats = NDArray[np.float64]
Kept = Mapping[str, float]


@dataclass(frozen=True)
class Found:
    """One order of patients: the first channel that reported, and after how many patients of the change."""

    channel: str
    after: int


def quiet(draw: Callable[[np.random.Generator, tuple[int, int]], Floats], seed: int) -> str:
    """Watches without drift in which any of the channels reported it; numbers (channels, patients) by `draw`."""
    g = np.random.default_rng(seed)
    limit = math.log(CHANNELS / RATE)
    alarms = 0
    for _ in range(WATCHES):
        numbers = draw(g, (CHANNELS, FIRST + PATIENTS))
        alarms += any(
            betting.log_capital(betting.p_values(row[FIRST:], row[:FIRST], g.random(PATIENTS))).max() >= limit
            for row in numbers
        )
    low, high = wilson(alarms, WATCHES)
    return f"{alarms} of {WATCHES:,} ({alarms / WATCHES:.1%}, {low:.1%} to {high:.1%})"


def alike(g: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Normal numbers, correlated by 0.5 between any two channels."""
    return np.asarray(np.sqrt(0.5) * (g.standard_normal(shape) + g.standard_normal((1, shape[1]))))


def lumpy(g: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Numbers of heavy tails in even channels, and counts of 0 to 4 in odd ones."""
    numbers = g.standard_t(1.5, shape)
    numbers[1::2] = g.binomial(4, 0.3, numbers[1::2].shape)
    return np.asarray(numbers)


def delays(size: float, before: int, seed: int, runs: int = 100) -> str:
    """Patients until one channel of normal numbers, moved by `size` deviations, reports: median and 90% quantile."""

    def draw(g: np.random.Generator) -> Floats:
        numbers = g.standard_normal(FIRST + before + MOST)
        numbers[FIRST + before :] += size
        return numbers

    return _delays(draw, before, seed, runs)


def mixes(apart: float, share: float, seed: int) -> str:
    """As `delays`, of a score whose classes lie `apart` deviations apart, as positives rise from SHARE to `share`."""

    def draw(g: np.random.Generator) -> Floats:
        ill = g.random(FIRST + MOST) < np.where(np.arange(FIRST + MOST) < FIRST, SHARE, share)
        return np.asarray(g.standard_normal(FIRST + MOST) + apart * ill)

    return _delays(draw, 0, seed, 100)


def _delays(draw: Callable[[np.random.Generator], Floats], before: int, seed: int, runs: int) -> str:
    g = np.random.default_rng(seed)
    limit = math.log(CHANNELS / RATE)
    found = []
    for _ in range(runs):
        numbers = draw(g)
        capital = betting.log_capital(betting.p_values(numbers[FIRST:], numbers[:FIRST], g.random(before + MOST)))
        over = np.flatnonzero(capital[before:] >= limit)
        found.append(int(over[0]) + 1 if len(over) else math.inf)
    return " / ".join(_count(np.quantile(found, q, method="higher")) for q in (0.5, 0.9))


def _count(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else f"not within {MOST:,}"


@dataclass(frozen=True)
class Model:
    """What stands in for a bundle: distances as a bundle measures them, of picture numbers; a score of the same."""

    recipe: Recipe
    fitted: domain_fit.Fitted
    scorer: Pipeline
    known: Reference

    def kept(self, volume: Volume) -> Kept:
        """What the service would keep of a scan."""
        numbers = _numbers(volume, self.recipe)
        embedding, fitted = numbers[None].astype(np.float32), self.fitted
        features = (fitted.embedding_mean, fitted.embedding_precision)
        raw = domain_scale.parts(embedding, {"ct": numbers}, features, fitted.neighbours, fitted.pictures)
        largest = np.nanmax(domain_scale.ratios(raw, fitted.scale[:-1]))
        found = {DISTANCE: float(domain_scale.ratios(np.array([largest]), fitted.scale[-1:])[0])}
        found |= {f"picture/ct/{name}": number for name, number in suitable_statistics.chosen(numbers).items()}
        return {**found, f"score/{self.known.classes[0]}": float(self.scorer.predict_proba(numbers[None])[0, 1])}


def model(recipe: Recipe, volumes: Sequence[Volume], ill: NDArray[np.bool_]) -> Model:
    """Fitted on the first SPLITS[0] scans, with its scale from the next SPLITS[1]."""
    train, val = SPLITS
    numbers = np.stack([_numbers(volume, recipe) for volume in volumes[: train + val]])

    def measured(rows: slice) -> domain_fit.Cases:
        own = numbers[rows]
        names = [f"{rows.start} {i}" for i in range(len(own))]
        return domain_fit.Cases(own.astype(np.float32), np.arange(len(own)), names, {"ct": own})

    fitted = domain_fit.fit(measured(slice(0, train)), measured(slice(train, train + val)))
    scorer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scorer.fit(numbers[:train], ill[:train])
    return Model(recipe, fitted, scorer, Reference("made", fitted.scaled, ("ct",), (recipe.target.positive,)))


def _numbers(volume: Volume, recipe: Recipe) -> Floats:
    return suitable_statistics.of_bags([slices(prepared_volume(volume, recipe.input))])


def disturbed(names: Sequence[str], volume: Volume, seed: int) -> Volume:
    """A scan changed by corruptions of the audit, each at its everyday strength."""
    for one in chosen(names):
        volume = one(volume, one.strength(one.everyday), np.random.default_rng(seed))
    return volume


def watch(known: Reference, before: Sequence[Kept], after: Sequence[Kept], seed: int) -> Found | None:
    """One watch: the first patients, more of the same kind, then those after the change; None without a report."""
    cases = [*before, *after]
    ties = betting.ties([f"{seed} {i}" for i in range(len(cases))])
    found = []
    for name in known.channels:
        numbers = np.array([one.get(name, math.nan) for one in cases])
        own, start = (known.distances, 0) if name == DISTANCE else (numbers[:FIRST], FIRST)
        one = channel(name, own, numbers[start:], ties[start:], len(known.channels), RATE)
        if one.found_after is not None:
            found.append(Found(name, one.found_after - (len(before) - start)))
    return min(found, key=lambda one: one.after) if found else None


def planted(work: Path) -> list[str]:
    """A table of planted changes on made patients."""
    recipe = recipes.load(KIND, SETTINGS)
    folder = work / f"{KIND}-{COUNT}"
    if not folder.is_dir():
        make(KIND, folder, COUNT, 7, SIZE, SLICES)
    cases = survey_cohort(folder, recipe).cohort.cases
    scans = [read_files([folder / path for path in case.scans["ct"].paths]) for case in cases]
    sick = np.array([recipe.target.positive in case.labels[recipe.target_name] for case in cases])
    fitted = model(recipe, scans, sick)
    known = fitted.known
    volumes, ill = scans[sum(SPLITS) :], sick[sum(SPLITS) :]
    own = [fitted.kept(volume) for volume in volumes]
    scored = np.array([one[known.channels[-1]] for one in own])
    area = float(roc_auc(ill, scored, np.ones((1, len(ill))))[0])
    changes: dict[str, list[Kept]] = {}
    for title, names in {
        "darker scans (`darker`)": ("darker",),
        "more noise, as of a lower dose (`noise_ct`)": ("noise_ct",),
        "another scanner: softer and noisier (`blur`, `noise_ct`)": ("blur", "noise_ct"),
        "cupping (`cupping`)": ("cupping",),
    }.items():
        changes[title] = [fitted.kept(disturbed(names, volume, i)) for i, volume in enumerate(volumes)]
        print(title, flush=True)
    lines = [
        f"{len(own)} served patients, {ill.sum()} of them with a haemorrhage (AUROC of the score {area:.2f}); "
        f"{len(known.distances)} validation cases; {len(known.channels)} channels. {FIRST} first patients, {BEFORE} "
        "more without a change, then the change.",
        "",
        f"| change | found in {ORDERS} orders | after patients (median / 90%) | most often first in |",
        "|---|---|---|---|",
    ]

    def row(title: str, found: Sequence[Found | None], most: int) -> None:
        late = [one for one in found if one is not None and one.after > 0]
        early = sum(one is not None and one.after <= 0 for one in found)
        after = sorted([one.after for one in late]) + [math.inf] * (len(found) - len(late) - early)
        places = [one.channel for one in late]
        first = max(set(places), key=places.count) if places else "–"
        told = " / ".join(
            f"{q:.0f}" if math.isfinite(q := float(np.quantile(after, share, method="higher"))) else f"not in {most}"
            for share in (0.5, 0.9)
        )
        said = f"{len(late)}" + (f", {early} before the change" if early else "")
        lines.append(f"| {title} | {said} | {told} | {first} |")

    g = np.random.default_rng(11)
    orders = [g.permutation(len(own)) for _ in range(ORDERS)]
    head = FIRST + BEFORE
    row("none", [watch(known, [own[i] for i in o[:head]], [own[i] for i in o[head:]], n) for n, o in enumerate(orders)],
        len(own) - head)  # fmt: skip
    for title, changed in changes.items():
        found = [
            watch(known, [own[i] for i in o[:head]], [changed[i] for i in o[head:]], n) for n, o in enumerate(orders)
        ]
        row(title, found, len(own) - head)
    mixed = [_mixed(o, ill, head) for o in orders]
    found = [
        watch(known, [own[i] for i in before], [own[i] for i in after], n) for n, (before, after) in enumerate(mixed)
    ]
    row(f"{MIXED:.0%} with a haemorrhage, {ill.mean():.0%} before", found, min(len(after) for _, after in mixed))
    return lines


def _mixed(order: NDArray[np.int_], ill: NDArray[np.bool_], head: int) -> tuple[list[int], list[int]]:
    """The patients of an order before the change, and of the others as many as make the share of the ill MIXED."""
    before, rest = [int(i) for i in order[:head]], [int(i) for i in order[head:]]
    sick, well = [i for i in rest if ill[i]], [i for i in rest if not ill[i]]
    kept = [*sick, *well[: round(len(sick) * (1 - MIXED) / MIXED)]]
    return before, [i for i in rest if i in set(kept)]


def page(work: Path) -> str:
    """The page."""
    found = planted(work)
    sizes = (0.3, 0.5, 1.0, 2.0, 4.0)
    shifts = [
        f"| {size:g} | {delays(size, 0, 1)} | {delays(size, 1000, 2)} | {delays(size, 10000, 3, 20)} |"
        for size in sizes
    ]
    mixed = [
        f"| {area:g} | " + " | ".join(mixes(math.sqrt(2) * float(ndtri(area)), to, 4) for to in (0.45, 0.6, 0.9)) + " |"
        for area in (0.77, 0.9, 0.97)
    ]
    return "\n".join(
        [
            "# Drift: false alarms and delay",
            "",
            "    .venv/bin/python scripts/drift_study.py --work runs/drift",
            "",
            "Made numbers and made patients. How drift is watched for: [monitoring](../monitoring.md).",
            "",
            "## False alarms",
            "",
            f"Watches of {CHANNELS} channels and {PATIENTS:,} patients after {FIRST} first ones, nothing changed, "
            f"looked at after each patient, at a stated rate of {RATE:.0%}. Watches in which any channel reported "
            "drift at any time, with Wilson's 95% interval:",
            "",
            "| numbers | reported |",
            "|---|---|",
            f"| normal, correlated by 0.5 between channels | {quiet(alike, 1)} |",
            f"| heavy tails (Student's t, 1.5 degrees of freedom), and counts of 0 to 4 | {quiet(lumpy, 2)} |",
            "",
            "The stated rate is a bound for watches of any length; in short ones alarms are rarer.",
            "",
            "## Delay by the size of the change",
            "",
            f"One channel of {CHANNELS}, normal numbers, their mean moved by so many standard deviations: patients "
            "until it is reported (median / 90%), for a change right after the first patients, after 1,000 and after "
            "10,000 more.",
            "",
            "| deviations | at once | after 1,000 | after 10,000 |",
            "|---|---|---|---|",
            *shifts,
            "",
            f"A score, one channel of {CHANNELS}, as the share of positives rises from {SHARE:.0%} right after the "
            "first patients (median / 90%), by the AUROC of the score:",
            "",
            "| AUROC | to 45% | to 60% | to 90% |",
            "|---|---|---|---|",
            *mixed,
            "",
            "## Planted changes",
            "",
            f"Made patients of `{KIND}` (64² pixels, 12 slices). In place of a network there is a logistic regression "
            "on the numbers that describe a picture, and its distances are those of the same numbers. Changes are "
            "corruptions of the audit at their everyday strength. The orders are drawn from the same patients, so that "
            "they are not independent of each other.",
            "",
            *found,
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    PAGE.write_text(page(parser.parse_args().work), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
