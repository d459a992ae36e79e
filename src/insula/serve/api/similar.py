"""Past cases that look alike to the network."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from insula.infer.similar import SAID
from insula.serve import similar
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.reviews import reviews_for
from insula.serve.api.shapes import Id
from insula.serve.service import Service
from insula.serve.similar import MOST, Found
from insula.serve.store.said import sayer


class AlikeCase(BaseModel):
    """One past case. likeness: from -1 to 1; same: all but equal, as of one scan that was sent twice.

    scan, slice: of the picture that stands for it, below its prediction's `/scans`; "" and 0 where there is none.
    labels: what readers said to the same question, those that you may see. said, labels_said: label and
    labels as people read them.
    """

    prediction: str
    study_id: str
    created_at: datetime
    patient_key: str
    title: str
    same_patient: bool
    same: bool
    likeness: float
    action: Literal["accept", "refer", "reject"]
    label: str
    said: str
    confidence: float
    scan: str
    slice: int
    labels: list[str]
    labels_said: list[str]


class AlikeCases(BaseModel):
    """Other patients' cases, the most alike first, then the patient's own.

    searched: how many studies were looked at; most: how many predictions are, the newest. why: `rejected` or `not_kept`
    where nothing could be searched for. said: what likeness is, and is not, and how many studies were left out.
    """

    cases: list[AlikeCase]
    searched: int
    most: int
    why: Literal["", "rejected", "not_kept"]
    said: str


def routes(service: Service) -> APIRouter:
    """`/predictions/{id}/similar`."""
    made = Routes(service, "/api/v1/predictions/{prediction_id}", "predictions")

    @made.get("/similar", "study.read")
    def alike(acting: Acting, prediction_id: Id, top: Annotated[int, Query(ge=1, le=20)] = 6) -> AlikeCases:
        """Past cases of the same project and model that look alike to the network."""
        with acting.look() as connection:  # told below, once hundreds of files are read without a connection held
            about = visible_prediction(connection, acting.caller, prediction_id)
            rows = similar.rows(connection, acting.caller, about)
        found = similar.find(partial(similar.of_file, service.files), rows, top)
        with acting.read("similar.read", prediction_id) as connection:
            cases, say = [], sayer(connection, {about.bundle_id})
            for one in found.cases:
                said = reviews_for(connection, acting.caller, one.study_id)
                labels = [r.label for r in said if r.replaced_by is None and r.target == one.target and r.label]
                told = list(dict.fromkeys(labels))
                words = [say(about.bundle_id, label) for label in told]
                spoken = say(about.bundle_id, one.label)
                cases.append(AlikeCase(**asdict(one), said=spoken, labels=told, labels_said=words))
            acting.told(rows=len(cases))
        return AlikeCases(cases=cases, searched=found.searched, most=MOST, why=found.why, said=_said(found))

    return made.router


def _said(found: Found) -> str:
    if not found.skipped:
        return SAID
    return f"{SAID} Left out, since what was kept of them is missing or damaged: {found.skipped}."
