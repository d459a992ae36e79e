"""Whether the trail is what was written: the whole chain, held against the heads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Engine

from insula.serve.store.connect import reading
from insula.serve.trail.chain import Fault, follow
from insula.serve.trail.entries import Entry
from insula.serve.trail.keys import entry_key, public_key
from insula.serve.trail.places import Heads, read_heads
from insula.serve.trail.rows import stream


@dataclass(frozen=True)
class Verdict:
    """What was found. entries: how many hold, from the first on. covered: the last of them that a head was signed for.

    heads, spoilt: genuine heads, and what lies among them and is none. keyed: whether the macs were checked.
    """

    entries: int
    covered: int
    heads: int
    spoilt: int
    keyed: bool
    fault: Fault | None

    @property
    def holds(self) -> bool:
        """Whether nothing is at fault, as far as can be seen."""
        return self.fault is None and self.spoilt == 0

    @property
    def chain_only(self) -> bool:
        """Whether no head vouches for the end, so that a cut tail cannot be seen."""
        return self.heads == 0

    def said(self) -> str:
        """The verdict in sentences."""
        parts = [f"Fault at entry {self.fault.seq} ({self.fault.kind}): {self.fault.said}"] if self.fault else []
        if self.spoilt:
            parts.append(f"Among the heads, {self.spoilt} cannot be read or were not signed with this key.")
        return " ".join([*parts, self._reach()])

    def _reach(self) -> str:
        after = self.entries - self.covered
        if self.chain_only:
            return (
                f"{self.entries} entries hold as a chain only: there is no head, so that it cannot be seen whether "
                "entries were cut off at the end."
            )
        if not self.keyed:
            return f"Heads vouch for entries 1 to {self.covered}; without the key, {after} after them cannot be judged."
        return (
            f"{self.entries} entries hold; the last head is of entry {self.covered}, and a cut among the {after} "
            "after it cannot be seen."
        )


def verify(engine: Engine, key: bytes, place: str = "") -> Verdict:
    """Read the whole trail, a few rows in memory at a time, and hold it against the heads of a place ("" for none)."""
    # the heads first, so that entries and heads that come meanwhile are no cut
    heads = read_heads(place, public_key(key)) if place else Heads()
    with reading(engine) as connection, closing(stream(connection)) as entries:
        return judged(entries, entry_key(key), heads)


def verify_export(entries: Iterable[Entry], public: str, place: str) -> Verdict:
    """Judge exported entries by the heads and the public key alone, for whoever has no secret; see `export.read_lines`.

    Entries after the last head are beyond what such a reader can judge: anybody can link more of them on.
    """
    return judged(entries, None, read_heads(place, public))


def judged(entries: Iterable[Entry], key: bytes | None, heads: Heads) -> Verdict:
    """The verdict on entries in the order of their numbers; key: that of the entries, None for who has none."""
    mark, fault = follow(iter(entries), key, heads.signed)
    covered = max((seq for seq in heads.signed if seq <= mark.seq), default=0)
    return Verdict(mark.seq, covered, heads.count, heads.spoilt, key is not None, fault)
