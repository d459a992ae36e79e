from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert
from tests.serve.monitor.made_records import START
from tests.serve.monitor.test_metrics import found_in

from insula.metrics.intervals import Figure
from insula.serve.monitor import rules
from insula.serve.monitor.metrics import Traffic
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import jobs

pytestmark = pytest.mark.serve

SETTINGS = MonitorSettings(alert_error_rate=0.1, alert_failed_jobs=2, alert_accuracy=0.85)


def test_drift_names_the_channels_that_found_it() -> None:
    assert rules.drift("b", [found_in("distance")]) is None
    alarm = rules.drift("b", [found_in("distance"), found_in("score/stroke", "fail")])
    assert alarm is not None
    assert (alarm.kind, alarm.bundle_id, dict(alarm.detail)) == ("drift", "b", {"score/stroke": 2.0})
    assert "score/stroke" in alarm.message
    assert "distance" not in alarm.message


@pytest.mark.parametrize(
    ("traffic", "opened"),
    [(Traffic(100, 10), True), (Traffic(100, 9), False), (Traffic(19, 19), False), (Traffic(0, 0), False)],
)
def test_errors_count_from_the_limit_on_and_not_of_a_handful(traffic: Traffic, opened: bool) -> None:
    assert (rules.error_rate(traffic, SETTINGS) is not None) is opened


def test_one_request_that_found_no_place_is_enough() -> None:
    assert rules.queue_full(Traffic(10, 0, 0)) is None
    alarm = rules.queue_full(Traffic(10, 0, 3))
    assert alarm is not None
    assert alarm.detail == {"refused": 3}


def test_jobs_that_failed_of_late_are_counted(records: Engine) -> None:
    rows = [("failed", 1), ("dead", 14), ("failed", 16), ("done", 1), ("cancelled", 2)]
    with writing(records) as connection:
        for state, minutes in rows:
            ended = START - timedelta(minutes=minutes)
            connection.execute(insert(jobs).values(kind="predict", state=state, ended_at=ended))
    with reading(records) as connection:
        alarm = rules.jobs_failed(connection, SETTINGS, START)
        assert alarm is not None
        assert alarm.detail == {"failed": 2}
        assert rules.jobs_failed(connection, SETTINGS, START + timedelta(minutes=5)) is None


def test_a_trail_that_does_not_hold_is_told() -> None:
    assert rules.trail_broken(True) is None
    alarm = rules.trail_broken(False)
    assert alarm is not None
    assert (alarm.kind, alarm.bundle_id) == ("trail_broken", "")


def test_accuracy_is_low_where_the_whole_interval_is() -> None:
    low = Figure(0.7, (0.6, 0.8), "", 50, 50, 35)
    alarm = rules.accuracy("b", low, SETTINGS)
    assert alarm is not None
    assert alarm.detail == {"accuracy": 0.7, "low": 0.6, "high": 0.8, "reviewed": 50}
    assert rules.accuracy("b", replace(low, interval=(0.6, 0.85)), SETTINGS) is None
    assert rules.accuracy("b", replace(low, interval=None), SETTINGS) is None
    assert rules.accuracy("b", low, SETTINGS.model_copy(update={"alert_accuracy": 0.0})) is None


def test_every_alarm_is_of_a_kind_that_is_listed() -> None:
    assert set(rules.KINDS) == {"drift", "error_rate", "queue_full", "jobs_failed", "trail_broken", "accuracy"}
