"""The whole page of an evaluation or audit that lies beside a bundle, as `insula evaluate` and `insula audit` write it.

They name cases of the cohort that was judged, so they are for those who read the trail, and are told to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from jinja2 import UndefinedError
from starlette.responses import HTMLResponse

from insula.report import audit_page
from insula.report import page as report_page
from insula.report.record import Record
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.models.beside import What, beside
from insula.serve.service import Service
from insula.serve.web.evaluation_parts import UNREADABLE, guarded
from insula.serve.web.frame import PAGE
from insula.serve.web.models_page import BundleId


def routes(service: Service) -> APIRouter:
    """`/models/{bundle_id}/evaluation`, `/audit` and `/audit/sheet`."""
    made = Routes(service, "/models/{bundle_id}", "pages")

    @made.get("/evaluation", "trail.read", **PAGE)
    def evaluation(acting: Acting, bundle_id: BundleId) -> HTMLResponse:
        """The report of the evaluation, without its pictures."""
        return _page(acting, bundle_id, "report", report_page.render, report_page.content_policy())

    @made.get("/audit", "trail.read", **PAGE)
    def audit(acting: Acting, bundle_id: BundleId) -> HTMLResponse:
        """Every finding of the audit with its evidence."""
        return _page(acting, bundle_id, "audit", audit_page.render, audit_page.content_policy())

    @made.get("/audit/sheet", "trail.read", **PAGE)
    def sheet(acting: Acting, bundle_id: BundleId) -> HTMLResponse:
        """The audit on one sheet of paper, to be signed."""
        return _page(acting, bundle_id, "audit", audit_page.brief, audit_page.content_policy())

    return made.router


def _page(acting: Act, bundle_id: str, what: What, render: Callable[[Record], str], policy: str) -> HTMLResponse:
    with acting.read(f"model.{'evaluation' if what == 'report' else what}", bundle_id) as connection:
        found = beside(Path(choose.get(connection, bundle_id).path), bundle_id, what)
    if found.record is None:
        message = (
            f"{found.file} was refused: {found.reason}" if found.reason else f"There is no {found.file} beside it."
        )
        raise RequestError(404, "no_such_record", f"{message} The model's page says how to make it.")
    try:
        text = guarded(render, found.record)
    except UndefinedError:
        text = None
    if text is None:
        raise RequestError(422, "record", f"{found.file} cannot be shown. {UNREADABLE}")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
