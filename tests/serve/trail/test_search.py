"""Entries are found by who, what, on what and when, page by page."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import Engine
from tests.serve.trail.filled import ACTIONS, FIRST

from insula.core.errors import TrailError, UsageError
from insula.serve.store.connect import reading
from insula.serve.trail.entries import Entry
from insula.serve.trail.search import Filter, known, matching, page

pytestmark = pytest.mark.serve


def paged(engine: Engine, wanted: Filter, limit: int) -> list[Entry]:
    found: list[Entry] = []
    with reading(engine) as connection:
        got = page(connection, wanted, limit=limit)
        found += got.entries
        while got.before is not None:
            assert len(got.entries) == limit
            got = page(connection, wanted, before=got.before, limit=limit)
            found += got.entries
    return found


@pytest.mark.parametrize("limit", [1, 3, 20, 21])
def test_pages_together_are_the_whole_and_the_newest_comes_first(
    limit: int, records: Engine, twenty: list[Entry]
) -> None:
    assert paged(records, Filter(), limit) == twenty[::-1]


def test_each_filter_and_all_together(records: Engine, twenty: list[Entry]) -> None:
    some = 0
    for actor, action, subject, outcome in product(
        ("", "user1"), ("", *ACTIONS), ("", "study:3", "none"), ("", "refused")
    ):
        expected = [
            entry
            for entry in twenty
            if actor in ("", entry.actor)
            and action in ("", entry.action)
            and subject in ("", entry.subject)
            and outcome in ("", entry.outcome)
        ]
        wanted = Filter(actor, action, subject, outcome)
        assert paged(records, wanted, 2) == expected[::-1]
        with reading(records) as connection:
            assert list(matching(connection, wanted)) == expected
        some += 0 < len(expected) < 20
    assert some > 15


def test_the_values_that_there_are(records: Engine, twenty: list[Entry]) -> None:
    with reading(records) as connection:
        assert known(connection, "actor") == sorted({entry.actor for entry in twenty})
        assert known(connection, "action") == sorted(ACTIONS)
        assert known(connection, "action", most=2) == sorted(ACTIONS)[:2]


def test_no_entry_has_no_values(alone: Engine) -> None:
    with reading(alone) as connection:
        assert known(connection, "actor") == []


def test_time_has_a_first_instant_and_an_end_beyond(records: Engine, twenty: list[Entry]) -> None:
    since, until = FIRST + timedelta(minutes=4), FIRST + timedelta(minutes=9)
    assert paged(records, Filter(since=since, until=until), 100) == twenty[4:9][::-1]
    assert paged(records, Filter(since=until), 100) == twenty[9:][::-1]
    assert paged(records, Filter(until=since + timedelta(microseconds=1)), 100) == twenty[:5][::-1]
    with pytest.raises(TrailError, match="no time zone"):
        paged(records, Filter(since=since.replace(tzinfo=None)), 100)


def test_entries_that_come_while_one_pages_disturb_no_page(records: Engine, twenty: list[Entry]) -> None:
    from tests.serve.trail.filled import fill

    with reading(records) as connection:
        first = page(connection, limit=5)
    fill(records, 7)
    with reading(records) as connection:
        second = page(connection, before=first.before, limit=5)
    assert [*first.entries, *second.entries] == twenty[:-11:-1]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_named(limit: int, records: Engine) -> None:
    with reading(records) as connection, pytest.raises(UsageError, match=f"A page of {limit} entries"):
        page(connection, limit=limit)
