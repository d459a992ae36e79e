"""Training runs as they lie below INSULA_RUNS: a list, and each with curves that go on while it is at work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.serve.api import training
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.service import Service
from insula.serve.store.schema import now
from insula.serve.web.frame import PAGE, language_of, page
from insula.serve.web.language import gettext_of


def routes(service: Service) -> APIRouter:
    """`/training` and `/training/{run}`."""
    made = Routes(service, "/training", "pages")

    @made.get("", "model.manage", quiet=True, **PAGE)
    def runs(acting: Acting) -> HTMLResponse:
        """The latest training runs."""
        found, count = training.runs(service)
        home = service.settings.runs
        return page(
            acting,
            "training.html",
            runs=[training.shown(one, curve=False) for one in found],
            count=count,
            home=home is not None,
            there=home is not None and home.is_dir(),
            ago=_ago(acting),
        )

    @made.get("/{run:path}", "model.manage", quiet=True, **PAGE)
    def run(acting: Acting, run: str) -> HTMLResponse:
        """One training run, live."""
        found = training.shown(training.of_name(service, run))
        columns = sorted({name for one in found.curve for name in one.values}, key=_rank)
        return page(acting, "training_run.html", run=found, columns=columns, span=_span(acting))

    return made.router


def _rank(column: str) -> tuple[int, str]:
    known = ("val_loss", "train_loss", "lr")
    return (known.index(column) if column in known else len(known), column)


def _span(acting: Act) -> Callable[[float], str]:
    """How long something took, in the reader's words."""
    return partial(span, translate=gettext_of(language_of(acting.request)))


def _ago(acting: Act) -> Callable[[datetime], str]:
    """How long ago something was, in the reader's words."""
    at, said = now(), _span(acting)
    return lambda moment: said((at - moment).total_seconds())


def span(seconds: float, translate: Callable[[str], str]) -> str:
    """Seconds in the largest unit that leaves at least two of it: `90 s`, `12 min`, `3 h`, `2 days`."""
    for unit, length in (("%(n)s days", 86400.0), ("%(n)s h", 3600.0), ("%(n)s min", 60.0)):
        if seconds >= 2 * length:
            return translate(unit) % {"n": round(seconds / length)}
    return translate("%(n)s s") % {"n": round(max(seconds, 0.0))}
