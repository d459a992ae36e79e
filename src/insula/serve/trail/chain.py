"""Following the chain from entry to entry, to the first one at fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from insula.serve.trail.entries import START, Entry, Mark, holds, mark_of

Kind = Literal["changed", "moved", "inserted", "missing", "rewritten", "forked", "cut"]
_NEAR: Final = 10_000  # places to either side at which an entry out of place is looked for
_OTHER_KEY: Final = ", or INSULA_TRAIL_KEY is not the key that the trail was written with"


@dataclass(frozen=True)
class Fault:
    """The first entry that is not what was written, and how; said is one sentence."""

    seq: int
    kind: Kind
    said: str


def follow(
    entries: Iterator[Entry], key: bytes | None, heads: Mapping[int, frozenset[str]], start: Mark = START
) -> tuple[Mark, Fault | None]:
    """How far the chain holds from a place on, and what is at fault after that.

    entries: in the order of their numbers. key: that of the entries; None for who has none, who sees with the digests
    alone whether the entries up to a head are those that it was signed for. heads: digests signed for a number.
    """
    mark = start
    for entry in entries:
        fault = _fault(entry, mark, key, entries) or _beside(entry, heads, key)
        if fault:
            return mark, fault
        mark = mark_of(entry)
    signed = max(heads, default=0)
    if signed > mark.seq:
        said = f"the trail ends with {mark.seq}, and a head was signed for {signed}: its end was cut off."
        return mark, Fault(mark.seq + 1, "cut", said)
    return mark, None


def _fault(entry: Entry, mark: Mark, key: bytes | None, rest: Iterator[Entry]) -> Fault | None:
    place = mark.seq + 1
    if entry.seq > place:
        return Fault(place, "missing", f"entry {place} is missing; {entry.seq} is the next.")
    if entry.seq < place:
        return Fault(entry.seq, "inserted", f"a row has the number {entry.seq}, where {place} should be next.")
    if key is not None and not holds(entry, key):
        return _explained(entry, key, rest)
    if entry.previous == mark.digest:
        return None
    if key is None:
        return Fault(place, "changed", f"entry {place} does not follow {mark.seq}: one of the two is not as written.")
    return Fault(place, "forked", f"entry {place} was written after another {mark.seq}: two trails were put together.")


def _explained(entry: Entry, key: bytes, rest: Iterator[Entry]) -> Fault:
    """Why an entry's mac does not hold, as far as that can be told."""
    place, later = entry.seq, next(rest, None)
    after = sum(1 for _ in islice(rest, _NEAR))
    near = range(max(1, place - _NEAR), place + after + 3)  # one past the end: where an entry was taken out before it
    origin = next((seq for seq in near if holds(replace(entry, seq=seq), key)), None)
    if origin is not None:
        return Fault(place, "moved", f"the entry that was written as {origin} stands at {place}.")
    if later is not None and holds(replace(later, seq=place), key):
        return Fault(
            place, "inserted", f"entry {place} was put in; the one that was written as {place} comes after it."
        )
    key_said = _OTHER_KEY if place == 1 else ""
    if later is not None and not holds(later, key) and later.previous == mark_of(entry).digest:
        return Fault(place, "rewritten", f"the trail was written anew from {place} on without the key{key_said}.")
    return Fault(place, "changed", f"entry {place} is not as it was written{key_said}.")


def _beside(entry: Entry, heads: Mapping[int, frozenset[str]], key: bytes | None) -> Fault | None:
    signed = heads.get(entry.seq)
    if signed is None or signed == {mark_of(entry).digest}:
        return None
    before = max((seq for seq in heads if seq < entry.seq), default=0)
    said = f"entry {entry.seq} is not the one that a head was signed for"
    if key is None:
        return Fault(entry.seq, "changed", f"{said}: it, or one of those from {before + 1} on, was changed.")
    return Fault(
        entry.seq,
        "forked",
        f"{said}, though it holds under the key: from {before + 1} or later on, the end was cut or an older copy put "
        "back and the trail went on, or it was written anew with the key.",
    )
