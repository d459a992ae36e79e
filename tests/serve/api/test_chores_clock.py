"""Chores and a clock that is put forward: nothing is deleted for an age that the clock alone says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.serve.api.made import Made, service

from insula.serve.chores import Chores
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now, token_uses

pytestmark = pytest.mark.serve


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Made]:
    """A service whose projects keep files for a month."""
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        rules = {"files_days": 30, "predictions_days": 30}
        assert made.client("admin").put(f"/api/v1/projects/{made.inside}/retention", json=rules).status_code == 200
        yield made


def files(made: Made, study: str) -> int:
    return len(made.client("reviewer").get(f"/api/v1/studies/{study}").json().get("files", ()))


def test_retention_waits_for_a_day_after_the_clock_was_put_forward(kept: Made) -> None:
    study, at, chores = kept.study()["id"], now(), Chores(kept.service)
    years = timedelta(days=3650)
    chores.look_at_clock(at, 1000.0)
    chores.look_at_clock(at + years, 1060.0)
    chores.seldom(at + years)
    assert files(kept, study) == 2
    chores.look_at_clock(at, 1120.0)  # put back
    chores.seldom(at)
    for hours in range(1, 26):
        chores.look_at_clock(at + timedelta(hours=hours), 1120.0 + 3600 * hours)
        chores.seldom(at + timedelta(hours=hours))
    assert files(kept, study) == 2
    for hours in range(26, 24 * 40):  # forty days, as the steady clock says too
        chores.look_at_clock(at + timedelta(hours=hours), 1120.0 + 3600 * hours)
    chores.seldom(at + timedelta(days=40))
    assert files(kept, study) == 0


def test_tokens_and_tries_of_old_are_forgotten(kept: Made) -> None:
    at, old = now(), [timedelta(days=8), timedelta(days=6)]
    with writing(kept.service.records) as connection:
        for age in old:
            connection.execute(insert(token_uses).values(digest=f"{age.days:064d}", ends_at=at - age))
    Chores(kept.service).seldom(at)
    with reading(kept.service.records) as connection:
        assert connection.scalars(select(token_uses.c.digest)).all() == [f"{6:064d}"]


def test_a_clock_that_is_put_back_does_not_end_the_rounds(kept: Made) -> None:
    study, at, chores = kept.study()["id"], now(), Chores(kept.service)
    chores.seldom(at + timedelta(days=3650 * 2) - timedelta(days=3650 * 2))
    chores._seldom = at + timedelta(days=3650)  # a round of a time when the clock was ahead
    chores.seldom(at + timedelta(days=40))
    assert files(kept, study) == 0
