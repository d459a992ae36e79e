"""Searches with an objective that takes no time: a bowl whose lowest point is at lr 0.001 and the small encoder."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from tests.made_arrays import recipe

from insula.workflows import search_study
from insula.workflows.search_metric import METRICS
from insula.workflows.search_results import Search, of_study
from insula.workflows.search_run import Objective, run
from insula.workflows.search_space import Choices, Range

SPACE: dict[str, Range | Choices] = {
    "train.lr": Range(1e-5, 1e-1, log=True),
    "model.dropout": Range(0.0, 0.8),
    "model.encoder": Choices(("simple_cnn", "resnet18")),
}
SMALL: dict[str, Range | Choices] = {"train.slices": Range(1, 3, whole=True), "model.pool": Choices(("mean", "max"))}


def bowl(values: Mapping[str, Any]) -> float:
    lr, dropout = float(values["train.lr"]), float(values["model.dropout"])
    return float((math.log10(lr) + 3) ** 2 + 0.1 * dropout + (values["model.encoder"] == "resnet18"))


def objective(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
    return bowl(values)


def searched(
    store: str,
    total: int,
    judge: Objective = objective,
    *,
    space: Mapping[str, Range | Choices] = SPACE,
    kind: str = "random",
    pruner: str = "none",
    seed: int = 0,
    heartbeat: int = 1,
    grace: int = 3,
    say: Callable[[str], None] = lambda line: None,
) -> Search:
    """Search with a made objective and read the study."""
    draws = search_study.sampler(kind, space, seed)
    address = search_study.url(store, Path("."))
    prunes = search_study.pruner(pruner, 10)
    cases = {"train_cases": 20, "train_patients": 10, "val_cases": 8, "val_patients": 4}
    about = {"store": search_study.shown(address), "sampler": kind, "pruner": pruner, "seed": seed, "trials": total}
    with search_study.opened(
        address, "made", False, {"metric": "val_loss"}, draws, prunes, heartbeat=heartbeat, grace=grace
    ) as study:
        run(study, space, judge, total, grace=grace, say=say)
        return of_study(study, space, recipe(), METRICS["val_loss"], {**about, "cases": cases, "folds": 0})


def worker() -> None:
    """A worker that waits for as many as are wanted, then leaves a file in its folder for each trial that it begins.

    `python made_search.py STORE TOTAL KIND SECONDS FOLDER WORKERS`; SECONDS: how long a trial takes. A file
    `hold-N` beside the folder keeps trial N from ending.
    """
    store, total, kind, seconds, folder, workers = sys.argv[1:]
    place = Path(folder)
    (place.parent / f"{place.name}.ready").touch()
    while len(list(place.parent.glob("*.ready"))) < int(workers):
        time.sleep(0.01)

    def slow(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        (place / f"{trial.number}").touch()
        time.sleep(float(seconds))
        while (place.parent / f"hold-{trial.number}").exists():
            time.sleep(0.01)
        return bowl(values) if "train.lr" in values else float(values["train.slices"])

    space = SMALL if kind == "grid" else SPACE
    searched(store, int(total), slow, space=space, kind=kind)


if __name__ == "__main__":
    worker()
