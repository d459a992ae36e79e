"""One case out of the records: what its report and its summary are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection

from insula import __version__
from insula.core.recipe import Recipe, Target
from insula.core.types import Action, Decision, Prediction
from insula.infer import heatmap
from insula.report.case import meaning, pictures
from insula.report.case.record import (
    CaseReport,
    ClassRow,
    Further,
    Given,
    Language,
    Measured,
    ModelFacts,
    Patient,
    Review,
    ScanFacts,
    Study,
    Summary,
    Value,
)
from insula.serve import view
from insula.serve.faults import RequestError
from insula.serve.jobs.predict_study import VIEW
from insula.serve.models import choose
from insula.serve.narrative.record import CaseRecord, Hottest, Reviewed, Scanned
from insula.serve.narrative.written import in_words, record_of
from insula.serve.people.user import User, find
from insula.serve.service import Service
from insula.serve.store import predictions, reviews, studies
from insula.serve.store.predictions import StoredPrediction
from insula.serve.store.reviews import Review as Read
from insula.serve.store.schema import now
from insula.serve.view import View

_TOP = 3
_VERDICTS = {"agree": "agree", "override": "disagree", "cannot_tell": "undecided"}


@dataclass(frozen=True)
class CaseFacts:
    """All rows that tell of one prediction. readers: id → log-in and full name. The model need not be loaded."""

    prediction: StoredPrediction
    study: studies.Study
    model: choose.Model
    recipe: Recipe
    reviews: tuple[Read, ...]
    views: Mapping[str, View]
    readers: Mapping[str, tuple[str, str]]


def facts_of(
    connection: Connection,
    service: Service,
    prediction: StoredPrediction,
    pictures: bool = True,
    reader_id: str | None = None,
) -> CaseFacts:
    """Look everything up, without views where no pictures are wanted, which takes a fraction of the time.

    reader_id: of somebody who reads studies himself (`Caller.reader_id`) and is shown no other's review before an own
    one; None for whoever does not. Raises RequestError 404 for a model that is not registered any more, 409 for one
    whose recipe this version does not read.
    """
    model = choose.get(connection, prediction.bundle_id)
    if (recipe := choose.recipe_or_none(model)) is None:
        raise RequestError(
            409,
            "unread_recipe",
            f"The recipe of the model '{model.name}', which gave this answer, cannot be read by this version; an "
            "administrator registers its bundle anew, or the study is predicted by another model.",
        )
    every = reviews.history if reader_id is None else partial(reviews.shown, reader_id=reader_id)
    said = tuple(one for one in every(connection, prediction.study_id) if one.replaced_by is None)
    kept = [a for a in predictions.artefacts_of(connection, prediction.id) if a.kind == VIEW]
    return CaseFacts(
        prediction,
        studies.get(connection, prediction.study_id, None),
        model,
        recipe,
        tuple(one for one in said if one.prediction_id in (None, prediction.id)),
        {one.role: view.unpack(service.files.get(one.sha256)) for one in kept if pictures},
        {reader: _names(find(connection, reader)) for reader in {one.reviewer_id for one in said} if reader},
    )


def record(facts: CaseFacts) -> CaseRecord:
    """The facts for a summary: closed values, and nothing that names the patient."""
    answer, recipe = facts.prediction.answer, facts.recipe
    rejected = facts.prediction.action == "reject"
    name = recipe.target.positive if rejected else heatmap.class_of(recipe.target, facts.prediction.label)
    scans = [
        Scanned(scan, recipe.inputs[heatmap.role_of(scan)].modality, len(one.slices))
        for scan, one in facts.views.items()
    ]
    hottest = [
        Hottest(scan, name, tuple(n + 1 for n in top))
        for scan, one in facts.views.items()
        if name in one.classes and (top := view.top(one, name, _TOP))
    ]
    said = [
        Reviewed(cast(Any, _VERDICTS[one.verdict]))
        for one in facts.reviews
        if one.target == recipe.target_name and one.verdict in _VERDICTS
    ]
    made = record_of(
        answer,
        recipe,
        kinds=answer.get("kinds", ()),
        scans=scans,
        hottest=() if rejected else hottest,
        labels=labels_of(facts),
        reviews=said,
        notes=(facts.study.note,) if facts.study.note else (),
    )
    return in_words(made, recipe)


def report(facts: CaseFacts, language: Language, summary: Summary | None) -> CaseReport:
    """The report of the case, as it is now."""
    recipe, stored = facts.recipe, facts.prediction
    figures = tuple(_measured(facts.model.info["figures"]))
    answered = [one for one in facts.reviews if one.target == recipe.target_name]  # not a further target
    said = answered[-1] if answered else None
    return CaseReport(
        id=stored.id,
        made_at=now(),
        patient=Patient(facts.study.patient_id, facts.study.patient_name, facts.study.patient_key),
        study=Study(facts.study.title, date_in(facts.study.facts), tuple(scans_in(facts.study.facts))),
        question=recipe.question,
        answer=_given(facts),
        model=ModelFacts(
            stored.model_name,
            stored.bundle_id,
            recipe.model.encoder,
            __version__,
            figures,
            "the test patients of its evaluation" if figures else "",
        ),
        language=language,
        pictures=_pictures(facts),
        prevalences=meaning.at_prevalences(figures, recipe.policy.prevalences),
        further=tuple(_further(stored.answer["also"], recipe)),
        summary=summary,
        notes=(facts.study.note,) if facts.study.note else (),
        review=None if said is None else _review(said, facts.readers, recipe.target),
    )


def _given(facts: CaseFacts) -> Given:
    stored, recipe = facts.prediction, facts.recipe
    answer, thresholds = stored.answer, facts.model.info["thresholds"]
    source = recipe.policy.refer.by
    drawn = answer["uncertainty"].get(source, {}).get("spread") or answer["spread"] or {}
    rows = tuple(
        ClassRow(recipe.target.say(name), p, drawn.get(name), thresholds.get(name), name in answer["prediction_set"])
        for name, p in answer["probabilities"].items()
        if p is not None
    )
    return Given(
        cast(Action, stored.action),
        recipe.target.say(stored.label),
        stored.confidence,
        answer["positive"],
        recipe.target.say(recipe.target.positive),
        rows,
        tuple(answer["reasons"]),
        tuple(answer.get("kinds", ())),
        stored.domain_score,
        recipe.policy.conformal_level,
        source,
    )


def _pictures(facts: CaseFacts) -> tuple[Any, ...]:
    stored, recipe = facts.prediction, facts.recipe
    if stored.action == "reject":
        return ()
    heat = {scan: one.map for scan, one in facts.views.items()}
    empty = np.zeros(len(recipe.target.classes), np.float32)
    made = Prediction(
        "", stored.bundle_id, recipe.target_name, recipe.target.classes, empty, None, (), 0.0, empty, heatmaps=heat
    )
    decision = Decision(stored.label, bool(stored.answer["positive"]), stored.confidence, "accept", ())
    bags: dict[str, tuple[Any, ...]] = {}
    for scan in sorted(facts.views, key=lambda name: (name.partition(".")[0], int(name.partition(".")[2] or 1))):
        shown = facts.views[scan].slices.astype(np.float32) / 255.0
        slices = shown.transpose(0, 3, 1, 2) if shown.ndim == 4 else shown[:, None]
        role = heatmap.role_of(scan)
        bags[role] = (*bags.get(role, ()), slices)
    sided = [scan for scan, one in facts.views.items() if one.sided]
    drawn = pictures.of_case(made, decision, bags, recipe, 1 if len(facts.views) > 1 else 2, sided)
    return tuple(replace(one, finding=recipe.target.say(one.finding)) for one in drawn)


def labels_of(facts: CaseFacts) -> tuple[str, ...]:
    """The labels that stand together at or above their thresholds; none of exclusive classes."""
    target, thresholds = facts.recipe.target, facts.model.info["thresholds"]
    if target.kind == "multiclass" or facts.prediction.action == "reject":
        return ()
    held = facts.prediction.answer["probabilities"].items()
    if target.any_of_the_others and not facts.prediction.answer["positive"]:
        return ()  # a kind without the finding itself would contradict the answer
    return tuple(name for name, p in held if p is not None and p >= thresholds.get(name, 2.0))


def scans_in(facts: Mapping[str, Any]) -> Sequence[ScanFacts]:
    """The scans of a study, out of what was found when its files came."""
    found = []
    for role, told in facts.items():
        for one in told.get("scans", ()):
            x, y, z = one["spacing_mm"]
            found.append(
                ScanFacts(role, one["modality"], one["slices"], (x, y, z), one["units"], tuple(one["warnings"]))
            )
    return found


def date_in(facts: Mapping[str, Any]) -> str:
    """The day of a study as its headers have it, as 2026-01-31; "" where they do not say it."""
    for told in facts.values():
        for one in told.get("scans", ()):
            text = str(one["attributes"].get("study_date", ""))
            if len(text) == 8 and text.isdecimal():
                return f"{text[:4]}-{text[4:6]}-{text[6:]}"
            if text:
                return text
    return ""


def _further(also: Mapping[str, Any], recipe: Recipe) -> Sequence[Further]:
    found = []
    for name, answer in also.items():
        spread = answer["spread"] or {}
        target = recipe.further.get(name)
        say = (lambda label: label) if target is None else target.say
        values = tuple(Value(say(k), v, spread.get(k)) for k, v in answer["values"].items() if v is not None)
        event = "" if target is None else target.event
        found.append(Further(name, answer["kind"], values, event))
    return found


def _measured(written: Sequence[Mapping[str, Any]]) -> Sequence[Measured]:
    """The figures of an evaluation that lay beside the bundle, out of the register of models."""
    found = []
    for one in written:
        span = one["interval"]
        found.append(Measured(**{**one, "interval": None if span is None else (span[0], span[1])}))
    return found


def _names(user: User) -> tuple[str, str]:
    return user.name, user.full_name


def _review(said: Read, readers: Mapping[str, tuple[str, str]], target: Target) -> Review:
    account, full_name = readers.get(said.reviewer_id or "", ("an account that is gone", ""))
    label = target.say(said.label or "")
    return Review(said.verdict, f"{said.signature} ({account})", said.created_at, label, said.comment, full_name)
