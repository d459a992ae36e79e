"""The key of a run, and everything that is derived from it: UIDs, pseudonyms, shifts of dates."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from insula.core.errors import UsageError

VARIABLE = "INSULA_DEID_KEY"
_SHORTEST = 16
_MOST_DAYS = 3650


@dataclass(frozen=True)
class Key:
    """A secret by which the same identifier always gets the same stand-in.

    lasting: the key came from outside, so that a later run with it gives the same stand-ins.
    """

    secret: bytes = field(repr=False)
    lasting: bool

    def digest(self, kind: str, value: str) -> bytes:
        """HMAC-SHA-256 (RFC 2104) of a value, apart from those of every other kind."""
        return hmac.new(self.secret, f"{kind}\0{value}".encode("utf-8", "surrogateescape"), sha256).digest()

    def uid(self, old: str) -> str:
        """A UID under 2.25 (PS3.5, B.2) in place of another."""
        return f"2.25.{int.from_bytes(self.digest('uid', old)[:16], 'big')}"

    def name(self, old: str) -> str:
        """A pseudonym for a patient or a folder: `p` and 12 letters and digits (60 bits)."""
        return "p" + base64.b32encode(self.digest("name", old.strip()))[:12].decode().lower()

    def days(self, patient: str) -> int:
        """How many days a patient's dates move: always backwards, from 1 to 3650."""
        return -1 - int.from_bytes(self.digest("days", patient.strip())[:8], "big") % _MOST_DAYS

    def check(self) -> str:
        """What tells two keys apart without giving either away."""
        return self.digest("check", "").hex()[:16]


def find(file: Path | None) -> Key:
    """The key from a file, else from the environment, else a fresh random one.

    Raises UsageError for a key of less than 16 characters, a missing file, or one that others may read.
    """
    if file is not None:
        if not file.is_file():
            raise UsageError(f"Key file '{file.name}' does not exist; make one that only you can read (mode 0600).")
        if file.stat().st_mode & 0o077:
            raise UsageError(f"Key file '{file.name}' may be read by others; run chmod 600 on it.")
        return _lasting(file.read_bytes().strip(), f"Key file '{file.name}'")
    if VARIABLE in os.environ:
        return _lasting(os.environ[VARIABLE].strip().encode("utf-8", "surrogateescape"), VARIABLE)
    return Key(secrets.token_bytes(32), lasting=False)


def _lasting(secret: bytes, where: str) -> Key:
    if len(secret) < _SHORTEST:
        raise UsageError(f"{where} holds {len(secret)} characters; a key needs at least {_SHORTEST}.")
    return Key(secret, lasting=True)
