"""`/about`, `/privacy` and `/security`: what somebody who has not logged in may know of this service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from insula.serve.api.guard import Routes
from insula.serve.models import choose
from insula.serve.models.beside import beside
from insula.serve.models.choose import Model
from insula.serve.monitor import traces
from insula.serve.people import projects
from insula.serve.people.cookies import cookie_name
from insula.serve.people.roles import GRANTED, ROLES
from insula.serve.service import Service
from insula.serve.store import retention
from insula.serve.store.connect import reading
from insula.serve.store.retention import Rules
from insula.serve.web import language
from insula.serve.web.frame import PAGE, THEME_COOKIE, caller_if_any, open_page

MODALITIES: Final[Mapping[str, str]] = {  # sentences of the catalogues
    "CT": "computed tomography (CT)",
    "MR": "magnetic resonance tomography (MR)",
    "SM": "whole slides under the microscope",
    "OT": "pictures",
}
FIGURES: Final[Mapping[str, str]] = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "roc_auc": "Area under the ROC curve",
    "brier": "Brier score",
    "ece": "Calibration error",
}


@dataclass(frozen=True)
class Answering:
    """A model in charge, as far as anybody may know. inputs: role and modality.

    figures: of its evaluation; optimistic: why that itself says that they are too good.
    """

    name: str
    question: str
    inputs: tuple[tuple[str, str], ...]
    clinical: tuple[str, ...]
    answers: tuple[str, ...]
    finding: str
    figures: tuple[Mapping[str, Any], ...]
    optimistic: tuple[str, ...]


def routes(service: Service) -> APIRouter:
    """`/about`, `/privacy`, `/security`."""
    made = Routes(service, "", "pages")

    @made.open("GET", "/about", **PAGE)
    def about(request: Request) -> HTMLResponse:
        """What this is and is not."""
        with reading(service.records) as connection:
            told = [answering(one) for one in choose.in_state(connection, "active")]
        return open_page(
            request,
            service,
            "about.html",
            models=[one for one in told if one is not None],
            modalities=MODALITIES,
            figures=FIGURES,
            may_what=[(role, GRANTED[role]) for role in ROLES],
        )

    @made.open("GET", "/privacy", **PAGE)
    def privacy(request: Request) -> HTMLResponse:
        """What is kept, where, for how long, and who sees it."""
        return open_page(
            request,
            service,
            "privacy.html",
            people=service.people,
            rules=_rules(request, service),
            database=service.records.dialect.name,
            files_elsewhere="://" in service.settings.files,
            goes_out=goes_out(service),
            peers=sorted(service.pacs.peer),
            cookies={"session": cookie_name(service.people), "theme": THEME_COOKIE, "language": language.COOKIE},
        )

    @made.open("GET", "/security", **PAGE)
    def security(request: Request) -> HTMLResponse:
        """How it is protected, and where to report a fault."""
        return open_page(request, service, "security.html", people=service.people)

    return made.router


def answering(model: Model) -> Answering | None:
    """What anybody may know of a model in charge: nothing of a patient, no place on a disk.

    None of one whose recipe this version does not read.
    """
    if (recipe := choose.recipe_or_none(model)) is None:
        return None
    evaluation = beside(Path(model.path), model.bundle_id, "report").record or {}
    return Answering(
        model.name,
        recipe.question,
        tuple((role, one.modality) for role, one in recipe.inputs.items()),
        tuple(recipe.clinical),
        tuple(recipe.target.classes),
        recipe.target.positive,
        tuple(model.info.get("figures", ())),
        tuple(str(one) for one in evaluation.get("optimistic", ())),
    )


def goes_out(service: Service) -> Mapping[str, bool]:
    """What may send something to another machine → whether it is set up here."""
    return {
        "summary": service.endpoint is not None,
        "alerts": bool(service.monitor.url),
        "issuers": bool(service.people.issuers),
        "log_in": any(one.log_in for one in service.people.issuers),
        "traces": bool(os.environ.get(traces.VARIABLE)),
        "heads": "://" in service.settings.trail_heads,
        "pacs": bool(service.pacs.peer),
    }


def _rules(request: Request, service: Service) -> list[tuple[str, Rules]]:
    """The rules of retention of the reader's own projects; a stranger learns of no project."""
    caller = caller_if_any(request, service)
    with reading(service.records) as connection:
        own = sorted(caller.projects) if caller else []
        rules = retention.rules_of_all(connection, own)
        return [(one.name, rules[one.id]) for one in projects.every(connection) if one.id in rules]
