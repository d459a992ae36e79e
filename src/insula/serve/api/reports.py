"""Reports of a case, its summary in words, and questions about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from insula.report.case.data import case_json
from insula.report.case.fhir import case_fhir
from insula.report.case.page import case_html, content_policy
from insula.report.case.paper import case_pdf
from insula.report.case.record import Language, Summary
from insula.serve import case
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.shapes import Id, Question
from insula.serve.case import CaseFacts
from insula.serve.narrative import ask, summary
from insula.serve.service import Service

Form = Literal["html", "pdf", "json", "fhir"]
_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report.",
        "content": {
            "text/html": {},
            "application/pdf": {},
            "application/json": {},
            "application/fhir+json": {},
        },
    }
}


class Told(BaseModel):
    """A summary. source: `template`, or `model` where a language model phrased it and nothing was found amiss.

    reason: why a language model's text was not taken, "" otherwise.
    """

    text: str
    language: Language
    source: Literal["template", "model"]
    reason: str


class Quoted(BaseModel):
    """What the record says to a question, in its own sentences. source: found by words, or picked by a model."""

    text: str
    quotes: list[dict[str, Any]]
    source: Literal["words", "model"]
    reason: str


def routes(service: Service) -> APIRouter:
    """`/predictions/{id}/report`, `/summary` and `/questions`."""
    made = Routes(service, "/api/v1/predictions/{prediction_id}", "reports")

    @made.get("/report", "study.read", response_class=Response, responses=_FORMS)
    def report(
        acting: Acting,
        prediction_id: Id,
        form: Annotated[Form, Query(alias="format")] = "html",
        language: Language = "en",
    ) -> Response:
        """The report of a case: a page, a tagged PDF, JSON, or a FHIR R4 DiagnosticReport."""
        facts = _facts(acting, prediction_id, "report.read", form=form)
        told = None
        if facts.prediction.action != "reject":
            words = summary.summarise(case.record(facts), language, service.endpoint)
            told = Summary(words.text, words.source)
        made_now = case.report(facts, language, told)
        name = f'inline; filename="report-{prediction_id[:8]}.{"pdf" if form == "pdf" else "html"}"'
        match form:
            case "html":
                headers = {"Content-Security-Policy": content_policy(), "Content-Disposition": name}
                return Response(case_html(made_now), 200, headers, "text/html")
            case "pdf":
                return Response(case_pdf(made_now), 200, {"Content-Disposition": name}, "application/pdf")
            case "json":
                return JSONResponse(case_json(made_now))
            case "fhir":
                return JSONResponse(case_fhir(made_now), media_type="application/fhir+json")

    @made.get("/summary", "study.read")
    def summed_up(acting: Acting, prediction_id: Id, language: Language = "en") -> Told:
        """The case in a few sentences: facts by template, phrased by a language model only where one is set up."""
        facts = _facts(acting, prediction_id, "summary.read")
        found = summary.summarise(case.record(facts), language, service.endpoint)
        return Told(text=found.text, language=found.language, source=found.source, reason=found.reason)

    @made.post("/questions", "summary.ask")
    def question(acting: Acting, prediction_id: Id, asked: Question) -> Quoted:
        """A question about the case, answered by quoting its record, or not at all."""
        facts = _facts(acting, prediction_id, "summary.ask")
        found = ask.answer(case.record(facts), asked.question, asked.language, service.endpoint)
        return Quoted(
            text=found.text, quotes=[asdict(one) for one in found.quotes], source=found.source, reason=found.reason
        )

    return made.router


def _facts(acting: Act, prediction_id: str, action: str, **detail: Any) -> CaseFacts:
    with acting.read(action, prediction_id, **detail) as connection:
        stored = visible_prediction(connection, acting.caller, prediction_id)
        return case.facts_of(connection, acting.service, stored, reader_id=acting.caller.reader_id)
