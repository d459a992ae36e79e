"""What the service counts of itself, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

Labels are templates of routes, names of models and words of this code: nothing that a request or a patient brings, and
never more than a bounded number of each.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import Connection, func, select

from insula import __version__
from insula.metrics.intervals import Figure
from insula.serve.jobs import queue
from insula.serve.monitor.drift import Channel
from insula.serve.pacs import state as pacs
from insula.serve.store.schema import alerts, jobs, now

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
OTHER: Final = "other"
NO_ROUTE: Final = "(none)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ACTIONS: Final = frozenset({"accept", "refer", "reject"})
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_WORDS, _MOST_MODELS = 100, 50
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PREDICTION_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True)
class Traffic:
    """Requests answered since the start, of them failed (5xx, but for a full queue), and refused by a full queue."""

    requests: int = 0
    failed: int = 0
    busy: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came after an earlier state."""
        return Traffic(self.requests - earlier.requests, self.failed - earlier.failed, self.busy - earlier.busy)


@dataclass(frozen=True)
class Meter:
    """All that one process counts, in a registry of its own. routes: the templates that have a label of their own."""

    registry: CollectorRegistry
    routes: frozenset[str]
    requests: Counter
    request_seconds: Histogram
    refused: Counter
    predictions: Counter
    prediction_seconds: Histogram
    queue_depth: Gauge
    queue_places: Gauge
    jobs: Gauge
    jobs_due: Gauge
    alerts: Gauge
    drift_statistic: Gauge
    drift_limit: Gauge
    drift_found: Gauge
    drift_cases: Gauge
    accuracy: Gauge
    pacs_studies: Gauge
    pacs_jobs: Gauge
    pacs_backlog: Gauge
    known: dict[str, set[str]] = field(default_factory=dict)


def meter(routes: Collection[str]) -> Meter:
    """A meter at zero. routes: path templates of the application, as `/api/v1/studies/{study}`."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=registry)

    build = gauge("insula_build_info", "Always 1; the labels tell the version.", "version", "python")
    build.labels(__version__, platform.python_version()).set(1)
    return Meter(
        registry=registry,
        routes=frozenset(routes),
        requests=Counter("insula_requests", "Requests.", ("method", "route", "status"), registry=registry),
        request_seconds=Histogram(
            "insula_request_seconds",
            "Time to answer a request.",
            ("route",),
            registry=registry,
            buckets=_REQUEST_SECONDS,
        ),
        refused=Counter("insula_refused", "Refused requests by their fault's code.", ("code",), registry=registry),
        predictions=Counter("insula_predictions", "Predictions.", ("action", "model", "arm"), registry=registry),
        prediction_seconds=Histogram(
            "insula_prediction_seconds",
            "Time of one prediction, reading included.",
            ("model",),
            registry=registry,
            buckets=_PREDICTION_SECONDS,
        ),
        queue_depth=gauge("insula_queue_depth", "Predictions at work or waiting in this process."),
        queue_places=gauge("insula_queue_places", "Predictions that may be at work or wait in this process."),
        jobs=gauge("insula_jobs", "Jobs in the records.", "state"),
        jobs_due=gauge("insula_jobs_due", "Jobs in the records that are at work or could be begun now.", "kind"),
        alerts=gauge("insula_alerts_open", "Open alerts in the records.", "kind"),
        drift_statistic=gauge(
            "insula_drift_statistic", "Evidence of drift: common logarithm of a capital of 1.", "model", "channel"
        ),
        drift_limit=gauge("insula_drift_limit", "Evidence from which on drift is found.", "model"),
        drift_found=gauge("insula_drift_found", "1 where drift was found.", "model", "channel"),
        drift_cases=gauge("insula_drift_cases", "Patients watched for drift.", "model", "channel"),
        accuracy=gauge("insula_review_accuracy", "Accuracy on reviewed patients.", "model", "bound"),
        pacs_studies=gauge("insula_pacs_studies", "Received studies that somebody or something waits for.", "state"),
        pacs_jobs=gauge("insula_pacs_jobs", "Jobs of the PACS node that are not done.", "kind", "state"),
        pacs_backlog=gauge("insula_pacs_backlog", "Received studies that wait for an answer."),
    )


def observe_request(meter: Meter, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. route: the template that matched, or anything for none."""
    named = route if route in meter.routes else NO_ROUTE
    said = method if method in _METHODS else OTHER
    meter.requests.labels(said, named, str(status) if 100 <= status <= 599 else OTHER).inc()
    meter.request_seconds.labels(named).observe(seconds)


def observe_refused(meter: Meter, code: str) -> None:
    """Count a request that was refused with a fault's code."""
    meter.refused.labels(_word(meter, "code", code)).inc()


def observe_prediction(meter: Meter, model: str, arm: str, action: str, seconds: float) -> None:
    """Count a prediction. model: the name that an administrator gave it."""
    named = _few(meter, "model", model, _MOST_MODELS)
    meter.predictions.labels(action if action in _ACTIONS else OTHER, named, _word(meter, "arm", arm)).inc()
    meter.prediction_seconds.labels(named).observe(seconds)


def set_queue(meter: Meter, depth: int, places: int) -> None:
    """How many predictions are at work or waiting, and how many may be."""
    meter.queue_depth.set(depth)
    meter.queue_places.set(places)


def set_drift(meter: Meter, model: str, channels: Iterable[Channel]) -> None:
    """What `drift.drift` found for the bundle that a model's name stands for now."""
    named = _few(meter, "model", model, _MOST_MODELS)
    for channel in channels:
        meter.drift_statistic.labels(named, channel.name).set(channel.statistic)
        meter.drift_found.labels(named, channel.name).set(channel.verdict == "fail")
        meter.drift_cases.labels(named, channel.name).set(channel.n)
        meter.drift_limit.labels(named).set(channel.limit)


def set_accuracy(meter: Meter, model: str, figure: Figure) -> None:
    """Accuracy on reviewed patients with its interval, where there is one."""
    named = _few(meter, "model", model, _MOST_MODELS)
    low, high = figure.interval or (float("nan"), float("nan"))
    for bound, value in (("estimate", figure.value), ("low", low), ("high", high)):
        meter.accuracy.labels(named, bound).set(value)


def traffic(meter: Meter) -> Traffic:
    """Totals so far; two of them, a while apart, give the share of errors in between."""
    total = failed = busy = 0
    for family in meter.requests.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                count, status = int(sample.value), sample.labels["status"]
                total += count
                busy += count if status == "503" else 0
                failed += count if status.startswith("5") and status != "503" else 0
    return Traffic(total, failed, busy)


def exposition(meter: Meter, connection: Connection | None = None) -> bytes:
    """The text that Prometheus reads; with a connection the jobs and alerts of the records as they are now."""
    if connection is not None:
        counted = (
            (meter.jobs, "state", select(jobs.c.state, func.count()).group_by(jobs.c.state)),
            (
                meter.alerts,
                "kind",
                select(alerts.c.kind, func.count()).where(alerts.c.closed_at.is_(None)).group_by(alerts.c.kind),
            ),
        )
        for gauge, label, query in counted:
            gauge.clear()
            for name, count in connection.execute(query):
                gauge.labels(_word(meter, label, name)).set(count)
        meter.jobs_due.clear()
        for kind, count in queue.due(connection, now()).items():
            meter.jobs_due.labels(_word(meter, "kind", kind)).set(count)
        _set_pacs(meter, connection)
    return generate_latest(meter.registry)


def _set_pacs(meter: Meter, connection: Connection) -> None:
    for state, count in pacs.counts(connection).items():
        meter.pacs_studies.labels(state).set(count)
    meter.pacs_jobs.clear()
    for kind, states in pacs.jobs(connection).items():
        for state, count in states.items():
            meter.pacs_jobs.labels(_word(meter, "kind", kind), state).set(count)
    meter.pacs_backlog.set(pacs.backlog(connection))


def _word(meter: Meter, label: str, value: str) -> str:
    return _few(meter, label, value, _MOST_WORDS) if _WORD.fullmatch(value) else OTHER


def _few(meter: Meter, label: str, value: str, most: int) -> str:
    """The value, or `other` where so many others came before it."""
    known = meter.known.setdefault(label, set())
    if value not in known and len(known) >= most:
        return OTHER
    known.add(value)
    return value
