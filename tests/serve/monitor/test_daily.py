from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine
from tests.serve.monitor.made_records import BUNDLE, Made

from insula.serve.monitor import daily
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
AT = datetime(2026, 3, 10, 0, 30, tzinfo=UTC)


def test_answers_are_counted_by_the_day_in_utc_and_quiet_days_stand_too(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        for at, action in (
            (AT, "accept"),
            (AT - timedelta(minutes=31), "accept"),
            (AT - timedelta(minutes=32), "accept"),
            (AT - timedelta(minutes=33), "refer"),
            (datetime(2026, 3, 8, 0, 0, tzinfo=UTC), "reject"),
            (datetime(2026, 3, 7, 23, 59, tzinfo=UTC), "reject"),
        ):
            made.prediction(at=at, action=action)
        made.prediction(at=AT, bundle_id="another")
    with reading(records) as connection:
        found = daily.days(connection, BUNDLE, AT, 3)
        assert [(one.day, dict(one.actions)) for one in found] == [
            (date(2026, 3, 8), {"reject": 1}),
            (date(2026, 3, 9), {"accept": 2, "refer": 1}),
            (date(2026, 3, 10), {"accept": 1}),
        ]
        assert all(not one.actions for one in daily.days(connection, "none", AT, 3))


def test_the_middle_time_is_that_of_the_latest_timed_answers(records: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "LATEST", 3)
    with writing(records) as connection:
        made = Made(connection)
        for took in (9000.0, 100.0, 300.0, 0.0, 200.0):
            made.prediction(milliseconds=took)
    with reading(records) as connection:
        found = daily.took(connection, BUNDLE)
        assert found is not None
        assert (found.median, found.n) == (200.0, 3)
        assert 200.0 < found.most <= 300.0
        assert daily.took(connection, "none") is None
