from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.serve.monitor.made_records import START

from insula.serve.faults import RequestError
from insula.serve.monitor import alerts, cases
from insula.serve.monitor.rules import Alarm
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve

FULL = Alarm("queue_full", "3 requests were turned away.", detail={"refused": 3})
DRIFT = Alarm("drift", "Scans changed.", "b")
LATER = START + timedelta(hours=1)


def test_an_alert_is_opened_once_and_closed_when_it_is_over(records: Engine) -> None:
    looked = [("queue_full", "")]
    with writing(records) as connection:
        first = alerts.settle(connection, looked, [FULL], START)  # type: ignore[arg-type]
        assert [one.message for one in first.opened] == [FULL.message]
        assert first.opened[0].detail == {"refused": 3}
        assert first.opened[0].opened_at == START
        assert alerts.settle(connection, looked, [FULL], LATER) == alerts.Changes((), ())  # type: ignore[arg-type]
        over = alerts.settle(connection, looked, [], LATER)  # type: ignore[arg-type]
        assert [(one.id, one.closed_at) for one in over.closed] == [(first.opened[0].id, LATER)]
        assert alerts.settle(connection, looked, [], LATER) == alerts.Changes((), ())  # type: ignore[arg-type]
        again = alerts.settle(connection, looked, [FULL], LATER)  # type: ignore[arg-type]
        assert again.opened[0].id != first.opened[0].id


def test_what_was_not_looked_at_stays_as_it_is_and_models_are_apart(records: Engine) -> None:
    of_a = Alarm("accuracy", "low", "a")
    with writing(records) as connection:
        alerts.settle(connection, [], [FULL, of_a, Alarm("accuracy", "low", "b")], START)
        changed = alerts.settle(connection, [("accuracy", "b"), ("accuracy", "a")], [of_a], LATER)
        assert [(one.kind, one.bundle_id) for one in changed.closed] == [("accuracy", "b")]
        open_now = alerts.listed(connection, open_only=True).rows
    assert [(one.kind, one.bundle_id) for one in open_now] == [("accuracy", "a"), ("queue_full", "")]


def test_drift_stays_open_until_the_watch_is_started_anew(records: Engine) -> None:
    with writing(records) as connection:
        alerts.settle(connection, [("drift", "b")], [DRIFT], START)
        assert alerts.settle(connection, [("drift", "b")], [], LATER).closed == ()
        cases.start_anew(connection, "b", LATER)
        assert alerts.listed(connection, open_only=True).rows == ()
        assert cases.watched_since(connection, "b") == LATER
        assert len(alerts.settle(connection, [("drift", "b")], [DRIFT], LATER).opened) == 1


def test_processes_that_find_the_same_at_once_open_one(records: Engine) -> None:
    opened: list[alerts.Alert] = []
    gate = threading.Barrier(4)

    def look() -> None:
        gate.wait()
        with writing(records) as connection:
            opened.extend(alerts.settle(connection, [], [FULL, DRIFT], START).opened)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.kind for one in opened) == ["drift", "queue_full"]


def test_the_list_goes_by_pages_and_sent_alerts_are_told(records: Engine) -> None:
    with writing(records) as connection:
        made = alerts.settle(connection, [], [Alarm("accuracy", "low", f"{i}") for i in range(5)], START).opened
        alerts.sent(connection, made[0].id, LATER)
    with reading(records) as connection:
        first = alerts.listed(connection, limit=3)
        rest = alerts.listed(connection, before=first.before, limit=3)
        assert [one.bundle_id for one in (*first.rows, *rest.rows)] == ["4", "3", "2", "1", "0"]
        assert rest.before is None
        assert [one.sent_at for one in rest.rows] == [None, LATER]
        told = alerts.found(connection, made[0].id)
        assert told is not None
        assert told.sent_at == LATER
        assert alerts.found(connection, "nobody") is None
        with pytest.raises(RequestError, match="1 to 200"):
            alerts.listed(connection, limit=0)
