"""What is done now and then: heads, alerts, retention."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from tests.serve.api.made import Made

from insula.serve.chores import Chores
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve


def test_a_round_keeps_a_head_that_vouches_for_the_end(made: Made) -> None:
    made.study(patient="CH-1")
    Chores(made.service).heads(now())
    place = made.settings.trail_heads
    assert Path(place).stat().st_size > 0
    found = verify(made.service.records, made.service.key, place)
    assert found.holds
    assert not found.chain_only


def test_failed_jobs_open_one_alert_and_close_it_when_they_are_old(made: Made) -> None:
    at, chores = now(), Chores(made.service)
    many = [{"id": schema.new_id(), "kind": "x", "state": "failed", "ended_at": at} for _ in range(9)]
    with writing(made.service.records) as connection:
        connection.execute(insert(schema.jobs), many)
    chores.round(at)
    chores.round(at + timedelta(minutes=1))
    admin = made.client("admin")
    found = admin.get("/api/v1/monitor/alerts", params={"open_only": True}).json()["items"]
    assert [one["kind"] for one in found] == ["jobs_failed"]
    chores.round(at + timedelta(hours=1))
    assert admin.get("/api/v1/monitor/alerts", params={"open_only": True}).json()["items"] == []
    actions = [one["action"] for one in admin.get("/api/v1/trail", params={"actor": "monitor"}).json()["items"]]
    assert actions == ["alert.close", "alert.open"]


def test_what_is_too_old_goes_and_the_trail_says_so(made: Made) -> None:
    found = made.predicted(patient="OLD-1")
    admin = made.client("admin")
    rules = {"files_days": 30, "predictions_days": 30}
    assert admin.put(f"/api/v1/projects/{made.inside}/retention", json=rules).json() == rules
    chores = Chores(made.service)
    chores.seldom(now())
    assert admin.get(f"/api/v1/predictions/{found['id']}").status_code == 200
    chores.seldom(now() + timedelta(days=40))
    assert admin.get(f"/api/v1/predictions/{found['id']}").status_code == 404
    told = admin.get("/api/v1/trail", params={"action": "retention.apply"}).json()["items"]
    assert told[0]["subject"] == made.inside
    with reading(made.service.records) as connection:
        count = connection.execute(select(func.count()).select_from(schema.trail)).scalar_one()
    assert count > 0


def test_a_chore_that_fails_keeps_no_other_from_being_done(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    chores, done = Chores(made.service), []

    def broken(at: object) -> None:
        raise RuntimeError("disk full")

    broken.__name__ = "heads"
    monkeypatch.setattr(chores, "heads", broken)
    monkeypatch.setattr(chores, "monitor", lambda at: done.append(at))
    chores.round(now())
    assert len(done) == 1


def test_a_trail_that_does_not_hold_is_not_signed_and_raises_an_alert(made: Made) -> None:
    chores, at = Chores(made.service), now() + timedelta(hours=2)
    made.study(patient="BR-1")
    with writing(made.service.records) as connection:
        (last,) = connection.execute(select(func.max(schema.trail.c.seq))).one()
        row = schema.trail.c.seq == last
        connection.execute(schema.trail.update().where(row).values(actor="somebody else"))
    chores.heads(at)
    chores.monitor(at)
    with reading(made.service.records) as connection:
        kinds = connection.scalars(select(schema.alerts.c.kind).where(schema.alerts.c.closed_at.is_(None))).all()
    assert "trail_broken" in kinds
