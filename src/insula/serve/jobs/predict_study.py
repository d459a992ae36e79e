"""The job that predicts a study, with the model that answers and those that only run along."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from sqlalchemy import Connection

from insula.core import scratch
from insula.core.errors import InsulaError
from insula.infer import heatmap
from insula.serve import similar, view
from insula.serve.faults import RequestError
from insula.serve.fetched import Fetched, fetched
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled, GivenUpError, Handler, Progress, Write
from insula.serve.models.choose import SHADOW
from insula.serve.models.loaded import Loaded, Result
from insula.serve.models.pool import Pool
from insula.serve.monitor import metrics
from insula.serve.monitor.kept import monitored
from insula.serve.monitor.traces import span
from insula.serve.pacs import outbox
from insula.serve.people import user
from insula.serve.scans_of import by_scan, scans_of
from insula.serve.service import Service
from insula.serve.store import predictions, studies
from insula.serve.store.connect import reading
from insula.serve.store.files import Stored
from insula.serve.store.predictions import Made
from insula.serve.store.schema import now
from insula.serve.upload import mend

KIND: Final = "predict"
VIEW: Final = "view"  # the kind of artefact that pictures and maps are drawn from


@dataclass(frozen=True)
class Arm:
    """A model that is to predict a study. arm: `main` or `ab`, which is shown; `shadow`, which is not."""

    bundle_id: str
    name: str
    arm: str


@dataclass(frozen=True)
class _Predicted:
    arm: Arm
    loaded: Loaded
    result: Result
    milliseconds: float
    views: Mapping[str, Stored]
    features: Stored | None
    sources: Mapping[str, Sequence[str]]


def payload(
    arms: Sequence[Arm], series: Mapping[str, int] | Mapping[str, str], attributes: Mapping[str, str], spread: bool
) -> dict[str, Any]:
    """What the job is told. series: by role, the number or the UID of the one to take.

    To this may be added `send`, what is to be sent where (`pacs.outbox`).
    """
    return {
        "arms": [[one.bundle_id, one.name, one.arm] for one in arms],
        "series": dict(series),
        "attributes": dict(attributes),
        "uncertainty": spread,
    }


def handler(service: Service, load: Callable[[str], Loaded] | None = None) -> Handler:
    """The handler of these jobs. load: how a model comes by its bundle's id; out of the pool by default."""
    opened = load or of_pool(service.pool)

    def predict(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        arms = [Arm(*one) for one in job.payload["arms"]]
        report(0.05, "fetching the scans")
        with reading(service.records) as connection:
            study = studies.get(connection, str(job.study_id), None)
            named = studies.files_of(connection, study.id)
        if not named:
            raise RequestError(422, "no_scan", "The study has no files any more; send its scans again.")
        known = {**{k: str(v) for k, v in study.attributes.items()}, **job.payload["attributes"]}
        with scratch.folder() as home:
            files = fetched(service.files, named, home)
            done = []
            for number, arm in enumerate(arms):
                if cancelled():
                    raise GivenUpError
                report(0.2 + 0.7 * number / len(arms), "reading and predicting")
                with span("predict", model=arm.name, arm=arm.arm, attempt=job.attempts, files=len(named)):
                    done.append(_predicted(service, opened(arm.bundle_id), arm, files, known, job, home))
        report(0.95, "storing")
        return lambda connection: _store(service, connection, job, done)

    return predict


def of_pool(pool: Pool) -> Callable[[str], Loaded]:
    """A model of the pool by its bundle's id."""
    return pool.get


def _predicted(
    service: Service,
    loaded: Loaded,
    arm: Arm,
    files: Fetched,
    known: Mapping[str, str],
    job: Job,
    home: Path,
) -> _Predicted:
    recipe = loaded.bundle.recipe
    started = perf_counter()
    try:
        scans = scans_of(files.by_role, recipe, job.payload["series"])
        ask = (recipe.policy.refer.by,) if job.payload["uncertainty"] else ()
        result = loaded.study(scans, str(job.study_id), known, ask)
    except InsulaError as error:
        mend(error, home)
        raise
    took = 1000 * (perf_counter() - started)
    kept = {}
    for scan, heat in result.prediction.heatmaps.items():
        role, _, number = scan.partition(".")
        position = int(number or 1) - 1
        shown = view.of_scan(
            result.views[role][position],
            heat,
            result.prediction.classes,
            result.volumes[role][position],
            recipe.inputs[heatmap.role_of(scan)],
        )
        kept[scan] = service.files.put(io.BytesIO(view.pack(shown)), 1 << 30)
    features = similar.of_result(result, loaded.bundle)
    put = None if features is None else service.files.put(io.BytesIO(similar.pack(features)), 1 << 30)
    sources = {scan: [files.rows[path].id for path in paths] for scan, paths in by_scan(scans).items()}
    return _Predicted(arm, loaded, result, took, kept, put, sources)


def _store(service: Service, connection: Connection, job: Job, done: Sequence[_Predicted]) -> dict[str, Any]:
    made: dict[str, str] = {}
    for one in done:
        target = one.loaded.bundle.recipe.target
        facts = Made(
            one.arm.name,
            target.kind,
            target.positive_index,
            one.arm.arm,
            job.id,
            one.milliseconds,
            monitored(one.result.prediction, one.loaded.bundle),
        )
        name = predictions.store(connection, str(job.study_id), one.result.prediction, one.result.decision, facts)
        predictions.add_sources(connection, name, one.sources)
        for scan, stored in one.views.items():
            predictions.add_artefact(connection, service.files, name, VIEW, scan, stored, view.MEDIA)
        if one.features is not None:
            predictions.add_artefact(connection, service.files, name, similar.FEATURES, "", one.features, similar.MEDIA)
        made[one.arm.arm] = name
        action = one.result.decision.action
        metrics.observe_prediction(service.meter, one.arm.name, one.arm.arm, action, one.milliseconds / 1000)
    actor = "worker"
    if job.created_by:
        actor = user.find(connection, job.created_by).name
    shown = next((name for arm, name in made.items() if arm != SHADOW), "")
    service.tell(connection, actor, "prediction.create", shown, {"study": job.study_id, "job": job.id})
    for wanted in outbox.of_prediction(job.payload, shown, str(job.study_id), job.project_id) if shown else ():
        queue.put(connection, wanted, now())
    return {"prediction": shown}
