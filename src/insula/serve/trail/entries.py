"""One entry of the audit trail: its fields, their bounds, and the bytes that stand under its mac."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from insula.core.errors import TrailError

GENESIS: Final = "0" * 64  # what the first entry follows
LONGEST_ACTOR: Final = 120
LONGEST_SUBJECT: Final = 120
LONGEST_ACTION: Final = 60
LONGEST_OUTCOME: Final = 20
LONGEST_DETAIL: Final = 2000
_TOKEN: Final = re.compile(r"[A-Za-z0-9._:/-]*", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One row as it is stored. at: UTC, ISO 8601 with microseconds. detail: JSON as text.

    previous: SHA-256 of the entry before, its mac included. mac: HMAC-SHA-256 of the other fields. Both hexadecimal.
    """

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: str
    detail: str
    previous: str
    mac: str


@dataclass(frozen=True)
class Mark:
    """A place in the chain: the number and the digest of its entry."""

    seq: int
    digest: str


START: Final = Mark(0, GENESIS)


def encoded(purpose: str, fields: Iterable[object]) -> bytes:
    """Bytes that two different lists of fields, or purposes, never share: each as text after its length in 8 bytes.

    Any text has such bytes, a surrogate that stands for a damaged byte included; no valid UTF-8 holds the latter.
    """
    parts = [str(field).encode("utf-8", "surrogatepass") for field in (purpose, *fields)]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def mac_of(entry: Entry, key: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of all fields but the mac, in hexadecimal; key is that of the entries (keys.py)."""
    return hmac.digest(key, encoded("insula-trail-entry-1", astuple(entry)[:-1]), "sha256").hex()


def holds(entry: Entry, key: bytes) -> bool:
    """Whether an entry was made with the key as it stands; a mac in other letters' case is another mac."""
    return hmac.compare_digest(mac_of(entry, key).encode(), entry.mac.encode("utf-8", "surrogatepass"))


def mark_of(entry: Entry) -> Mark:
    """The place of an entry: its SHA-256 with the mac, which anybody can compute."""
    return Mark(entry.seq, sha256(encoded("insula-trail-link-1", astuple(entry))).hexdigest())


def following(
    mark: Mark,
    key: bytes,
    *,
    actor: str,
    action: str,
    subject: str,
    outcome: str,
    detail: Mapping[str, object],
    at: datetime,
) -> Entry:
    """The entry after a place in the chain; key is that of the entries. Raises TrailError for a field out of bounds."""
    if not 1 <= len(actor) <= LONGEST_ACTOR or not actor.isprintable():
        raise TrailError(
            f"An actor is 1 to {LONGEST_ACTOR} printable characters (here {len(actor)}); give the user's id."
        )
    _token("action", action, 1, LONGEST_ACTION)
    _token("outcome", outcome, 1, LONGEST_OUTCOME)
    _token("subject", subject, 0, LONGEST_SUBJECT)
    unsigned = Entry(mark.seq + 1, instant(at), actor, action, subject, outcome, _text(detail), mark.digest, "")
    return replace(unsigned, mac=mac_of(unsigned, key))


def instant(at: datetime) -> str:
    """UTC with microseconds, always 27 characters, so that text sorts as time does; TrailError without a zone."""
    if at.tzinfo is None:
        raise TrailError(f"The instant {at.isoformat()} has no time zone; give it one, as datetime.now(UTC) does.")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def legible(text: str) -> str:
    """A text that any encoding of Unicode can hold: bytes of a damaged one that are none stand as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_show(entry: Entry) -> Entry:
    """An entry to be read by people, legible though somebody damaged it; it is not the one that can be verified."""
    return Entry(entry.seq, *(legible(text) for text in astuple(entry)[1:]))


def _token(name: str, value: str, shortest: int, longest: int) -> None:
    if not shortest <= len(value) <= longest or not _TOKEN.fullmatch(value):  # the value may be what must not be told
        raise TrailError(
            f"The {name} of an entry is {shortest} to {longest} letters, digits or ._:/- without spaces "
            f"(here {len(value)} characters); name a thing by its id, never by a patient's name or number."
        )


def _text(detail: Mapping[str, object]) -> str:
    try:
        text = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TrailError("The detail of an entry is no plain JSON; give texts, finite numbers, lists, maps.") from error
    if len(text) > LONGEST_DETAIL:
        raise TrailError(
            f"The detail of an entry has {len(text)} characters as JSON, and {LONGEST_DETAIL} may be kept."
        )
    return text
