"""Every hand laid on a trail of twenty entries is found, at the first entry that it touched."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from sqlalchemy import Connection, Engine, bindparam, text, update
from sqlalchemy.exc import IntegrityError
from tests.serve.trail.filled import KEY, OTHER, chain, fill, put, with_field

from insula.serve.store.schema import trail
from insula.serve.trail.chain import Fault
from insula.serve.trail.entries import Entry, holds, mark_of
from insula.serve.trail.keys import entry_key
from insula.serve.trail.places import Heads
from insula.serve.trail.rows import stream
from insula.serve.trail.verify import Verdict, judged

pytestmark = pytest.mark.serve

TEXTS = [column.name for column in trail.c if column.name != "seq"]


def verdict(connection: Connection, heads: Heads | None = None) -> Verdict:
    return judged(stream(connection), entry_key(KEY), heads or Heads())


def fault(connection: Connection, entries: list[Entry] | None = None, heads: Heads | None = None) -> Fault:
    if entries is not None:
        put(connection, entries)
    found = verdict(connection, heads).fault
    assert found is not None
    return found


def heads_of(*entries: Entry) -> Heads:
    return Heads({entry.seq: frozenset({mark_of(entry).digest}) for entry in entries}, len(entries))


def renumbered(entries: list[Entry]) -> list[Entry]:
    return [replace(entry, seq=place) for place, entry in enumerate(entries, start=1)]


def relinked(entries: list[Entry], start: int) -> list[Entry]:
    """What somebody can do who knows all but the key: links made anew from an entry on, macs invented."""
    made = entries[: start - 1]
    for entry in entries[start - 1 :]:
        previous = mark_of(made[-1]).digest if made else entry.previous
        made.append(replace(entry, actor="nobody", previous=previous, mac="ab" * 32))
    return made


def test_an_untouched_trail_holds(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        found = verdict(connection, heads_of(twenty[4], twenty[17]))
    assert (found.holds, found.entries, found.covered, found.chain_only) == (True, 20, 18, False)
    assert [entry.seq for entry in twenty] == list(range(1, 21))


@pytest.mark.parametrize("name", TEXTS)
def test_every_byte_of_every_stored_field(name: str, alone: Engine) -> None:
    entries = fill(alone, 20)
    tried = 0
    with alone.connect() as connection:
        for entry in entries:
            stored = getattr(entry, name).encode()
            change = text(f"UPDATE trail SET {name} = CAST(:value AS TEXT) WHERE seq = {entry.seq}")
            for i in range(len(stored)):
                for bit in (1 << (tried % 7), 0x80):  # the latter makes it no text at all
                    changed = stored[:i] + bytes([stored[i] ^ bit]) + stored[i + 1 :]
                    with connection.begin_nested() as point:
                        connection.execute(change, {"value": changed})
                        found = fault(connection)
                        point.rollback()
                    assert (found.seq, found.kind) == (entry.seq, "changed"), (i, bit)
                tried += 1
        assert verdict(connection).holds
    assert tried == sum(len(getattr(entry, name)) for entry in entries) > 60


def test_bytes_on_postgresql_and_sqlite_by_sample(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for number, entry in enumerate(twenty):
            for name in TEXTS:
                stored = getattr(entry, name)
                for i in range(number % 5, len(stored), 11):
                    changed = stored[:i] + chr(ord(stored[i]) ^ 1) + stored[i + 1 :]
                    with connection.begin_nested() as point:
                        connection.execute(update(trail).where(trail.c.seq == entry.seq).values({name: changed}))
                        found = fault(connection)
                        point.rollback()
                    assert (found.seq, found.kind) == (entry.seq, "changed"), (name, i)


def test_bytes_added_and_taken_away(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for entry in twenty:
            for name in ("at", "actor", "action", "subject", "outcome", "detail"):
                stored = getattr(entry, name)
                for changed in {stored + " ", " " + stored, stored[:-1], stored[1:], ""} - {stored}:
                    with connection.begin_nested() as point:
                        connection.execute(update(trail).where(trail.c.seq == entry.seq).values({name: changed}))
                        found = fault(connection)
                        point.rollback()
                    assert (found.seq, found.kind) == (entry.seq, "changed"), (name, changed)


def test_every_value_of_every_byte_of_one_entry() -> None:
    entry = chain(2)[1]
    key = entry_key(KEY)
    assert holds(entry, key)
    tried = 0
    for name in TEXTS:
        stored = getattr(entry, name).encode()
        for i in range(len(stored)):
            for value in set(range(256)) - {stored[i]}:
                changed = stored[:i] + bytes([value]) + stored[i + 1 :]
                tried += 1
                assert not holds(with_field(entry, name, changed.decode("utf-8", "surrogateescape")), key)
    assert tried == 255 * sum(len(getattr(entry, name).encode()) for name in TEXTS)


def test_every_other_number_of_every_entry(records: Engine, twenty: list[Entry]) -> None:
    change = update(trail).where(trail.c.seq == bindparam("old")).values(seq=bindparam("new"))
    refused = 0
    with records.connect() as connection:
        for entry in twenty:
            for seq in {*range(-1, 24), entry.seq + 256, entry.seq + (1 << 32)} - {entry.seq}:
                point = connection.begin_nested()
                try:
                    connection.execute(change, {"old": entry.seq, "new": seq})
                except IntegrityError:
                    refused += 1  # the number is taken
                else:
                    found = fault(connection)
                    expected = seq if seq < 1 else entry.seq
                    assert (found.seq, found.kind) == (expected, "inserted" if seq < 1 else "missing")
                point.rollback()
    assert refused == 20 * 19


def test_a_text_that_became_bytes_or_nothing(alone: Engine) -> None:
    fill(alone, 3)
    with alone.connect() as connection:
        for name in TEXTS:
            with connection.begin_nested() as point:
                connection.exec_driver_sql(f"UPDATE trail SET {name} = CAST({name} AS BLOB) WHERE seq = 2")
                found = fault(connection)
                point.rollback()
            assert (found.seq, found.kind) == (2, "changed")


def test_a_row_hidden_behind_an_equal_number(alone: Engine) -> None:
    entries = fill(alone, 4)
    with alone.connect() as connection:
        connection.exec_driver_sql("DROP TABLE trail")
        columns = ", ".join(f"{name} TEXT" for name in TEXTS)
        connection.exec_driver_sql(f"CREATE TABLE trail (seq INTEGER, {columns})")
        put(connection, [*entries[:2], replace(entries[1], actor="x"), *entries[2:]])
        assert (fault(connection).seq, fault(connection).kind) == (2, "inserted")
        put(connection, entries)
        assert verdict(connection).holds
        connection.exec_driver_sql("INSERT INTO trail (seq, actor) VALUES (NULL, 'x')")
        assert fault(connection).kind == "inserted"


def test_every_deletion(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for entry in twenty[:-1]:
            rest = [other for other in twenty if other is not entry]
            found = fault(connection, rest)
            assert (found.seq, found.kind) == (entry.seq, "missing")
            found = fault(connection, renumbered(rest))  # the hole closed
            assert (found.seq, found.kind) == (entry.seq, "moved")
            assert f"written as {entry.seq + 1}" in found.said


def test_every_insertion(records: Engine, twenty: list[Entry]) -> None:
    forged = replace(twenty[0], actor="nobody")
    with records.connect() as connection:
        for place in range(21):
            found = fault(connection, renumbered([*twenty[:place], forged, *twenty[place:]]))
            assert (found.seq, found.kind) == (place + 1, "inserted" if place < 20 else "changed")
            for copied in (twenty[0], twenty[12], twenty[19]):
                found = fault(connection, renumbered([*twenty[:place], copied, *twenty[place:]]))
                first = place + 1 + (place + 1 == copied.seq)  # a copy right before the entry is the entry itself
                assert (found.seq, found.kind) == (first, "moved")


def test_every_exchange_of_two(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for a, b in combinations(range(20), 2):
            order = list(twenty)
            order[a], order[b] = order[b], order[a]
            found = fault(connection, renumbered(order))
            assert (found.seq, found.kind) == (a + 1, "moved")
            assert f"written as {b + 1}" in found.said


def test_every_cut_of_the_tail_is_found_by_a_head_and_by_nothing_else(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for left in range(20):
            put(connection, twenty[:left])
            alone = verdict(connection)
            assert alone.holds
            assert alone.chain_only
            assert "cannot be seen whether entries were cut off" in alone.said()
            found = fault(connection, heads=heads_of(twenty[2], twenty[19]))
            assert (found.seq, found.kind) == (left + 1, "cut")


def test_a_trail_that_went_on_after_a_cut_is_found_by_a_head(records: Engine, twenty: list[Entry]) -> None:
    heads = heads_of(twenty[3], twenty[14])
    with records.connect() as connection:
        for left in range(15):
            put(connection, chain(20, before=twenty[:left], actor="later"))
            assert verdict(connection).holds  # the chain alone does not know
            found = fault(connection, heads=heads)
            assert (found.seq, found.kind) == (4 if left < 4 else 15, "forked")


def test_entries_of_two_histories_put_together(records: Engine, twenty: list[Entry]) -> None:
    other = chain(20, before=twenty[:5], actor="later")
    with records.connect() as connection:
        for place in range(7, 20):
            found = fault(connection, [*twenty[:place], *other[place:]])
            assert (found.seq, found.kind) == (place + 1, "forked")


def test_every_rewriting_without_the_key(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        for start in range(1, 21):
            found = fault(connection, relinked(twenty, start))
            assert (found.seq, found.kind) == (start, "rewritten" if start < 20 else "changed")
        found = fault(connection, chain(20, OTHER))
        assert (found.seq, found.kind) == (1, "rewritten")
        for start in range(1, 20):
            found = fault(connection, chain(20, OTHER, twenty[:start]))
            assert (found.seq, found.kind) == (start + 1, "rewritten" if start < 19 else "changed")


def test_a_rewriting_with_the_key_is_found_by_a_head_alone(records: Engine, twenty: list[Entry]) -> None:
    with records.connect() as connection:
        put(connection, chain(20, actor="nobody"))
        assert verdict(connection).holds
        found = fault(connection, heads=heads_of(twenty[9]))
        assert (found.seq, found.kind) == (10, "forked")
        assert found.said.startswith(
            "entry 10 is not the one that a head was signed for, though it holds under the key"
        )
