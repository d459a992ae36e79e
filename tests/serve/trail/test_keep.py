"""A head is kept of a trail that holds, and refused of one that does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.serve.trail.filled import FIRST, KEY, OTHER, chain, fields, put

from insula.core.errors import TrailError
from insula.serve.store.connect import writing
from insula.serve.trail.append import append
from insula.serve.trail.entries import Entry, mark_of
from insula.serve.trail.keep import keep_head, keep_head_if_due
from insula.serve.trail.keys import public_key
from insula.serve.trail.places import read_heads
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "heads.jsonl")


def add(engine: Engine, number: int) -> Entry:
    with writing(engine) as connection:
        return append(connection, KEY, **fields(number))  # type: ignore[arg-type]


def test_of_an_empty_trail_there_is_no_head(records: Engine, place: str) -> None:
    assert keep_head(records, KEY, place) is None
    assert not Path(place).exists()
    found = verify(records, KEY, place)
    assert found.holds
    assert found.chain_only


def test_a_head_is_kept_once_for_an_entry(records: Engine, twenty: list[Entry], place: str) -> None:
    head = keep_head(records, KEY, place, now=FIRST)
    assert head is not None
    assert (head.seq, head.digest, head.at) == (20, mark_of(twenty[-1]).digest, "2026-03-01T08:00:00.000000Z")
    assert keep_head(records, KEY, place) is None
    assert verify(records, KEY, place).covered == 20
    add(records, 20)
    later = keep_head(records, KEY, place, now=FIRST)
    assert later is not None
    assert later.seq == 21
    assert read_heads(place, public_key(KEY)).count == 2


def test_a_loop_keeps_heads_when_they_are_due(records: Engine, place: str) -> None:
    kept = []
    for minute in range(0, 180, 5):  # an entry every five minutes
        add(records, minute)
        head = keep_head_if_due(records, KEY, place, now=FIRST + timedelta(minutes=minute))
        if head:
            kept.append((minute, head.seq))
    assert kept == [(0, 1), (60, 13), (120, 25)]
    for number in range(4):
        add(records, number)
    assert keep_head_if_due(records, KEY, place, now=FIRST + timedelta(minutes=176), entries=16) is None
    head = keep_head_if_due(records, KEY, place, now=FIRST + timedelta(minutes=176), entries=15)
    assert head is not None
    assert head.seq == 40


def test_nothing_is_signed_where_an_entry_since_the_last_head_is_changed(
    records: Engine, twenty: list[Entry], place: str
) -> None:
    with writing(records) as connection:
        put(connection, twenty[:10])
    keep_head(records, KEY, place)
    for touched in range(10, 20):
        with writing(records) as connection:
            changed = replace(twenty[touched], actor="nobody")
            put(connection, [*twenty[:touched], changed, *twenty[touched + 1 :]])
        with pytest.raises(TrailError, match=f"entry {touched + 1} is not as it was written"):
            keep_head(records, KEY, place)
    assert read_heads(place, public_key(KEY)).count == 1


@pytest.mark.parametrize(
    ("left", "grown", "said"),
    [
        (5, 5, "entry 10, for which the last head was signed, is not there any more"),
        (0, 0, "entry 10, for which the last head was signed, is not there any more"),
        (5, 20, "entry 10 is not the one for which the last head was signed"),
    ],
)
def test_a_cut_since_the_last_head_is_told_when_the_next_is_due(
    left: int, grown: int, said: str, records: Engine, twenty: list[Entry], place: str
) -> None:
    with writing(records) as connection:
        put(connection, twenty[:10])
    keep_head(records, KEY, place, now=FIRST)
    with writing(records) as connection:
        put(connection, chain(grown, before=twenty[:left], actor="later"))
    with pytest.raises(TrailError, match=said):
        keep_head_if_due(records, KEY, place, now=FIRST + timedelta(hours=2))
    assert not verify(records, KEY, place).holds


def test_the_entry_of_the_last_head_taken_out_of_the_middle(records: Engine, twenty: list[Entry], place: str) -> None:
    with writing(records) as connection:
        put(connection, twenty[:10])
    keep_head(records, KEY, place)
    with writing(records) as connection:
        put(connection, [*twenty[:9], *twenty[10:]])
    with pytest.raises(TrailError, match="entry 10, for which"):
        keep_head(records, KEY, place)


def test_another_key_signs_nothing(records: Engine, twenty: list[Entry], place: str) -> None:
    with pytest.raises(TrailError, match="or INSULA_TRAIL_KEY is not the key"):
        keep_head(records, OTHER, place)
    assert not Path(place).exists()
    assert len(twenty) == 20


def test_a_spoilt_head_fails_the_whole_verdict(records: Engine, twenty: list[Entry], place: str) -> None:
    keep_head(records, KEY, place)
    with Path(place).open("ab") as file:
        file.write(b'{"seq": 3}\n')
    found = verify(records, KEY, place)
    assert found.fault is None
    assert (found.heads, found.spoilt, found.holds) == (1, 1, False)
    assert "Among the heads, 1 cannot be read" in found.said()
    assert found.entries == len(twenty)


def test_heads_taken_away_leave_a_chain_only(records: Engine, twenty: list[Entry], place: str) -> None:
    keep_head(records, KEY, place)
    assert not verify(records, KEY, place).chain_only
    Path(place).unlink()
    found = verify(records, KEY, place)
    assert found.chain_only
    assert found.said() == (
        f"Entries 1 to {len(twenty)} hold: each was made with the key and follows the one before. This is by the chain "
        "only: no head is kept where INSULA_TRAIL_HEADS says, so it cannot be seen whether entries were cut off at the "
        "end."
    )
