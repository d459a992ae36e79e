"""API keys: `ins_PREFIX_SECRET`, of which the records keep a hash; they may less than their owner, for a time."""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, get_args

from sqlalchemy import Connection, Row, and_, insert, select, update

from insula.serve.faults import RequestError
from insula.serve.people.roles import GRANTED, PERMISSIONS, Permission, Role
from insula.serve.people.sessions import hash_of
from insula.serve.store.schema import api_keys, new_id, users

LONGEST: Final = timedelta(days=365)
USED_EVERY: Final = timedelta(minutes=1)  # how often the last use is written down
START: Final = "ins_"
_FORM: Final = re.compile(START + r"([0-9a-f]{10})_([A-Za-z0-9_-]{43})")
# what only a person who is logged in does: with the first two a key could give itself more than it has
PERSONAL: Final = frozenset[Permission]({"key.own", "user.manage", "glass.break"})
_NOBODY: Final = hash_of("")


@dataclass(frozen=True)
class Key:
    """An API key as the records have it; without its secret, which they do not know."""

    seq: int
    id: str
    user_id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Whether this use is to be written down as the last one."""
        return self.used_at is None or now - self.used_at >= USED_EVERY


@dataclass(frozen=True)
class NewKey:
    """A key that has just been made. shown: the whole of it, this once."""

    key: Key
    shown: str = field(repr=False)


def create(
    connection: Connection, user_id: str, name: str, scopes: Collection[str], ends_at: datetime, now: datetime
) -> NewKey:
    """A new key of a user, with some of the permissions that the user has, until an instant within a year.

    Raises RequestError 422 for a name, scope or end that may not be, 404 for an unknown or inactive user.
    """
    title = " ".join(unicodedata.normalize("NFKC", name).split())
    if not 1 <= len(title) <= 120 or not title.isprintable():
        raise RequestError(422, "bad_name", f"A key's name has 1 to 120 printable characters, not {len(title)}.")
    if not now < ends_at <= now + LONGEST:
        raise RequestError(
            422, "bad_end", f"The key's end is {ends_at.isoformat()}; it lies ahead, by {LONGEST.days} days at most."
        )
    role = connection.execute(select(users.c.role).where(and_(users.c.id == user_id, users.c.active))).scalar()
    if role is None:
        raise RequestError(404, "no_user", f"There is no active user '{user_id[:40]}' to give a key to.")
    granted = _scopes(role, scopes)
    prefix, secret, key_id = secrets.token_hex(5), secrets.token_urlsafe(32), new_id()
    connection.execute(
        insert(api_keys).values(
            id=key_id,
            user_id=user_id,
            name=title,
            prefix=prefix,
            secret_hash=hash_of(secret),
            scopes=granted,
            created_at=now,
            ends_at=ends_at,
        )
    )
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one()
    return NewKey(_key(row), f"{START}{prefix}_{secret}")


def find(connection: Connection, shown: str, now: datetime) -> Key | None:
    """The key that a request shows, None where it is unknown, revoked or past its end."""
    parts = _FORM.fullmatch(shown)
    if parts is None:
        return None
    prefix, secret = parts.groups()
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).one_or_none()
    fits = hmac.compare_digest(hash_of(secret), _NOBODY if row is None else row.secret_hash)
    if row is None or not fits:
        return None
    key = _key(row)
    return key if key.revoked_at is None and now < key.ends_at else None


def note_used(connection: Connection, key_id: str, now: datetime) -> None:
    """Write down that a key was used; `Key.is_due` says when."""
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(used_at=now))


def page(connection: Connection, user_id: str | None = None, after: int = 0, limit: int = 50) -> list[Key]:
    """The keys that came after one, in order, of one user or of all."""
    wanted = select(api_keys).where(api_keys.c.seq > after).order_by(api_keys.c.seq).limit(limit)
    if user_id is not None:
        wanted = wanted.where(api_keys.c.user_id == user_id)
    return [_key(row) for row in connection.execute(wanted)]


def revoke(connection: Connection, key_id: str, now: datetime, user_id: str | None = None) -> Key:
    """End a key now; user_id: only where it is this user's. Raises RequestError 404. One that has ended stays so."""
    rule = [api_keys.c.id == key_id] + ([] if user_id is None else [api_keys.c.user_id == user_id])
    connection.execute(update(api_keys).where(and_(*rule, api_keys.c.revoked_at.is_(None))).values(revoked_at=now))
    row = connection.execute(select(api_keys).where(and_(*rule))).one_or_none()
    if row is None:
        raise RequestError(404, "no_key", f"There is no key '{key_id[:40]}'; list the keys for their ids.")
    return _key(row)


def revoke_all(connection: Connection, user_id: str, now: datetime) -> int:
    """End all keys of a user; how many those were."""
    rule = and_(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(update(api_keys).where(rule).values(revoked_at=now)).rowcount


def scopes_for(role: Role) -> tuple[Permission, ...]:
    """What a key of somebody with this role may be given, in the order of the permissions."""
    return tuple(p for p in PERMISSIONS if p in GRANTED[role] - PERSONAL)


def _scopes(role: str, asked: Collection[str]) -> list[str]:
    allowed = {str(p) for mine in get_args(Role) if mine == role for p in scopes_for(mine)}
    wrong = sorted(set(asked) - allowed)
    if wrong or not asked:
        said = f"the scope '{wrong[0][:40]}'" if wrong else "no scope"
        raise RequestError(
            422, "bad_scope", f"The key asks for {said}; a key of this user may have: {', '.join(sorted(allowed))}."
        )
    return [p for p in PERMISSIONS if p in set(asked)]


def _key(row: Row[Any]) -> Key:
    return Key(
        row.seq,
        row.id,
        row.user_id,
        row.name,
        row.prefix,
        tuple(row.scopes),
        row.created_at,
        row.ends_at,
        row.revoked_at,
        row.used_at,
    )
