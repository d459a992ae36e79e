"""Training runs as their folders below INSULA_RUNS show them; nothing here begins, stops or changes one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter

from insula.serve.api.guard import Acting, Routes
from insula.serve.api.shapes_training import TrainingEpoch, TrainingRun, TrainingRuns
from insula.serve.faults import RequestError
from insula.serve.service import Service
from insula.serve.store.schema import now
from insula.serve.training import find, read
from insula.serve.training.read import Run

MOST: Final = 100
_FACTS: Final = ("machine", "precision", "processes", "train_inputs", "val_inputs", "start", "insula", "created")


def routes(service: Service) -> APIRouter:
    """`/training`."""
    made = Routes(service, "/api/v1/training", "training")

    @made.get("", "model.manage", quiet=True)
    def listed(acting: Acting) -> TrainingRuns:
        """The training runs below INSULA_RUNS, the latest first, at most 100; without their curves."""
        found, count = runs(service)
        return TrainingRuns(items=[shown(one, curve=False) for one in found], count=count)

    @made.get("/{run:path}", "model.manage", quiet=True)
    def one(acting: Acting, run: str) -> TrainingRun:
        """One training run with its curves: how far it is, its best epoch, and for how long it will go on at most."""
        return shown(of_name(service, run))

    return made.router


def runs(service: Service) -> tuple[list[Run], int]:
    """The latest runs, and how many there are in all."""
    home = service.settings.runs
    if home is None or not home.is_dir():
        return [], 0
    names = find.names(home)
    made = []
    for name in names[:MOST]:
        try:
            made.append(read.read(home, name, now()))
        except (RequestError, OSError):  # it was taken away meanwhile
            continue
    return made, len(names)


def of_name(service: Service, name: str) -> Run:
    """A run by its name. Raises RequestError 404 for one that is not there, or where INSULA_RUNS names no folder."""
    home = service.settings.runs
    if home is None:
        raise RequestError(404, "no_runs_folder", "INSULA_RUNS names no folder, so that no training run can be seen.")
    try:
        return read.read(home, name, now())
    except OSError as error:
        raise RequestError(404, "no_such_run", "The files of this run can no longer be read; see the list.") from error


def shown(run: Run, curve: bool = True) -> TrainingRun:
    """A run as the API says it."""
    best = run.best
    return TrainingRun(
        name=run.name,
        kind=run.kind,
        state=run.state,
        recipe=run.recipe,
        question=run.question,
        begun_at=run.begun,
        last_at=run.last,
        done=run.done,
        most=run.most,
        best_epoch=best.number if best else None,
        best_loss=best.values["val_loss"] if best else None,
        patience=run.patience,
        since_best=run.since_best,
        seconds_per_epoch=run.seconds,
        seconds_left=run.seconds_left,
        faults=list(run.faults),
        facts={key: str(run.facts[key])[:300] for key in _FACTS if run.facts.get(key) is not None},
        curve=[_epoch(one.number, one.values) for one in run.epochs] if curve else [],
    )


def _epoch(number: int, values: Mapping[str, float]) -> TrainingEpoch:
    return TrainingEpoch(epoch=number, values={k: v if math.isfinite(v) else None for k, v in values.items()})
