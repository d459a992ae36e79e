"""Trails of made entries, and hands laid on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert

from insula.serve.store.connect import writing
from insula.serve.store.schema import trail
from insula.serve.trail.append import append
from insula.serve.trail.entries import START, Entry, following, mark_of
from insula.serve.trail.keys import entry_key

KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"another-key-of-thirty-two-bytes!"
FIRST = datetime(2026, 3, 1, 8, tzinfo=UTC)
ACTIONS = ("login", "study.read", "study.predict", "review.write")


def fields(number: int) -> dict[str, object]:
    return {
        "actor": f"user{number % 3}",
        "action": ACTIONS[number % 4],
        "subject": f"study:{number % 5}" if number % 4 else "",
        "outcome": "refused" if number % 7 == 6 else "done",
        "detail": {"n": number, "ü": "ş"} if number % 2 else {},
        "at": FIRST + timedelta(minutes=number),
    }


def fill(engine: Engine, count: int, key: bytes = KEY) -> list[Entry]:
    """Append entries, numbered from 0 in what they tell, each a minute after the one before."""
    with writing(engine) as connection:
        return [append(connection, key, **fields(number)) for number in range(count)]  # type: ignore[arg-type]


def chain(count: int, key: bytes = KEY, before: Sequence[Entry] = (), **words: object) -> list[Entry]:
    """The same entries without a database, after those that are there; words: fields that they have instead."""
    made = list(before)
    while len(made) < count:
        mark = mark_of(made[-1]) if made else START
        made.append(following(mark, entry_key(key), **{**fields(len(made)), **words}))  # type: ignore[arg-type]
    return made


def with_field(entry: Entry, name: str, value: object) -> Entry:
    """An entry with something else in one field."""
    words: dict[str, Any] = {name: value}
    return replace(entry, **words)


def put(connection: Connection, entries: Iterable[Entry]) -> None:
    """Make the table hold these rows and no others."""
    connection.execute(delete(trail))
    rows = [asdict(entry) for entry in entries]
    if rows:
        connection.execute(insert(trail), rows)
