"""Signed heads: what the trail's end was at a time, for keeping where the database's owner cannot reach."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from insula.serve.trail.entries import Mark, encoded, instant
from insula.serve.trail.keys import signed

EVERY_ENTRIES: Final = 1000
EVERY_TIME: Final = timedelta(hours=1)
_PURPOSE: Final = "insula-trail-head-1"


@dataclass(frozen=True)
class Head:
    """The number and digest (SHA-256, mac included) of the last entry at a time; all text hexadecimal but `at`."""

    seq: int
    digest: str
    at: str
    signature: str


def sign(mark: Mark, at: datetime, key: Ed25519PrivateKey) -> Head:
    """A head of a place in the chain."""
    time = instant(at)
    return Head(mark.seq, mark.digest, time, key.sign(encoded(_PURPOSE, (mark.seq, mark.digest, time))).hex())


def genuine(head: Head, public: str) -> bool:
    """Whether a head was signed with the private part of a public key."""
    return signed(public, head.signature, encoded(_PURPOSE, (head.seq, head.digest, head.at)))


def written(head: Head) -> bytes:
    """One line of JSON."""
    return json.dumps(asdict(head)).encode() + b"\n"


def read(line: bytes) -> Head | None:
    """The head of a line, None where it is none."""
    try:
        found = json.loads(line)
        head = Head(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (head.digest, head.at, head.signature)
    return head if type(head.seq) is int and all(isinstance(text, str) for text in texts) else None


def due(
    last: Head | None,
    seq: int,
    now: datetime,
    *,
    entries: int = EVERY_ENTRIES,
    time: timedelta = EVERY_TIME,
) -> bool:
    """Whether a head should be kept: at the first entry, after so many entries, and so long after the last head.

    seq: number of the last entry. Where it is below that of the last head, one is due at once, so that it is seen.
    """
    if last is None:
        return seq > 0
    if seq <= last.seq:
        return seq < last.seq
    passed = now - datetime.fromisoformat(last.at)
    return seq - last.seq >= entries or passed >= time or passed < timedelta(0)
