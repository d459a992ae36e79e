"""Monitoring: Prometheus, drift, accuracy from reviews, alerts."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from insula.metrics.intervals import Figure
from insula.serve.api.cursor import After, Limit, Page, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.faults import RequestError
from insula.serve.models.loaded import Loaded
from insula.serve.monitor import accuracy, alerts, cases, drift, kept, metrics
from insula.serve.service import Service

BundleId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]
_TEXT = {200: {"content": {"text/plain": {}}, "description": "Prometheus' text format."}}


def metrics_routes(service: Service) -> APIRouter:
    """`/metrics`, for Prometheus with an API key as its bearer token."""
    made = Routes(service, "", "monitoring")

    @made.get("/metrics", "monitor.read", quiet=True, response_class=Response, responses=_TEXT)
    def exposition(acting: Acting) -> Response:
        """What Prometheus reads."""
        metrics.set_queue(service.meter, service.line.held, service.line.places)
        with acting.look() as connection:
            data = metrics.exposition(service.meter, connection)
        return Response(data, media_type="text/plain; version=0.0.4; charset=utf-8")

    return made.router


def routes(service: Service) -> APIRouter:
    """`/monitor`."""
    made = Routes(service, "/api/v1/monitor", "monitoring")

    @made.get("/models/{bundle_id}/drift", "monitor.read", quiet=True)
    def drifts(acting: Acting, bundle_id: BundleId) -> dict[str, Any]:
        """Whether scans and answers are still like those that the model is held against, channel by channel."""
        reference = kept.reference(_model(service, bundle_id).bundle)
        with acting.look() as connection:
            found = drift.drift(connection, reference, service.monitor)
            since = cases.watched_since(connection, bundle_id)
        return {
            "false_alarm_rate": service.monitor.drift_rate,
            "watched_since": since,
            "channels": [_plain(asdict(one)) for one in found],
        }

    @made.post("/models/{bundle_id}/drift/anew", "model.manage", status_code=204)
    def anew(acting: Acting, bundle_id: BundleId) -> Response:
        """Start the watch anew, once it is known why scans changed; the alert closes."""
        name = _model(service, bundle_id).bundle.id
        with acting.write("drift.anew", name[:64]) as connection:
            cases.start_anew(connection, name)
        return Response(status_code=204)

    @made.get("/models/{bundle_id}/accuracy", "monitor.read", quiet=True)
    def right(acting: Acting, bundle_id: BundleId, target: str = "") -> dict[str, Any]:
        """How often the model was right on reviewed patients, with 95% intervals, by month, and how readers agree."""
        recipe = _model(service, bundle_id).bundle.recipe
        name = target or recipe.target_name
        if name not in recipe.targets:
            raise RequestError(
                422, "bad_target", f"There is no target '{name[:40]}'; choose of {list(recipe.targets)}."
            )
        with acting.look() as connection:
            found = accuracy.accuracy(connection, bundle_id, name, recipe.targets[name])
        return {
            "figures": _figures(found.figures),
            "months": [{"month": one.month, "figures": _figures(one.figures)} for one in found.months],
            "readers": _figures(found.readers),
            "settled": found.settled,
            "disputed": found.disputed,
            "untold": found.untold,
            "rejected": found.rejected,
            "reviewed_shares": _plain(found.shares),
            "notes": list(found.notes),
        }

    @made.get("/alerts", "monitor.read", quiet=True)
    def listed(acting: Acting, limit: Limit = 50, after: After = None, open_only: bool = False) -> Page[dict[str, Any]]:
        """Alerts, the newest first."""
        with acting.look() as connection:
            found = alerts.listed(connection, open_only, seen(after), limit)
        return Page(
            items=[asdict(one) for one in found.rows],
            next=None if found.before is None else cursor(found.before),
        )

    return made.router


def _model(service: Service, bundle_id: str) -> Loaded:
    for one in service.pool.all():
        if one.bundle.id == bundle_id:
            return one
    raise RequestError(404, "no_such_model", f"The model '{bundle_id[:64]}' is not loaded here; see /api/v1/models.")


def _figures(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: _plain(asdict(one)) for name, one in found.items()}


def _plain(value: Any) -> Any:
    """Plain data for JSON: what is not finite becomes null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
