"""What has to be done now and then while a service runs: heads of the trail, retention, drift, alerts.

Several replicas may do them at once: each is safe to do twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from insula.core.errors import TrailError
from insula.core.log import get
from insula.serve.jobs import queue, send_alert
from insula.serve.jobs.queue import Wanted
from insula.serve.models import choose
from insula.serve.monitor import accuracy, alerts, drift, kept, metrics, rules
from insula.serve.monitor.metrics import Traffic
from insula.serve.monitor.rules import Alarm, Kind
from insula.serve.people.linked import REMEMBERED
from insula.serve.service import Service
from insula.serve.store import retention
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import idempotency, now, projects, token_uses, workitems
from insula.serve.store.sweep import sweep
from insula.serve.trail.keep import keep_head_if_due

EVERY: Final = 60.0  # seconds
_MODELS: Final = timedelta(minutes=15)  # between two looks at drift and accuracy, which read thousands of rows
_SELDOM: Final = timedelta(hours=24)
_STEADY: Final = timedelta(minutes=5)  # by which a clock may differ in a minute: more than any that is kept right does
_REPEATS: Final = timedelta(hours=24)  # for which the answers of repeated requests are kept
_ENDED: Final = timedelta(days=30)  # for which a work item is shown after its end
_UNNAMED: Final = timedelta(hours=24)  # after which a stored file that no record names is nobody's


class Chores:
    """The rounds of one process; `round` is one of them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._earlier: list[tuple[datetime, Traffic]] = []
        self._seldom: datetime | None = None
        self._holds = True
        self._models: datetime | None = None
        self._before: tuple[datetime, float] | None = None
        self._jumped: float | None = None

    def run(self, stop: threading.Event) -> None:
        """A round every minute until told to stop; one that fails is told to the log, and the next one comes."""
        while not stop.wait(EVERY):
            at = now()
            self.look_at_clock(at, _steady())
            self.round(at)

    def look_at_clock(self, at: datetime, steady: float) -> None:
        """Notice a clock that was put forward or back since the last round; steady: seconds of a clock that never is.

        Until a day without that has passed nothing is deleted for its age, which the clock might say wrongly.
        """
        if self._before is not None:
            passed = (at - self._before[0]).total_seconds()
            if abs(passed - (steady - self._before[1])) > _STEADY.total_seconds():
                get("serve").error("clock jumped", seconds=round(passed - (steady - self._before[1])))
                self._jumped = steady
            elif self._jumped is not None and steady - self._jumped >= _SELDOM.total_seconds():
                self._jumped = None
        self._before = (at, steady)

    def round(self, at: datetime) -> None:
        """Do everything that is due."""
        for chore in (self.heads, self.monitor, self.seldom):
            try:
                chore(at)
            except Exception as error:  # noqa: BLE001 - one that fails must not end the others
                get("serve").error("chore", name=chore.__name__, kind=type(error).__name__)

    def heads(self, at: datetime) -> None:
        """Sign the trail's end, where a place for heads is set."""
        place = self.service.settings.trail_heads
        if not place:
            return
        try:
            keep_head_if_due(self.service.records, self.service.key, place, now=at)
            self._holds = True
        except TrailError as error:  # a trail that does not hold is not signed, and somebody is told
            get("serve").error("trail does not hold", said=str(error))
            self._holds = False

    def monitor(self, at: datetime) -> None:
        """Look at errors and failed jobs, and every quarter of an hour at drift and accuracy; have alerts sent."""
        service, settings = self.service, self.service.monitor
        whole: tuple[Kind, ...] = ("error_rate", "queue_full", "jobs_failed", "trail_broken")
        looked: list[tuple[Kind, str]] = [(kind, "") for kind in whole]
        recent = self._traffic(at)
        found = [rules.error_rate(recent, settings), rules.queue_full(recent), rules.trail_broken(self._holds)]
        with reading(service.records) as connection:
            found.append(rules.jobs_failed(connection, settings, at))
            if self._models is None or not timedelta(0) <= at - self._models < _MODELS:
                self._models = at
                for one, alarms in self._of_models(connection):
                    looked += [("drift", one), ("accuracy", one)]
                    found += alarms
        with writing(service.records) as connection:
            changes = alerts.settle(connection, looked, [one for one in found if one is not None], at)
            for alert, word in (*((a, "open") for a in changes.opened), *((a, "close") for a in changes.closed)):
                service.tell(connection, "monitor", f"alert.{word}", alert.id, {"kind": alert.kind})
                if settings.url:
                    wanted = Wanted(send_alert.KIND, {"alert": alert.id}, f"alert-{alert.id}-{word}")
                    queue.put(connection, wanted, at)

    def _of_models(self, connection: Connection) -> Iterator[tuple[str, list[Alarm | None]]]:
        """Drift and accuracy of each model that is loaded and answers."""
        service, settings = self.service, self.service.monitor
        loaded = {one.bundle.id: one.bundle for one in service.pool.all()}
        for model in choose.models(connection):
            bundle = loaded.get(model.bundle_id)
            if bundle is None or model.state not in ("active", "ab"):
                continue
            channels = drift.drift(connection, kept.reference(bundle), settings)
            metrics.set_drift(service.meter, model.name, channels)
            alarms = [rules.drift(bundle.id, channels)]
            target = bundle.recipe.target
            if target.classes:
                figure = accuracy.share_right(connection, bundle.id, bundle.recipe.target_name, target)
                metrics.set_accuracy(service.meter, model.name, figure)
                alarms.append(rules.accuracy(bundle.id, figure, settings))
            yield bundle.id, alarms

    def seldom(self, at: datetime) -> None:
        """Once a day: what is too old goes, and stored files that no record names."""
        if self._jumped is not None or (self._seldom is not None and timedelta(0) <= at - self._seldom < _SELDOM):
            return
        self._seldom = at
        service = self.service
        with reading(service.records) as connection:
            every = list(connection.scalars(select(projects.c.id)))
        for project in every:
            gone = retention.Gone(files=1)
            while gone != retention.Gone():
                with writing(service.records) as connection:
                    gone = retention.apply(connection, service.files, project, at)
                    if gone != retention.Gone():
                        detail = {"files": gone.files, "predictions": gone.predictions, "studies": gone.studies}
                        service.tell(connection, "retention", "retention.apply", project, detail)
        with writing(service.records) as connection:
            sweep(connection, service.files, at - _UNNAMED)
            connection.execute(token_uses.delete().where(token_uses.c.ends_at < at - REMEMBERED))
            connection.execute(idempotency.delete().where(idempotency.c.created_at < at - _REPEATS))
            old = (workitems.c.state.in_(("COMPLETED", "CANCELED")), workitems.c.changed_at < at - _ENDED)
            connection.execute(workitems.delete().where(*old))

    def _traffic(self, at: datetime) -> Traffic:
        """Requests of the last period."""
        total = metrics.traffic(self.service.meter)
        self._earlier = [one for one in self._earlier if one[0] > at - rules.PERIOD - timedelta(seconds=2 * EVERY)]
        self._earlier.append((at, total))
        return total.since(self._earlier[0][1])


def _steady() -> float:
    """Seconds of a clock that nobody sets; on Linux one that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def keep_going(service: Service, stop: threading.Event) -> threading.Thread:
    """A thread that does the rounds."""
    work: Callable[[threading.Event], None] = Chores(service).run
    thread = threading.Thread(target=work, args=(stop,), name="chores", daemon=True)
    thread.start()
    return thread
