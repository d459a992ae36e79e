"""Whether the trail is what was written: the whole chain, held against the heads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine

from insula.serve.store.connect import reading
from insula.serve.store.schema import trail
from insula.serve.trail.chain import Fault, follow
from insula.serve.trail.entries import START, Entry, Mark
from insula.serve.trail.keys import entry_key, public_key
from insula.serve.trail.places import Heads, read_heads
from insula.serve.trail.rows import EVERY, end, stream

_ON: Final = "Ask on from there, or run: insula audit-trail verify."


@dataclass(frozen=True)
class Verdict:
    """What was found. entries: how many hold, from the first on. covered: the last of them that a head was signed for.

    heads, spoilt: genuine heads, and what lies among them and is none. keyed: whether the macs were checked. first: the
    entry from which on was looked, when those before it held. end: where to go on, and left: how many later entries
    there are, where not all were looked at.
    """

    entries: int
    covered: int
    heads: int
    spoilt: int
    keyed: bool
    fault: Fault | None
    first: int = 1
    end: Mark = START
    left: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing is at fault, as far as can be seen."""
        return self.fault is None and self.spoilt == 0

    @property
    def chain_only(self) -> bool:
        """Whether no head vouches for the end, so that a cut tail cannot be seen."""
        return self.heads == 0

    def said(self) -> str:
        """The verdict in sentences: what is at fault, which entries hold and by what, for which of them heads vouch."""
        parts = [f"Fault at entry {self.fault.seq} ({self.fault.kind}): {self.fault.said}"] if self.fault else []
        if self.spoilt:
            which = "1 cannot be read or was" if self.spoilt == 1 else f"{self.spoilt} cannot be read or were"
            parts.append(f"Among the heads, {which} not signed with this key.")
        if self.fault and not self.entries:
            return " ".join([*parts, "So not one entry holds."])
        if self.fault and self.fault.kind != "cut":
            parts.append("What comes after it was not judged.")
        if self.left and not self.fault:
            later = "1 later entry was" if self.left == 1 else f"{self.left} later entries were"
            return " ".join([*parts, self._held(), f"{later} not looked at yet. {_ON}"])
        return " ".join([*parts, self._held(), self._vouched()])

    def _held(self) -> str:
        if not self.entries:
            return "The trail has no entry."
        holds = "holds" if self.entries == self.first else "hold"
        how = "each was made with the key and follows the one before" if self.keyed else "each follows the one before"
        return f"{_span(self.first, self.entries).capitalize()} {holds}: {how}."

    def _vouched(self) -> str:
        if self.chain_only:
            lacking = "no head can be trusted" if self.spoilt else "no head is kept"
            end = "" if self.fault else ", so it cannot be seen whether entries were cut off at the end"
            return f"This is by the chain only: {lacking} where INSULA_TRAIL_HEADS says{end}."
        if not self.covered:
            later = "the one head is of a later one" if self.heads == 1 else f"all {self.heads} heads are of later ones"
            return f"No head vouches for any of them: {later}."
        one = "The one head" if self.heads == 1 else f"The last of {self.heads} heads that was reached"
        vouched = f"{one} vouches for {_span(1, self.covered)}"
        if self.entries == self.covered:
            return f"{vouched}."
        after = _span(self.covered + 1, self.entries)
        if not self.keyed:
            return f"{vouched}; without the key, {after} cannot be judged."
        return f"{vouched}; {after} came after it, and a cut there could not be seen."


def _span(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def verify(engine: Engine, key: bytes, place: str = "", start: Mark = START, most: int | None = None) -> Verdict:
    """Read the trail, a few rows in memory at a time, and hold it against the heads of a place ("" for none).

    start: an entry up to which it held before; most: how many entries are looked at, None for all that there are.
    """
    # the heads first, so that entries and heads that come meanwhile are no cut
    heads = read_heads(place, public_key(key)) if place else Heads()
    with reading(engine) as connection:
        left = 0 if most is None else max(0, end(connection).seq - start.seq - most)
        wanted = EVERY if start == START else EVERY.where(trail.c.seq > start.seq)
        if left:
            wanted = wanted.where(trail.c.seq <= start.seq + (most or 0))
            heads = replace(heads, signed={n: one for n, one in heads.signed.items() if n <= start.seq + (most or 0)})
        with closing(stream(connection, wanted)) as entries:
            return judged(entries, entry_key(key), heads, start, left)


def verify_export(entries: Iterable[Entry], public: str, place: str) -> Verdict:
    """Judge exported entries by the heads and the public key alone, for whoever has no secret; see `export.read_lines`.

    Entries after the last head are beyond what such a reader can judge: anybody can link more of them on.
    """
    return judged(entries, None, read_heads(place, public))


def judged(entries: Iterable[Entry], key: bytes | None, heads: Heads, start: Mark = START, left: int = 0) -> Verdict:
    """The verdict on entries in the order of their numbers; key: that of the entries, None for who has none.

    start: the entry before the first. left: how many there are behind the last.
    """
    mark, fault = follow(iter(entries), key, heads.signed, start)
    covered = max((seq for seq in heads.signed if seq <= mark.seq), default=0)
    keyed = key is not None
    return Verdict(mark.seq, covered, heads.count, heads.spoilt, keyed, fault, start.seq + 1, mark, left)
