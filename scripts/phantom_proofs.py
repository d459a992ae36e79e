"""Do the parts of a network do what they are there for? Proofs on made patients whose truth is known.

    pooling  one slice of thirty carries the lesion: attention against mean (max and transformer beside them)
    fusion   the class needs CT and MR: both against each alone, and both with one missing
    stage    an ordinal and a Cox head: quadratic kappa and C-index
    rare     a class of 5%: focal loss and class weights against plain cross-entropy

Each proof is kept under --work and the page is written from what is kept; --only makes chosen ones anew.
    .venv/bin/python scripts/phantom_proofs.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import proof_cohorts as cohorts  # noqa: E402
from scripts.proof_cohorts import Made  # noqa: E402
from scripts.proof_page import page  # noqa: E402

from insula.core import recipe as recipes  # noqa: E402
from insula.core.provenance import record, write_json, write_text  # noqa: E402
from insula.core.recipe import Recipe  # noqa: E402
from insula.core.types import Prediction, Split  # noqa: E402
from insula.export.finish import finish  # noqa: E402
from insula.infer.predict import Predictor  # noqa: E402
from insula.metrics import classification as cl  # noqa: E402
from insula.metrics import ordinal, survival  # noqa: E402
from insula.metrics.compare import Comparison, delong, delong_interval, holm, paired_bootstrap  # noqa: E402
from insula.metrics.intervals import Figure  # noqa: E402
from insula.metrics.resample import figure  # noqa: E402
from insula.train.fit import fit  # noqa: E402
from insula.train.run import Run  # noqa: E402

Values = NDArray[np.float64]
Told = dict[str, Any]
POOLS = ("mean", "max", "attention", "transformer")
RATES = (0.0003, 0.001, 0.003)
FAINT = 0.75  # of the haemorrhage's own contrast: with all of it a mean over thirty slices finds it too
# mirroring alone: a faint lesion on pictures of 24² does not outlast what moves and brightens them
MIRRORED = {"moved": 0.0, "brightness": 0.0, "contrast": 0.0, "noise": 0.0}
LOSSES = {
    "plain": {"class_weights": False, "focal": 0.0},
    "focal": {"class_weights": False, "focal": 2.0},
    "weights": {"class_weights": True, "focal": 0.0},
    "both": {"class_weights": True, "focal": 2.0},
}
CT_PREP: list[Any] = ["remove_skull", "crop_to_head", {"windows": [[40, 80]]}]
BLEED = {"bleed": {"kind": "binary", "classes": list(cohorts.CLASSES)}}


def pooling(work: Path, seed: int = 0) -> Told:
    """Each pool on the same patients, each at the learning rate of three that its validation loss prefers."""
    base = ct_recipe("one-slice-of-thirty", 24, epochs=60, batch=4)
    counts: dict[Split, int] = {"train": 160, "val": 60, "test": 160}
    made = cohorts.one_slice(base, counts, seed, FAINT)
    y = np.array([case.labels["bleed"] == ("yes",) for case in made.test])
    told: Told = {"counts": counts, "slices": cohorts.THIRTY, "strength": FAINT, "rates": RATES, "pools": {}}
    scores: dict[str, Values] = {}
    for pool in POOLS:
        model = {"pool": pool, "dropout": 0.0}
        runs = {
            lr: trained(made, base, work / f"{pool}-{lr:g}", model=model, train={"lr": lr, "augment": MIRRORED})
            for lr in RATES
        }
        lr, run = min(runs.items(), key=lambda one: one[1].best_loss)
        scores[pool] = of_class([p.probabilities for p in answers(run, made)], 1)
        told["pools"][pool] = said(delong_interval(y, scores[pool])) | {"val_loss": run.best_loss, "lr": lr}
    for other in ("mean", "max", "transformer"):
        told[f"attention minus {other}"] = compared(delong(y, scores["attention"], scores[other]))
    return told


def fusion(work: Path, seed: int = 0) -> Told:
    """Both roles against each alone on the same patients, then both with one role taken away at prediction."""
    recipe = recipes.parse(
        {
            "name": "both-modalities",
            "question": "Is this made tumour malignant?",
            "seed": seed,
            "inputs": {
                "mri": {"modality": "MR", "prep": ["crop_to_head", {"percentile": [1, 99]}, {"resize": 40}]},
                "ct": {"modality": "CT", "prep": [*CT_PREP[:2], {"windows": [[40, 80], [100, 200]]}, {"resize": 40}]},
            },
            "targets": {
                "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "malignant"}
            },
            "model": {"encoder": "simple_cnn", "pool": "max", "features": 64},
            "train": {"epochs": 50, "batch": 8, "lr": 0.003, "patience": 50},
        },
        "fusion",
    )
    made = cohorts.both(recipe, work / "phantom", 600, seed)
    y = np.array([case.labels["tumour"] == ("malignant",) for case in made.test])
    truth = np.array([recipe.target.classes.index(case.labels["tumour"][0]) for case in made.test])
    asked = {"both": recipe, **{role: recipe.only(role) for role in recipe.inputs}}
    runs = {name: trained(made, one, work / name) for name, one in asked.items()}
    found = {name: answers(run, made) for name, run in runs.items()}
    found |= {f"both, {role} alone there": answers(runs["both"], made, (role,)) for role in recipe.inputs}
    p = {name: of_class([a.probabilities for a in one], 2) for name, one in found.items()}
    told: Told = {"counts": {s: len(made.cohort.of_split(s)) for s in ("train", "val", "test")}, "models": {}}
    for name, one in found.items():
        called = np.array([a.probabilities.argmax() for a in one])
        told["models"][name] = {"auc": said(delong_interval(y, p[name])), "accuracy": said(share(called == truth))}
    alone = [delong(y, p["both"], p[role]) for role in recipe.inputs]
    for role, gap, level in zip(recipe.inputs, alone, holm([c.p_value for c in alone]), strict=True):
        told[f"both minus {role}"] = compared(gap) | {"p_holm": level}
        told[f"both without the other minus {role}"] = compared(delong(y, p[f"both, {role} alone there"], p[role]))
    return told


def stage(work: Path, seed: int = 0) -> Told:
    """One network with an ordinal head and two Cox heads, for the phantom's own times and for steeper ones."""
    recipe = recipes.parse(
        {
            "name": "stage-and-survival",
            "question": "Of which stage is this made tumour, and at what risk is the patient?",
            "seed": seed,
            "inputs": {"mri": {"modality": "MR", "prep": ["crop_to_head", {"percentile": [1, 99]}, {"resize": 64}]}},
            "targets": {
                "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "malignant"},
                "stage": {"kind": "ordinal", "classes": ["I", "II", "III", "IV"]},
                "own": {"kind": "survival", "time": "survival_days", "event": "death"},
                "steep": {"kind": "survival", "time": "days", "event": "dead"},
            },
            "model": {"encoder": "simple_cnn", "pool": "max"},
            "train": {"epochs": 60, "batch": 16, "lr": 0.003, "patience": 60},
        },
        "stage",
    )
    made = cohorts.outcomes(recipe, work / "phantom", 960, seed)
    run = trained(made, recipe, work / "run")
    found = {a.case: a for a in answers(run, made)}
    ill = [case for case in made.test if case.labels["tumour"] != ("healthy",)]
    classes = recipe.targets["stage"].classes
    true = np.array([classes.index(case.attributes["stage"]) for case in ill])
    called = np.array([found[case.key].also["stage"].values.argmax() for case in ill])
    keys = [case.patient for case in ill]
    told: Told = {
        "counts": {s: len(made.cohort.of_split(s)) for s in ("train", "val", "test")},
        "kappa": said(
            figure(
                "kappa_quadratic",
                lambda w: ordinal.quadratic_kappa(cl.confusion(true, called, len(classes), w)),
                keys,
                len(ill),
                "one class",
            )
        ),
        "confusion": cl.confusion(true, called, len(classes), cl.once(len(ill)))[0].astype(int).tolist(),
    }
    for name, column in (("own", "log_hazard"), ("steep", "steep_hazard")):
        target = recipe.targets[name]
        when = np.array([float(case.attributes[target.time]) for case in ill])
        event = np.array([case.attributes[target.event] == "1" for case in ill])
        risks = {
            "c": np.array([float(found[case.key].also[name].values[0]) for case in ill]),
            "ceiling": np.array([float(case.attributes[column]) for case in ill]),
        }
        told[name] = {"events": int(event.sum())}
        for key, risk in risks.items():
            told[name][key] = said(
                figure(
                    "c_index",
                    lambda w, r=risk, t=when, e=event: survival.concordance(t, e, r, w),  # type: ignore[misc]
                    keys,
                    int(event.sum()),
                    "no pair",
                )
            )
    return told


def rare(work: Path, seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> Told:
    """Recall of a class of 5%, called where it has the larger probability, with three losses and the same seeds."""
    base = ct_recipe("one-in-twenty", 32, epochs=30, batch=16)
    counts: dict[Split, int] = {"train": 500, "val": 160, "test": 240}
    made = cohorts.rare(base, counts, 0, 0.05)
    y = np.array([case.labels["bleed"] == ("yes",) for case in made.test])
    keys = [case.patient for case in made.test]
    called: dict[str, NDArray[np.bool_]] = {}
    for name, section in LOSSES.items():
        runs = [
            trained(made, base.model_copy(update={"seed": s}), work / f"{name}-{s}", train={"lr": 0.003, **section})
            for s in seeds
        ]
        called[name] = np.stack([columns(run, made)[:, 1] > columns(run, made)[:, 0] for run in runs])
    told: Told = {"counts": counts, "share": 0.05, "seeds": list(seeds), "losses": {}}
    for name, hits in called.items():
        told["losses"][name] = {
            "recall": said(figure("recall", rate(hits, y), keys, int(y.sum()), "no positive")),
            "specificity": said(figure("specificity of all seeds", rate(~hits, ~y), keys, int(y.sum()), "none")),
            "recalls": [float(h[y].mean()) for h in hits],
        }
    gaps = {n: paired_bootstrap(rate(called[n], y), rate(called["plain"], y), keys, int(y.sum())) for n in LOSSES}
    changed = [name for name in LOSSES if name != "plain"]
    for name, level in zip(changed, holm([gaps[name].p_value for name in changed]), strict=True):
        told[f"{name} minus plain"] = compared(gaps[name]) | {"p_holm": level}
    return told


def ct_recipe(name: str, side: int, **section: Any) -> Recipe:
    """A question about haemorrhage on brain windows without the skull."""
    return recipes.parse(
        {
            "name": name,
            "question": "Is there a haemorrhage on this made CT?",
            "inputs": {"ct": {"modality": "CT", "prep": [*CT_PREP, {"resize": side}]}},
            "targets": BLEED,
            "model": {"encoder": "simple_cnn"},
            "train": {"patience": section["epochs"], **section},
        },
        name,
    )


def trained(made: Made, recipe: Recipe, folder: Path, **changes: dict[str, Any]) -> Run:
    """A run of the recipe with some keys of its sections changed; an earlier one in the folder is removed."""
    for section, keys in changes.items():
        whole = getattr(recipe, section).model_dump() | keys
        recipe = recipe.model_copy(update={section: type(getattr(recipe, section)).model_validate(whole)})
    shutil.rmtree(folder, ignore_errors=True)
    prepared = {role: made.prepared[role] for role in recipe.inputs}
    begun = time.process_time()
    run = fit(made.cohort, recipe, folder, folder, prepared=prepared, accelerator="cpu")
    print(
        f"{folder.name}: {run.epochs} epochs, validation loss {run.best_loss:.4f}, {time.process_time() - begun:.0f} s"
    )
    return run


def answers(run: Run, made: Made, roles: Sequence[str] = ()) -> list[Prediction]:
    """What the run's exported bundle says of each test case, of these roles alone where some are named."""
    folder = run.folder / "bundle"
    if not folder.is_dir():
        finish(run, made.cohort, folder)
    from insula.bundle.load import load

    predictor = Predictor(load(folder), threads=1)
    found = []
    for case in made.test:
        views = {r: made.prepared[r].arrays(case) for r in roles or run.recipe.inputs}
        found.append(predictor.from_slices(views, case.key, attributes=case.attributes))
    return found


@torch.no_grad()
def columns(run: Run, made: Made) -> Values:
    """The network's columns (n, K) for test cases of one slice, in evaluation mode."""
    role = run.recipe.role
    x = torch.from_numpy(np.stack([made.prepared[role].arrays(case)[0] for case in made.test]))
    found: Values = run.network({role: x}, {role: torch.ones(len(x), 1, 1)}).double().numpy()
    return found


def of_class(rows: Sequence[NDArray[np.float32]], index: int) -> Values:
    """One class's probability of each case."""
    return np.array([float(p[index]) for p in rows])


def rate(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Callable[[Values], Values]:
    """The share of hits (seeds, n) among some rows, averaged over the seeds, for weights (R, n)."""
    mean = hits.mean(0) * among
    return lambda w: cl.ratio(w @ mean, w @ among.astype(float))


def share(right: NDArray[np.bool_]) -> Figure:
    """A share of cases, one a patient."""
    return figure("accuracy", lambda w: cl.ratio(w @ right.astype(float), w.sum(1)), np.arange(len(right)), 0, "none")


def said(found: Figure) -> Told:
    """A figure as it is kept."""
    return {"value": found.value, "interval": found.interval, "method": found.method, "reason": found.reason}


def compared(found: Comparison) -> Told:
    """A comparison as it is kept."""
    return said(found.difference) | {"p": found.p_value, "method": found.method}


PROOFS: Mapping[str, Callable[[Path], Told]] = {
    "pooling": pooling,
    "fusion": fusion,
    "stage": stage,
    "rare": rare,
}


def main() -> None:
    """Make the proofs that are asked for and write the page of all that are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PROOFS), default=list(PROOFS))
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "phantom-proofs")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "phantom-proofs.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        begun = time.process_time()
        told = PROOFS[name](options.work / name)
        told["cpu_seconds"] = round(time.process_time() - begun)
        write_json(options.work / f"{name}.json", record(figures=told))
    kept = {
        n: json.loads(f.read_text(encoding="utf-8"))["figures"]
        for n in PROOFS
        if (f := options.work / f"{n}.json").is_file()
    }
    if len(kept) == len(PROOFS):
        write_text(options.out, page(kept))


if __name__ == "__main__":
    main()
