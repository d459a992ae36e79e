"""How far the studies of a work item are in the records: taken, predicted, sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from insula.serve.jobs import predict_study
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.reidentify import read_identity
from insula.serve.pacs.rules import Rules
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.task import Output, TaskError
from insula.serve.store import predictions, schema

_AT_WORK: Final = ("waiting", "running")


@dataclass(frozen=True)
class Predicted:
    """One prediction that was made. peers: that the rules send it to; objects: as what, as the model's rules say."""

    prediction: str
    study_id: str
    project_id: str
    peers: tuple[str, ...]
    objects: tuple[str, ...]


def predicted(connection: Connection, rules: Rules, pacs_studies: Sequence[str]) -> tuple[float, list[Predicted]]:
    """How much of the predicting is done (0 to 1), and the predictions once it is.

    Raises TaskError for a study that no rule takes or that cannot be predicted.
    """
    shares, done = [], []
    for name in pacs_studies:
        share, found = _of_study(connection, rules, name)
        shares.append(share)
        done += found
    whole = sum(shares) / len(shares) if shares else 0.0
    if whole >= 1.0 and not done:
        raise TaskError("The node's rules predict nothing of this input.")
    return whole, done if whole >= 1.0 else []


def sent(connection: Connection, keys: Collection[str]) -> bool:
    """Whether all these jobs have sent what they were to. Raises TaskError for one that has failed for good."""
    jobs = schema.jobs.c
    rows = connection.execute(select(jobs.state, jobs.error).where(jobs.unique_key.in_(sorted(keys)))).all()
    for row in rows:
        if row.state not in ("done", *_AT_WORK):
            raise TaskError(f"The results could not be delivered ({_code(row.error)}).")
    return len(rows) == len(keys) and all(row.state == "done" for row in rows)


def outputs(connection: Connection, settings: PacsSettings, made: Collection[str]) -> list[Output]:
    """The objects of some predictions, under the UIDs that their receiver has them by."""
    found = []
    table = schema.pacs_objects
    for name in made:
        study = predictions.get(connection, name, None).study_id
        identity = read_identity(connection, seal_of(settings), study)
        these = (table.c.prediction_id == name, table.c.review_id.is_(None))
        for row in connection.execute(select(table).where(*these).order_by(table.c.seq)):
            true = [row.study_uid, row.series_uid, row.sop_instance_uid]
            if identity is not None:
                true = [identity.uid(uid) for uid in true]
            found.append(Output(true[0], true[1], row.sop_class_uid, true[2]))
    return found


def _of_study(connection: Connection, rules: Rules, name: str) -> tuple[float, list[Predicted]]:
    table = schema.pacs_studies
    study = connection.execute(select(table).where(table.c.id == name)).first()
    if study is None:
        raise TaskError("The input was erased here.")
    if study.state == "unrouted":
        raise TaskError("No rule of the node takes this input.")
    if study.state == "failed":
        raise TaskError(f"The input cannot be taken ({_code(study.error)}).")
    if study.state != "taken":
        return 0.0, []
    jobs = _newest(connection, name)
    for job in jobs:
        if job.state not in ("done", *_AT_WORK):
            raise TaskError(f"The input cannot be predicted ({_code(job.error)}).")
    if not all(job.state == "done" for job in jobs):
        return min(0.99, sum(1.0 if job.state == "done" else job.progress for job in jobs) / len(jobs)), []
    return 1.0, [_predicted(job, rules) for job in jobs if job.result and job.result.get("prediction")]


def _predicted(job: Row[Any], rules: Rules) -> Predicted:
    model = str(job.payload["arms"][0][1])
    objects = dict.fromkeys(kind for rule in rules.rules if rule.model == model for kind in rule.objects)
    peers = tuple((job.payload.get("send") or {}).get("peers", ()))
    return Predicted(str(job.result["prediction"]), job.study_id, job.project_id, peers, tuple(objects))


def _newest(connection: Connection, pacs_study: str) -> list[Row[Any]]:
    """The last job of each model that was asked about a study, those that were replaced aside."""
    jobs = schema.jobs
    mine = jobs.c.unique_key.startswith(f"pacs-predict-{pacs_study}-", autoescape=True)
    wanted = select(jobs).where(jobs.c.kind == predict_study.KIND, mine, jobs.c.state != "cancelled")
    found: dict[str, Row[Any]] = {}
    for row in connection.execute(wanted.order_by(jobs.c.seq)):
        found[str(row.payload["arms"][0][1])] = row
    return list(found.values())


def _code(error: Mapping[str, Any] | None) -> str:
    """Why, in one word: an error's message may speak of the study."""
    return str((error or {}).get("code", "unknown"))[:60]
