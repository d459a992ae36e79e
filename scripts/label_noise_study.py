"""Write docs/results/label-noise.md: how often an audit names wrong labels, and calls right ones wrong.

    .venv/bin/python scripts/label_noise_study.py

Made models with normal scores, calibrated on the labels that they are shown; no scan and no network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from insula.audit.labels import TOLD, contradicted, levelling
from insula.core.provenance import write_text
from insula.core.recipe_audit import Audit
from insula.metrics.intervals import wilson_modified

ROOT = Path(__file__).resolve().parents[1]
AREAS = (0.8, 0.87, 0.9, 0.93, 0.95, 0.97, 0.985)
SETS = ((60, 0.5), (150, 0.5), (250, 0.5), (400, 0.5), (300, 0.1))
HEAD = """# How often does an audit name wrong labels?

Written by `.venv/bin/python scripts/label_noise_study.py`. Made models whose scores are normal in either class, with
probabilities calibrated on the labels that they are shown. An audit says that labels are wrong (audit.md) where the
share that the model contradicts lies beyond {limit:g} with its whole interval, and the labels level off with a
likelihood ratio above {told}. Share of {times} audits each that say so; the ROC-AUC is against right labels.
"""


def drawn(rng: np.random.Generator, area: float, n: int, positive: float, noise: float) -> bool:
    """Whether one made audit says that labels are wrong."""
    apart = np.sqrt(2) * norm.ppf(area)
    truth = rng.random(n) < positive
    score = rng.normal(np.where(truth, apart / 2, -apart / 2), 1)
    p = noise + (1 - 2 * noise) * expit(apart * score + logit(positive))
    y = truth ^ (rng.random(n) < noise)
    if not y.any() or y.all():
        return False
    sides, both = np.stack([~y, y], 1), np.stack([1 - p, p], 1)
    count = int((contradicted(sides, both) >= 0).sum())
    limit = Audit().label_noise
    return limit is not None and wilson_modified(count, n)[0] > limit and levelling(sides, both).ratio > TOLD


def table(times: int, noise: float, seed: int) -> list[str]:
    """One row a set of patients, one column a ROC-AUC."""
    rng = np.random.default_rng((seed, round(100 * noise)))
    lines = [
        "| patients | positive | " + " | ".join(f"ROC-AUC {area:g}" for area in AREAS) + " |",
        "|---" * (2 + len(AREAS)) + "|",
    ]
    for n, positive in SETS:
        said = [np.mean([drawn(rng, area, n, positive, noise) for _ in range(times)]) for area in AREAS]
        lines.append(f"| {n} | {100 * positive:.0f}% | " + " | ".join(f"{100 * share:.0f}%" for share in said) + " |")
    return lines


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--times", type=int, default=200)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "label-noise.md")
    given = asked.parse_args()
    parts = [HEAD.format(limit=Audit().label_noise, told=TOLD, times=given.times)]
    for title, noise in (("One label in ten is wrong", 0.1), ("All labels are right", 0.0)):
        parts += [f"## {title}\n", *table(given.times, noise, given.seed), ""]
    write_text(given.out, "\n".join(parts))
    print("\n".join(parts))


if __name__ == "__main__":
    main()
