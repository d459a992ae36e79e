"""What the page of a case shows: looked up at once, in one view of the records, and no more than the reader may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from insula.core.recipe_target import Target
from insula.report.case.record import CaseReport, ScanFacts, as_shown
from insula.serve import case
from insula.serve.api.predictions import predictions_of, visible_of_study, visible_prediction
from insula.serve.api.reviews import questions, reviews_for
from insula.serve.faults import RequestError
from insula.serve.jobs import predict_study, queue
from insula.serve.jobs.queue import Job
from insula.serve.models import choose
from insula.serve.pacs import arrived
from insula.serve.people.caller import Caller
from insula.serve.people.visible import studies_of
from insula.serve.service import Service
from insula.serve.store import review_queue, schema, studies
from insula.serve.store.patients import not_found
from insula.serve.store.predictions import StoredPrediction
from insula.serve.store.review_queue import Waiting
from insula.serve.store.reviews import Review
from insula.serve.store.said import sayer
from insula.serve.store.studies import Study, StudyFile

MOST_VERSIONS: Final = 50


class NotSeenError(RequestError):
    """There is no such study among those that the reader sees; whether there is one at all is not said."""


@dataclass(frozen=True)
class Question:
    """What a reader can answer. classes: none where any text may be given. several: whether labels stand together.

    said: class → what people read for it. agree: the class that agreeing means, where a prediction answers this
    question; None where there is nothing to agree with.
    implied: the class that each other one implies, "" where there is none.
    """

    name: str
    classes: tuple[str, ...]
    several: bool
    agree: str | None = None
    implied: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """One prediction as the page tells of it: the record of its report, labels above their thresholds, its model."""

    stored: StoredPrediction
    report: CaseReport
    labels: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Said:
    """A review, who wrote it, and its label as people read it."""

    review: Review
    reader: str
    label: str


@dataclass(frozen=True)
class CasePage:
    """All of a case. inside: whether the reader may change it, as a member of its project; opened_until: else.

    versions: the newest MOST_VERSIONS, each with its label as people read it; older: whether there are more.

    job: the newest prediction asked for, where it has not made the newest answer. names: of models that can be asked
    for one. next: the case to be read after this one. sent_by: the account that did, "" where it is gone.
    came_from: who sent it over the network, "" where an account did.
    """

    study: Study
    files: Sequence[StudyFile]
    sent_by: str
    came_from: str
    date: str
    scans: Sequence[ScanFacts]
    answered: Answered | None
    versions: Sequence[tuple[StoredPrediction, str]]
    older: bool
    said: Sequence[Said]
    questions: Sequence[Question]
    job: Job | None
    names: Sequence[str]
    roles: Sequence[str]
    next: Waiting | None
    inside: bool
    opened_until: datetime | None


def of_study(
    connection: Connection, service: Service, caller: Caller, study_id: str, prediction_id: str | None
) -> CasePage:
    """Look a case up, with the prediction that is named, else the newest.

    Raises NotSeenError for a study that the caller does not see, RequestError 404 for a prediction that is none of it.
    """
    try:
        study = studies.get(connection, study_id, studies_of(caller))
    except RequestError as error:
        raise NotSeenError(error.status, error.fault_code, str(error)) from error
    newest = visible_of_study(connection, caller, study_id, MOST_VERSIONS + 1)
    versions = newest[:MOST_VERSIONS]
    stored = _chosen(connection, caller, study_id, newest, prediction_id)
    answered = None if stored is None else _answered(connection, service, caller, stored)
    serving = choose.in_state(connection, *choose.ANSWERING)
    said = _reviews(connection, caller, study_id)
    asked = questions(connection, None if stored is None else stored.bundle_id)
    say = sayer(connection, {one.bundle_id for one in versions})
    names = {one: _name(connection, one) for one in {study.created_by, *(one.reviewer_id for one in said)}}
    return CasePage(
        study,
        studies.files_of(connection, study_id),
        names[study.created_by],
        arrived.source_of(connection, study_id) if study.created_by is None else "",
        case.date_in(study.facts),
        case.scans_in(study.facts),
        answered,
        [(one, say(one.bundle_id, one.label)) for one in versions],
        len(newest) > MOST_VERSIONS,
        [Said(one, names[one.reviewer_id], _label(one, asked)) for one in said],
        _questions(asked, stored),
        _job(connection, study_id, versions),
        list(dict.fromkeys(one.name for one in serving if one.state == "active")),
        sorted({role for one in serving for role in one.info["roles"]}),
        _next(connection, caller, study_id, stored) if caller.may("review.write") else None,
        study.project_id in caller.projects,
        _opened_until(connection, caller, study),
    )


def _chosen(
    connection: Connection, caller: Caller, study_id: str, newest: Sequence[StoredPrediction], wanted: str | None
) -> StoredPrediction | None:
    """The prediction that is named, which may be older than those that are listed, else the newest."""
    if wanted is None:
        return newest[0] if newest else None
    found = next((one for one in newest if one.id == wanted), None)
    if found is None:
        found = visible_prediction(connection, caller, wanted)
        if found.study_id != study_id:
            raise not_found("prediction of this study")
    return found


def _answered(connection: Connection, service: Service, caller: Caller, stored: StoredPrediction) -> Answered:
    facts = case.facts_of(connection, service, stored, pictures=False, reader_id=caller.reader_id)
    report = as_shown(case.report(facts, "en", None))
    labels = tuple(facts.recipe.target.say(name) for name in case.labels_of(facts))
    return Answered(stored, report, labels, facts.model.state)


def _reviews(connection: Connection, caller: Caller, study_id: str) -> Sequence[Review]:
    return reviews_for(connection, caller, study_id) if caller.may("review.read") else ()


def _label(review: Review, asked: Mapping[str, Target]) -> str:
    """What a reader answered, as people read it."""
    label, target = review.label or "", asked.get(review.target)
    return label.replace(";", "; ") if target is None else target.say(label)


def _questions(found: Mapping[str, Target], stored: StoredPrediction | None) -> Sequence[Question]:
    """The prediction's own question first, since that one can be agreed with."""
    own = "" if stored is None else str(stored.answer["target"])
    names = sorted(found, key=lambda name: name != own)
    return [
        Question(
            name,
            tuple(found[name].classes),
            found[name].kind == "multilabel",
            stored.label if stored is not None and name == own else None,
            found[name].positive if found[name].any_of_the_others else "",
            {one: found[name].say(one) for one in found[name].classes},
        )
        for name in names
    ]


def _job(connection: Connection, study_id: str, versions: Sequence[StoredPrediction]) -> Job | None:
    found = queue.of_study(connection, study_id, predict_study.KIND)
    if found is None or found.state == "done":
        return None
    newer = not versions or found.ended_at is None or found.ended_at >= versions[0].created_at
    return found if newer else None


def _next(connection: Connection, caller: Caller, study_id: str, stored: StoredPrediction | None) -> Waiting | None:
    """The case that the models are least sure of after this one; from the first again where this is the last."""
    after = None if stored is None else review_queue.After(stored.entropy, stored.seq)
    for place in (after, None) if after else (None,):
        for one in review_queue.first(connection, predictions_of(caller), place, 10):
            if one.study_id != study_id:
                return one
    return None


def _name(connection: Connection, user_id: str | None) -> str:
    users = schema.users.c
    row = connection.execute(select(users.name, users.full_name).where(users.id == (user_id or ""))).first()
    return "" if row is None else f"{row.full_name} ({row.name})" if row.full_name else str(row.name)


def _opened_until(connection: Connection, caller: Caller, study: Study) -> datetime | None:
    if study.project_id in caller.projects:
        return None
    glass = schema.glass.c
    mine = (glass.user_id == caller.user_id, glass.study_id == study.id)
    return connection.scalar(select(glass.ends_at).where(*mine).order_by(glass.ends_at.desc()).limit(1))


def series_of(job: Job | None) -> Mapping[str, Any] | None:
    """The choice that a job was left with where a study holds several series: `role`, and `series` by their numbers."""
    if job is None or not job.error or job.error.get("code") != "several_series" or "series" not in job.error:
        return None
    return {"role": job.error["role"], "series": job.error["series"]}
