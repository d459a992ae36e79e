"""The page of a case: the answer, its pictures, what it means, and what readers say of it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.report.case import page as report_page
from insula.report.case import say, texts
from insula.report.case.record import CaseReport, Measured
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.shapes import Id
from insula.serve.people import glass
from insula.serve.service import Service
from insula.serve.similar import MOST
from insula.serve.web import case_facts, case_pacs, language
from insula.serve.web.case_facts import Answered, CasePage, NotSeenError
from insula.serve.web.frame import PAGE, language_of, page
from insula.serve.web.viewer_data import viewer_data, viewer_rows

_PREVALENCES: Final = (0.01, 0.05, 0.5)  # of the buttons beside the slider


def routes(service: Service) -> APIRouter:
    """`/studies/{id}`."""
    made = Routes(service, "", "pages")

    @made.get("/studies/{study_id}", "study.read", **PAGE)
    def study(acting: Acting, study_id: Id, prediction: Id | None = None) -> HTMLResponse:
        """A case; of a study that the reader does not see, the way to open it where there is one."""
        try:
            with acting.read("case.read", study_id) as connection:
                found = case_facts.of_study(connection, service, acting.caller, study_id, prediction)
                stored = None if found.answered is None else found.answered.stored
                rows = viewer_rows(connection, acting.caller, study_id, stored)
                pacs = case_pacs.of(connection, service, acting.caller, stored)
        except NotSeenError as error:
            return _closed(acting, study_id, error)
        viewer = viewer_data(service.files, rows)
        return page(acting, "case.html", viewer=viewer, pacs=pacs, **_context(acting, found))

    return made.router


def _context(acting: Act, found: CasePage) -> dict[str, Any]:
    t = words_of(acting)
    answered = found.answered
    return {
        "case": found,
        "answered": answered,
        "r": None if answered is None else answered.report,
        "t": t,
        "say": say,
        "across": lambda share: f"{100.0 * min(max(share, 0.0), 1.0):.2f}",
        "writes": found.inside and acting.caller.may("study.write"),
        "choice": case_facts.series_of(found.job),
        "most_similar": MOST,
        **({} if answered is None else _answer(answered, t)),
    }


def _answer(answered: Answered, t: dict[str, str]) -> dict[str, Any]:
    report = answered.report
    return {
        "rejected": report.answer.action == "reject",
        "reasons": report_page.reasons(report),
        "set_level": report_page.set_level(report, t),
        "figures": [(texts.figure(one.key, "en"), one, report_page.basis(one, t)) for one in report.model.figures],
        "meaning": meaning_of(report),
        "stated": _PREVALENCES,
    }


def words_of(acting: Act) -> dict[str, str]:
    """The words of the case report in the reader's language: the page and the report say the same."""
    translate = language.gettext_of(language_of(acting.request))
    return {key: translate(text) for key, text in texts.texts("en").items()}


def meaning_of(report: CaseReport) -> dict[str, Any] | None:
    """What the script computes the meaning at any prevalence from; None where no evaluation says it."""
    known = {one.key: one for one in report.model.figures}
    if not report.prevalences or "sensitivity" not in known or "specificity" not in known:
        return None
    return {name: _ends(known[name]) for name in ("sensitivity", "specificity")} | {
        "positive": report.answer.positive,
        "start": report.prevalences[0].prevalence,
    }


def _ends(one: Measured) -> list[float]:
    low, high = one.interval or (one.value, one.value)
    return [one.value, low, high]


def _closed(acting: Act, study_id: str, error: NotSeenError) -> HTMLResponse:
    acting.request.state.fault = error.fault_code
    return page(
        acting,
        "case_closed.html",
        status=error.status,
        study_id=study_id,
        message=str(error),
        opens=acting.caller.may("glass.break") and acting.caller.how != "key",
        shortest=glass.SHORTEST,
        longest=glass.LONGEST,
        minutes=int(glass.OPEN_FOR.total_seconds() // 60),
    )
