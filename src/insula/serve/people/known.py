"""Browsers in which somebody has logged in before: a lock that others bring about does not keep those out.

Whoever knows a name can lock its account by wrong passwords. So a log-in leaves a second cookie, and an attempt that
shows it is counted for itself, not for the account (OWASP's "device cookies"). It proves nothing else: the password is
asked for all the same, and somebody who has the cookie gets as many tries in a while as a lock leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from insula.serve.people.settings import PeopleSettings
from insula.serve.store.schema import token_uses

KIND: Final = "insula-known"  # of the cookie
SECONDS: Final = 180 * 24 * 3600


def cookie_for(key: bytes, user_id: str) -> str:
    """The value of the cookie for somebody who has just logged in; key: the service's secret."""
    mark = secrets.token_urlsafe(16)
    return f"{mark}.{_mac(key, user_id, mark)}"


def mark_of(key: bytes, user_id: str, shown: str) -> str:
    """The mark of a browser that this user has logged in with, "" where the cookie is none or somebody else's."""
    mark, _, mac = shown.partition(".")
    right = _mac(key, user_id, mark) if user_id and len(shown) < 200 else ""
    return mark if right and hmac.compare_digest(mac.encode("utf-8", "replace"), right.encode()) else ""


def has_tries(connection: Connection, mark: str, now: datetime, settings: PeopleSettings) -> bool:
    """Whether a browser may still try: `lock_after` wrong passwords in the longest time that a lock lasts."""
    return _free(connection, mark, now, settings) is not None


def spend(connection: Connection, mark: str, now: datetime, settings: PeopleSettings) -> None:
    """Count a wrong password for a browser that has tries left."""
    digest = _free(connection, mark, now, settings)
    connection.execute(delete(token_uses).where(token_uses.c.digest == digest))
    until = now + timedelta(seconds=settings.lock_most_seconds)
    connection.execute(insert(token_uses).values(digest=digest, ends_at=until))


def _free(connection: Connection, mark: str, now: datetime, settings: PeopleSettings) -> str | None:
    """The first of a browser's tries that is not taken; the table of tokens that count once holds those that are."""
    tries = [hashlib.sha256(f"known\0{mark}\0{k}".encode()).hexdigest() for k in range(settings.lock_after)]
    taken = select(token_uses.c.digest).where(token_uses.c.digest.in_(tries), token_uses.c.ends_at > now)
    used = set(connection.execute(taken).scalars())
    return next((one for one in tries if one not in used), None)


def _mac(key: bytes, user_id: str, mark: str) -> str:
    made = hmac.digest(key, f"insula known browser\0{user_id}\0{mark}".encode("utf-8", "replace"), "sha256")
    return urlsafe_b64encode(made).rstrip(b"=").decode()
