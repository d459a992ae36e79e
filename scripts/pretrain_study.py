"""Does pretraining without labels help on real scans? Patient folds of a folder of head CT pictures, with and without.

For each seed and fold an encoder is pretrained on the slices of the fold's training patients alone; then a network is
trained from random weights (`none`) or from that encoder, and predicts the patients that neither has seen. A patient's
score is the mean over the slices. With --labelled below 1 only that share of the training patients keeps its labels,
while pretraining still sees the slices of all of them.

Every step is kept under --out and skipped when it is there: a run that was stopped goes on by the same command.
    .venv/bin/python scripts/pretrain_study.py ../shared/data/stroke_ct --out runs/pretrain
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from insula.cohort.index import index
from insula.cohort.split import folds
from insula.core import recipe as recipes
from insula.core.provenance import record, write_json
from insula.core.recipe import Recipe
from insula.core.recipe_pretrain import Pretrain
from insula.core.types import Cohort
from insula.metrics.compare import delong, delong_interval
from insula.prep.cache import Prepared, build_all
from insula.train.fit import fit
from insula.train.pretrain import pretrain
from insula.train.pretrain_record import WEIGHTS
from insula.train.run import Run

ARMS = ("none", "vicreg", "masked")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15, help="of training")
    parser.add_argument("--pretrain-epochs", type=int, default=30)
    parser.add_argument("--labelled", type=float, default=1.0, help="share of training patients that keep their labels")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--most", type=int, default=0, help="slices a patient, for a quick check; 0 takes all")
    parser.add_argument("--accelerator", default="auto")
    return parser.parse_args()


def question(o: argparse.Namespace, seed: int, start: str = "false") -> Recipe:
    """The stroke recipe at a small size."""
    return recipes.load(
        "stroke-ct",
        (
            f"inputs.ct.prep=[{{windows: {{value: [[40, 80]], pictures: as_shown}}}}, {{resize: {o.size}}}]",
            f"model.encoder={o.encoder}",
            f"model.pretrained={start}",
            f"train.epochs={o.epochs}",
            f"seed={seed}",
        ),
    )


def fewer_slices(cohort: Cohort, most: int) -> Cohort:
    """At most so many cases of each patient, evenly spaced in their order."""
    of: dict[str, list[int]] = {}
    for i, case in enumerate(cohort.cases):
        of.setdefault(case.patient, []).append(i)
    keep = {rows[j] for rows in of.values() for j in np.unique(np.linspace(0, len(rows) - 1, most).astype(int))}
    return replace(cohort, cases=tuple(c for i, c in enumerate(cohort.cases) if i in keep))


def fewer_labels(cohort: Cohort, target: str, share: float, seed: int) -> Cohort:
    """The cohort with a share of each class's training patients still in the train split; the others leave it."""
    draw = np.random.default_rng((seed, 7))
    of: dict[str, set[str]] = {}
    for case in cohort.of_split("train"):
        of.setdefault("+".join(case.labels[target]), set()).add(case.patient)
    kept: set[str] = set()
    for patients in of.values():
        count = max(1, round(share * len(patients)))
        kept |= set(draw.permutation(sorted(patients))[:count].tolist())
    return replace(
        cohort,
        cases=tuple(replace(c, split="") if c.split == "train" and c.patient not in kept else c for c in cohort.cases),
    )


@torch.no_grad()
def predict(run: Run, cohort: Cohort, recipe: Recipe, prepared: Prepared) -> dict[str, dict[str, float]]:
    """Of each test patient the mean probability over the slices (`score`) and the label (`y`)."""
    found: dict[str, list[float]] = {}
    truth: dict[str, float] = {}
    role, positive = recipe.role, recipe.target.classes[recipe.target.positive_index]
    for case in cohort.of_split("test"):
        for offset, count in prepared.bags(case):
            x = torch.from_numpy(np.array(prepared.slices[offset : offset + count])).unsqueeze(1)
            columns = run.network({role: x}, {role: torch.ones(count, 1, 1)})[:, recipe.columns(recipe.target_name)]
            p = torch.softmax(columns, 1)[:, recipe.target.positive_index]
            found.setdefault(case.patient, []).extend(p.tolist())
        truth[case.patient] = float(positive in case.labels[recipe.target_name])
    return {patient: {"score": float(np.mean(p)), "y": truth[patient]} for patient, p in found.items()}


def one(o: argparse.Namespace, cohort: Cohort, prepared: Prepared, seed: int, fold: int, arm: str) -> None:
    """One network of one seed and fold, pretrained or not."""
    home = o.out / f"seed-{seed}" / f"fold-{fold}" / arm
    result = home / "test.json"
    if result.is_file():
        return
    start = "false"
    if arm != "none":
        before = home / "pretrain"
        if not (before / WEIGHTS).is_file():
            begun = (before / "recipe.yaml").is_file()
            section = Pretrain.model_validate({"method": arm, "epochs": o.pretrain_epochs})
            pretrain(
                cohort,
                question(o, seed),
                section,
                before,
                o.out / "cache",
                prepared=prepared,
                resume=begun,
                say=lambda line: print(line, flush=True),
                accelerator=o.accelerator,
            )
        start = str(before / WEIGHTS)
    recipe = question(o, seed, start)
    begun = (home / "recipe.yaml").is_file()
    run = fit(
        cohort, recipe, home, o.out / "cache", prepared={recipe.role: prepared}, resume=begun, accelerator=o.accelerator
    )
    write_json(result, {"arm": arm, "seed": seed, "fold": fold, "patients": predict(run, cohort, recipe, prepared)})


def scores(o: argparse.Namespace, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (patients,) and scores (seeds, patients) of one arm, patients in order."""
    rows, truth = [], {}
    for seed in range(o.seeds):
        found: dict[str, float] = {}
        for fold in range(o.folds):
            path = o.out / f"seed-{seed}" / f"fold-{fold}" / arm / "test.json"
            for patient, of in json.loads(path.read_text(encoding="utf-8"))["patients"].items():
                found[patient], truth[patient] = of["score"], of["y"]
        rows.append([found[p] for p in sorted(found)])
    return np.array([truth[p] for p in sorted(truth)]), np.array(rows)


def table(o: argparse.Namespace) -> tuple[list[str], dict[str, object]]:
    """The lines of the result, and its figures."""
    y, plain = scores(o, "none") if "none" in o.arms else (np.zeros(0), np.zeros(0))
    lines = [
        "| start | AUC of each seed | AUC of the mean score | minus no pretraining | p |",
        "|---|---|---|---|---|",
    ]
    figures: dict[str, object] = {}
    for arm in o.arms:
        y, p = scores(o, arm)
        single = [delong_interval(y, row).value for row in p]
        whole = delong_interval(y, p.mean(0))
        cells = [arm, " ".join(f"{v:.3f}" for v in single), f"{whole.value:.3f} {ends(whole.interval)}", "", ""]
        figures[arm] = {"seeds": single, "auc": whole.value, "interval": whole.interval}
        if arm != "none" and "none" in o.arms:
            gap = delong(y, p.mean(0), plain.mean(0))
            cells[3:] = [f"{gap.difference.value:+.3f} {ends(gap.difference.interval, '+')}", f"{gap.p_value:.3f}"]
            figures[arm] |= {"difference": gap.difference.value, "difference_interval": gap.difference.interval}  # type: ignore[operator]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append(f"\n{len(y)} patients, {int(y.sum())} positive; intervals and p by DeLong over patients.")
    return lines, figures


def ends(interval: Sequence[float] | None, sign: str = "") -> str:
    """An interval in brackets."""
    return "(no interval)" if interval is None else f"[{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"


def main() -> None:
    """Run what is missing, then print the table."""
    o = options()
    base = question(o, 0)
    cohort = index(o.folder, base)
    if o.most:
        cohort = fewer_slices(cohort, o.most)
    prepared = build_all(cohort.cases, Path(cohort.root), base, o.out / "cache")[base.role]
    for seed in range(o.seeds):
        for fold, split in enumerate(folds(cohort, question(o, seed), o.folds)):
            part = fewer_labels(split, base.target_name, o.labelled, seed) if o.labelled < 1 else split
            for arm in o.arms:
                one(o, part, prepared, seed, fold, arm)
                print(f"seed {seed}, fold {fold}, {arm}: done", flush=True)
    lines, figures = table(o)
    print("\n".join(lines))
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(o).items()}
    write_json(o.out / "study.json", record(settings=settings, figures=figures))


if __name__ == "__main__":
    main()
