"""Log-in by name and password: one message for every refusal, and a lock that grows with the failures.

Checking a password takes long on purpose, and SQLite lets one writer in at a time. So there are three steps, of which
the middle one needs no connection: `begin`, `Attempt.check`, `finish`. `log_in` does them on one connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, Row, select, update

from insula.serve.faults import RequestError
from insula.serve.people import known, sessions
from insula.serve.people.passwords import verify
from insula.serve.people.sessions import Started
from insula.serve.people.settings import PeopleSettings
from insula.serve.people.user import name_of
from insula.serve.store.schema import users

Reason = Literal["unknown", "wrong_password", "locked", "inactive"]


@dataclass(frozen=True)
class Refused:
    """A log-in that is refused. reason: for the trail alone; user_id: "" where nobody has the name."""

    reason: Reason
    user_id: str = ""

    def error(self) -> RequestError:
        """What is said, the same for every reason, so that it does not tell which names exist."""
        return RequestError(
            401,
            "log_in_refused",
            "The log-in is refused: the name or the password is wrong, the account may not log in, or there were too "
            "many attempts; wait a while and try again, or ask an administrator.",
        )


@dataclass(frozen=True)
class Attempt:
    """A log-in that has begun: whom the name stands for, and after `check` whether the password is theirs."""

    user_id: str
    kept: str | None = field(repr=False)
    matches: bool = False
    renewed: str | None = field(default=None, repr=False)

    def check(self, password: str) -> Attempt:
        """The same attempt with the password checked; takes as long for a name that does not exist."""
        matches, renewed = verify(password, self.kept)
        return replace(self, matches=matches, renewed=renewed)


def begin(connection: Connection, name: str) -> Attempt:
    """Look up whom a name stands for; a reading connection does."""
    try:
        short = name_of(name)
    except RequestError:
        return Attempt("", None)
    row = connection.execute(select(users.c.id, users.c.password_hash).where(users.c.name == short)).one_or_none()
    return Attempt("", None) if row is None else Attempt(row[0], row[1])


def finish(
    connection: Connection,
    attempt: Attempt,
    now: datetime,
    settings: PeopleSettings,
    old_secret: str = "",
    mark: str = "",
) -> Started | Refused:
    """Count the attempt and, where all is well, start a session. old_secret: of the cookie shown; that session ends.

    mark: of a browser in which this user has logged in before (`people.known`).

    The lock is looked at here, after the check: of many attempts at once, those after the last allowed failure learn
    nothing. To be committed whatever comes out, since a failure is counted.
    """
    refused = _judged(connection, attempt, now, settings, mark)
    if refused is not None:
        return refused
    sessions.end_shown(connection, old_secret, now, settings)
    return sessions.start(connection, attempt.user_id, now, settings)


def log_in(
    connection: Connection, name: str, password: str, now: datetime, settings: PeopleSettings, old_secret: str = ""
) -> Started | Refused:
    """A new session for a name and its password, or a typed refusal. To be committed whatever comes out."""
    return finish(connection, begin(connection, name).check(password), now, settings, old_secret)


def confirm(
    connection: Connection, user_id: str, password: str, now: datetime, settings: PeopleSettings, session_id: str = ""
) -> Refused | None:
    """Whether somebody who is logged in knows the own password, None for yes.

    Failures count as those of a log-in from a browser that is known, here by its session.
    """
    kept = connection.execute(select(users.c.password_hash).where(users.c.id == user_id)).scalar()
    return _judged(connection, Attempt(user_id, kept).check(password), now, settings, session_id)


def _judged(
    connection: Connection, attempt: Attempt, now: datetime, settings: PeopleSettings, mark: str
) -> Refused | None:
    row = connection.execute(select(users).where(users.c.id == attempt.user_id).with_for_update()).one_or_none()
    if row is None:
        return Refused("unknown")
    locked = row.locked_until is not None and _is_locked(row, now, settings)
    own = bool(mark) and known.has_tries(connection, mark, now, settings)
    if locked and not own:
        return Refused("locked", row.id)
    if not attempt.matches or row.password_hash != attempt.kept:
        if own:
            known.spend(connection, mark, now, settings)
        else:
            _count(connection, row, now, settings)
        return Refused("wrong_password", row.id)
    if not row.active:
        return Refused("inactive", row.id)
    # a lock that somebody else has brought about goes on for others
    values: dict[str, object] = {} if locked else {"failed_logins": 0, "locked_until": None}
    if attempt.renewed:
        values["password_hash"] = attempt.renewed
    if values:
        connection.execute(update(users).where(users.c.id == row.id).values(**values))
    return None


def _is_locked(row: Row[tuple[object, ...]], now: datetime, settings: PeopleSettings) -> bool:
    """Whether a lock holds: one that ends later than it could was set before the clock was put back."""
    longest = settings.locked_for(row.failed_logins)
    return longest is not None and timedelta(0) < row.locked_until - now <= longest


def _count(connection: Connection, row: Row[tuple[object, ...]], now: datetime, settings: PeopleSettings) -> None:
    failures = row.failed_logins + 1
    locked = settings.locked_for(failures)
    until = None if locked is None else now + locked
    connection.execute(update(users).where(users.c.id == row.id).values(failed_logins=failures, locked_until=until))
