"""When something is wrong enough to tell somebody: each rule looks at one thing and gives an alarm or none.

Messages hold numbers and words of this code, and nothing of a patient, a person or a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import Connection, func, select

from insula.metrics.intervals import Figure
from insula.serve.jobs.queue import State
from insula.serve.monitor.drift import Channel
from insula.serve.monitor.metrics import Traffic
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.store.schema import jobs

Kind = Literal["drift", "error_rate", "queue_full", "jobs_failed", "trail_broken", "accuracy"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PERIOD: Final = timedelta(minutes=15)
FAILED: Final[tuple[State, ...]] = ("failed", "dead")
_FEWEST: Final = 20


@dataclass(frozen=True)
class Alarm:
    """One thing that is wrong now. bundle_id: of the model it concerns, "" for the service as a whole."""

    kind: Kind
    message: str
    bundle_id: str = ""
    detail: Mapping[str, float | int | str] = field(default_factory=dict)


def drift(bundle_id: str, channels: Sequence[Channel]) -> Alarm | None:
    """Drift was found in a channel."""
    found = [one for one in channels if one.verdict == "fail"]
    if not found:
        return None
    named = ", ".join(one.name for one in found)
    return Alarm(
        "drift",
        f"Scans are no longer like those that the model is held against: {named}. Look at the newest cases and at what "
        "changed (scanner, protocol, patients); then start the watch anew.",
        bundle_id,
        {one.name: round(one.highest, 2) for one in found},
    )


def error_rate(traffic: Traffic, settings: MonitorSettings) -> Alarm | None:
    """Of the requests of the last PERIOD, 20 or more, too many failed."""
    share = traffic.failed / traffic.requests if traffic.requests else 0.0
    if traffic.requests < _FEWEST or share < settings.alert_error_rate:
        return None
    return Alarm(
        "error_rate",
        f"{traffic.failed} of {traffic.requests} requests failed ({share:.1%}); {settings.alert_error_rate:.1%} is the "
        "limit. The log has the places.",
        detail={"failed": traffic.failed, "requests": traffic.requests},
    )


def queue_full(traffic: Traffic) -> Alarm | None:
    """Requests of the last PERIOD found every place taken."""
    if not traffic.busy:
        return None
    return Alarm(
        "queue_full",
        f"{traffic.busy} requests were turned away because all places were taken; add workers or raise INSULA_QUEUE.",
        detail={"refused": traffic.busy},
    )


def jobs_failed(connection: Connection, settings: MonitorSettings, at: datetime) -> Alarm | None:
    """Too many jobs ended as failed in the last PERIOD."""
    count = (
        connection.scalar(
            select(func.count()).select_from(jobs).where(jobs.c.state.in_(FAILED), jobs.c.ended_at > at - PERIOD)
        )
        or 0
    )
    if count < settings.alert_failed_jobs:
        return None
    return Alarm(
        "jobs_failed",
        f"{count} jobs failed within {int(PERIOD.total_seconds() // 60)} minutes; {settings.alert_failed_jobs} is the "
        "limit. The jobs have their errors.",
        detail={"failed": count},
    )


def trail_broken(holds: bool) -> Alarm | None:
    """The trail does not verify."""
    if holds:
        return None
    return Alarm(
        "trail_broken", "The audit trail does not verify: entries were changed, removed or added. Keep a copy now."
    )


def accuracy(bundle_id: str, figure: Figure, settings: MonitorSettings) -> Alarm | None:
    """The whole interval of the accuracy on reviewed patients lies below the limit."""
    limit = settings.alert_accuracy
    if not limit or figure.interval is None or figure.interval[1] >= limit:
        return None
    low, high = figure.interval
    return Alarm(
        "accuracy",
        f"Of {figure.n} reviewed answers {figure.value:.1%} were right (95% interval {low:.1%} to {high:.1%}); "
        f"{limit:.1%} is the limit. Cases chosen for review because the model was unsure are harder than most.",
        bundle_id,
        {"accuracy": round(figure.value, 4), "low": round(low, 4), "high": round(high, 4), "reviewed": figure.n},
    )
