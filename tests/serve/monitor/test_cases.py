from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from tests.serve.monitor.made_records import BUNDLE, START, Made

from insula.serve.monitor import cases
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import alerts

pytestmark = pytest.mark.serve


def names(rows: tuple[cases.Kept, ...]) -> list[float]:
    return [kept["n"] for _, kept in rows]


def test_each_patient_counts_once_by_the_first_prediction_in_the_order_they_came(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        patient = made.patient()
        for n, who in enumerate((patient, None, patient, None)):
            made.prediction(made.study(who), monitored={"n": n})
        made.prediction(bundle_id="another", monitored={"n": 9})
    with reading(records) as connection:
        found = cases.served(connection, BUNDLE, 2)
    assert names(found.first) == [0, 1]
    assert names(found.watched) == [3]
    assert found.number == 0


def test_without_cases_there_is_nothing(records: Engine) -> None:
    with reading(records) as connection:
        assert cases.served(connection, BUNDLE, 5) == cases.Served((), (), 0)


def test_a_full_watch_gives_way_to_the_next_with_the_same_first_cases(
    records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "WATCH", 3)
    with writing(records) as connection:
        made = Made(connection)
        seen = []
        for n in range(9):
            made.prediction(monitored={"n": n})
            found = cases.served(connection, BUNDLE, 2)
            seen.append((names(found.first), names(found.watched), found.number))
    assert seen[4] == ([0, 1], [2, 3, 4], 0)
    assert seen[5] == ([0, 1], [5], 1)
    assert seen[8] == ([0, 1], [8], 2)


def test_started_anew_only_later_cases_count_and_the_alert_is_closed(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        patient = made.patient()
        made.prediction(made.study(patient), START, monitored={"n": 0})
        assert cases.watched_since(connection, BUNDLE) is None
        cases.start_anew(connection, BUNDLE, START + timedelta(hours=1))
        made.prediction(made.study(patient), START + timedelta(hours=2), monitored={"n": 1})
        assert cases.watched_since(connection, BUNDLE) == START + timedelta(hours=1)
        assert names(cases.served(connection, BUNDLE, 5).first) == [1]
        assert cases.watched_since(connection, "another") is None
        connection.execute(alerts.insert().values(kind="drift", bundle_id=BUNDLE, message="drift"))
        cases.start_anew(connection, BUNDLE, START + timedelta(hours=3))
        assert cases.served(connection, BUNDLE, 5).first == ()
        assert connection.scalars(select(alerts.c.closed_at).order_by(alerts.c.seq)).all() == [
            START + timedelta(hours=1),
            START + timedelta(hours=3),
        ]
