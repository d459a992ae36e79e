"""Keeping a head: the trail is followed from the last head on, and its end is signed only where it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from insula.core.errors import TrailError
from insula.serve.store.connect import reading
from insula.serve.store.schema import trail
from insula.serve.trail.chain import Fault, follow
from insula.serve.trail.entries import START, Entry, Mark, mark_of
from insula.serve.trail.heads import EVERY_ENTRIES, EVERY_TIME, Head, due, sign
from insula.serve.trail.keys import entry_key, public_key, signing_key
from insula.serve.trail.places import add_head, newest_head
from insula.serve.trail.rows import EVERY, end, stream


def keep_head(engine: Engine, key: bytes, place: str, *, now: datetime | None = None) -> Head | None:
    """Sign the trail's end and keep it at a place; None where no entry came since the last head.

    place: a file, or an address of fsspec. Raises TrailError where the last head's entry, or one since, does not hold.
    """
    last = newest_head(place, public_key(key))
    wanted = EVERY.where(trail.c.seq >= last.seq) if last else EVERY
    with reading(engine) as connection, closing(stream(connection, wanted)) as entries:
        mark, fault = _since(last, entries, key)
    if fault:
        raise TrailError(f"No head was signed: {fault.said} Run: insula audit-trail verify.")
    if mark.seq == (last.seq if last else 0):
        return None
    head = sign(mark, now or datetime.now(UTC), signing_key(key))
    add_head(place, head)
    return head


def keep_head_if_due(
    engine: Engine,
    key: bytes,
    place: str,
    *,
    now: datetime | None = None,
    entries: int = EVERY_ENTRIES,
    time: timedelta = EVERY_TIME,
) -> Head | None:
    """As `keep_head`, where one is due (`heads.due`); for a loop that asks every minute or so."""
    now = now or datetime.now(UTC)
    last = newest_head(place, public_key(key))
    with reading(engine) as connection:
        seq = end(connection).seq
    return keep_head(engine, key, place, now=now) if due(last, seq, now, entries=entries, time=time) else None


def _since(last: Head | None, entries: Iterator[Entry], key: bytes) -> tuple[Mark, Fault | None]:
    if last is None:
        return follow(entries, entry_key(key), {})
    start, first = Mark(last.seq, last.digest), next(entries, None)
    if first is None or first.seq != last.seq:
        said = f"entry {last.seq}, for which the last head was signed, is not there any more."
        return START, Fault(last.seq, "cut" if first is None else "missing", said)
    if mark_of(first) != start:
        said = f"entry {last.seq} is not the one for which the last head was signed."
        return START, Fault(last.seq, "changed", said)
    return follow(entries, entry_key(key), {}, start)
