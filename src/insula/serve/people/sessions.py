"""Sessions: a random secret in a browser's cookie, its hash in the records, an end that comes by itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from insula.serve.people.settings import PeopleSettings
from insula.serve.store.schema import new_id, sessions

SEEN_EVERY: Final = timedelta(minutes=1)  # how often the last request is written down
AHEAD: Final = timedelta(minutes=5)  # a session of a clock that was put back further would outlast its end
_LONGEST: Final = 200


@dataclass(frozen=True)
class Started:
    """A session that has just begun. secret: for the cookie; csrf: for the page. Neither is kept or shown in logs."""

    id: str
    user_id: str
    secret: str = field(repr=False)
    csrf: str = field(repr=False)
    ends_at: datetime


@dataclass(frozen=True)
class Session:
    """A session as the records have it."""

    seq: int
    id: str
    user_id: str
    csrf_hash: str = field(repr=False)
    created_at: datetime
    seen_at: datetime
    ends_at: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether this request is to be written down as the last one."""
        return now - self.seen_at >= SEEN_EVERY


def start(connection: Connection, user_id: str, now: datetime, settings: PeopleSettings) -> Started:
    """A new session of 256 random bits, at each log-in, whatever the browser showed before (no fixation)."""
    secret, session_id, ends_at = secrets.token_urlsafe(32), new_id(), now + settings.longest
    csrf = csrf_of(secret)
    connection.execute(
        insert(sessions).values(
            id=session_id,
            user_id=user_id,
            secret_hash=hash_of(secret),
            csrf_hash=hash_of(csrf),
            created_at=now,
            seen_at=now,
            ends_at=ends_at,
        )
    )
    return Started(session_id, user_id, secret, csrf, ends_at)


def find(connection: Connection, secret: str, now: datetime, settings: PeopleSettings) -> Session | None:
    """The session of a cookie, None where there is none, or it has ended, been idle too long, or reached its end."""
    if not 0 < len(secret) <= _LONGEST:
        return None
    rule = and_(sessions.c.secret_hash == hash_of(secret), *_alive(now, settings))
    row = connection.execute(select(*_COLUMNS).where(rule)).one_or_none()
    return None if row is None else Session(*row)


def note_seen(connection: Connection, session_id: str, now: datetime) -> None:
    """Write down that a session was used; `Session.is_due` says when."""
    rule = and_(sessions.c.id == session_id, sessions.c.ended_at.is_(None), sessions.c.seen_at < now)
    connection.execute(update(sessions).where(rule).values(seen_at=now))


def end(connection: Connection, session_id: str, now: datetime) -> None:
    """Log-out: the session counts no more, whoever shows its cookie."""
    rule = and_(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
    connection.execute(update(sessions).where(rule).values(ended_at=now))


def end_shown(connection: Connection, secret: str, now: datetime, settings: PeopleSettings) -> None:
    """End the session of a cookie, if it is one: a browser that logs in again leaves no open one behind."""
    found = find(connection, secret, now, settings)
    if found is not None:
        end(connection, found.id, now)


def end_all(connection: Connection, user_id: str, now: datetime, but: str = "") -> int:
    """End a user's sessions, all but one where it is named; how many those were."""
    rule = and_(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.id != but)
    return connection.execute(update(sessions).where(rule).values(ended_at=now)).rowcount


def page(
    connection: Connection, user_id: str, now: datetime, settings: PeopleSettings, after: int = 0, limit: int = 50
) -> list[Session]:
    """A user's open sessions that began after one, in order."""
    rule = and_(sessions.c.user_id == user_id, sessions.c.seq > after, *_alive(now, settings))
    rows = connection.execute(select(*_COLUMNS).where(rule).order_by(sessions.c.seq).limit(limit))
    return [Session(*row) for row in rows]


def csrf_of(secret: str) -> str:
    """The synchroniser token of a session (OWASP): made of its secret, so that a page can be given it again.

    An HMAC: who reads the token off a page does not learn the secret in the cookie.
    """
    made = hmac.digest(secret.encode("utf-8", "replace"), b"insula csrf", "sha256")
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def csrf_fits(session: Session, token: str) -> bool:
    """Whether a request shows the token of its session, compared in constant time."""
    return len(token) <= _LONGEST and hmac.compare_digest(hash_of(token), session.csrf_hash)


def hash_of(secret: str) -> str:
    """SHA-256 in hexadecimal: enough for 256 random bits, which nobody can guess through."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _alive(now: datetime, settings: PeopleSettings) -> tuple[ColumnElement[bool], ...]:
    begun = sessions.c.created_at <= now + AHEAD
    return sessions.c.ended_at.is_(None), sessions.c.ends_at > now, sessions.c.seen_at > now - settings.idle, begun


_COLUMNS = (
    sessions.c.seq,
    sessions.c.id,
    sessions.c.user_id,
    sessions.c.csrf_hash,
    sessions.c.created_at,
    sessions.c.seen_at,
    sessions.c.ends_at,
)
