"""Monitoring: are scans and answers still like those the model is held against, and are the answers right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from insula.metrics.intervals import Figure
from insula.report.draw import Drawing
from insula.serve.api.cursor import After, cursor, seen
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.models import choose
from insula.serve.monitor import accuracy, alerts, cases, daily, drift, kept
from insula.serve.monitor.drift import Course
from insula.serve.monitor.reviewed import FEWEST
from insula.serve.service import Service
from insula.serve.store.schema import now
from insula.serve.web import monitoring_charts as charts
from insula.serve.web.frame import PAGE, language_of, page
from insula.serve.web.language import gettext_of
from insula.serve.web.monitoring_charts import Words

_ALERTS: Final = 20
_SAID: Final = (accuracy.NO_SAMPLE, accuracy.SEEN)  # by the page itself, in the reader's language
BundleId = Annotated[str, Query(pattern=r"^[0-9a-f]{0,64}$")]


@dataclass(frozen=True)
class Channel:
    """A channel as the page shows it: its name in words, where it stands, its chart, and its medians in words."""

    name: str
    of: drift.Channel
    chart: Drawing | None
    before: str
    latest: str


def routes(service: Service) -> APIRouter:
    """`/monitoring`."""
    made = Routes(service, "", "pages")

    @made.get("/monitoring", "monitor.read", quiet=True, **PAGE)
    def monitoring(acting: Acting, model: BundleId = "", after: After = None) -> HTMLResponse:
        """One model's drift, accuracy and answers, and the alerts of all."""
        with acting.look() as connection:
            models = choose.in_state(connection, *choose.SERVING)
            found = alerts.listed(connection, False, seen(after), _ALERTS)
            waiting = alerts.listed(connection, open_only=True)
        models.sort(key=lambda one: choose.SERVING.index(one.state))
        chosen = next((one for one in models if one.bundle_id == model), models[0] if models and not model else None)
        return page(
            acting,
            "monitoring.html",
            models=models,
            chosen=chosen,
            asked=model,
            watched=_watched(acting, chosen) if chosen else None,
            alerts=found.rows,
            open_alerts=waiting.rows,
            names={one.bundle_id: one.name for one in models},
            paged=after is not None,
            next=None if found.before is None else cursor(found.before),
        )

    return made.router


def _watched(acting: Act, model: choose.Model) -> dict[str, Any] | None:
    """Everything about one model; None where it is not loaded here."""
    service, translate = acting.service, gettext_of(language_of(acting.request))
    loaded = next((one for one in service.pool.all() if one.bundle.id == model.bundle_id), None)
    if loaded is None:
        return None
    recipe = loaded.bundle.recipe
    with acting.look() as connection:
        courses = drift.courses(connection, kept.reference(loaded.bundle), service.monitor)
        since = cases.watched_since(connection, model.bundle_id)
        right = accuracy.accuracy(connection, model.bundle_id, recipe.target_name, recipe.target)
        per_day = daily.days(connection, model.bundle_id, now())
        took = daily.took(connection, model.bundle_id)
    channels = [_channel(one, translate) for one in courses]
    channels.sort(key=lambda one: one.of.verdict != "fail")
    return {
        "channels": channels,
        "failed": [one for one in channels if one.of.verdict == "fail"],
        "told": [one for one in channels if one.of.verdict != "cannot tell"],
        "charted": [one for one in channels if one.chart is not None],
        "since": since,
        "rate": service.monitor.drift_rate,
        "reference": service.monitor.drift_reference,
        "right": right,
        "figures": _figures(right, translate),
        "notes": [one for one in right.notes if one not in _SAID],
        "months_chart": charts.months(right.months, translate),
        "days": [one for one in reversed(per_day) if one.actions],
        "days_chart": charts.days(per_day, translate),
        "count": sum(sum(one.actions.values()) for one in per_day),
        "took": took,
        "fewest": FEWEST,
        "positive": recipe.target.positive,
    }


def _channel(course: Course, translate: Words) -> Channel:
    name, of = said(course, translate), course.channel
    return Channel(name, of, charts.drift(course, name, translate), _short(of.before), _short(of.latest))


def _short(value: float | None) -> str:
    """Four digits, of what is about 0 none."""
    return "–" if value is None else f"{round(value, 6) + 0.0:.4g}".replace("-", "−")


def said(course: Course, translate: Words) -> str:
    """What a channel is called: `picture/ct/border` → `ct: border of the picture`."""
    kind, _, rest = course.channel.name.partition("/")
    if kind == "picture":
        role, _, number = rest.partition("/")
        return f"{role}: {translate(PICTURE.get(number, number))}"
    if kind == "score":
        return translate("Probability of %(name)s") % {"name": rest}
    return translate("Distance from the training cases")


PICTURE: Final = {  # sentences of the catalogues
    "brightness": "brightness",
    "contrast": "contrast",
    "median": "middle grey value",
    "edges": "edges",
    "coarse edges": "coarse edges",
    "roughness": "roughness",
    "border": "border of the picture",
    "slices": "difference between slices",
}
_SHOWN: Final = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "corrected sensitivity": "Sensitivity, corrected for who is reviewed",
    "corrected specificity": "Specificity, corrected for who is reviewed",
    "kappa": "Kappa of answer and reader",
}


def _figures(found: accuracy.Accuracy, translate: Words) -> Sequence[tuple[str, Figure]]:
    of_readers = [("Agreement of two readers", found.readers.get("agreement"))]
    of_readers.append(("Kappa of two readers", found.readers.get("kappa")))
    held = [(name, found.figures.get(key)) for key, name in _SHOWN.items()]
    return [(translate(name), one) for name, one in (*held, *of_readers) if one is not None]
