"""From the claims of an issuer to a user: who is known by issuer and subject, and who is let in at first sight."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.exc import IntegrityError

from insula.serve.faults import RequestError
from insula.serve.people.roles import Role
from insula.serve.people.tokens import Claims, bad_token
from insula.serve.people.user import User, full_name_of, known_as
from insula.serve.people.users import create
from insula.serve.store.schema import token_uses, users

# a token is believed for the leeway of its issuer past its end, and longer where the clock was put forward and back
REMEMBERED: Final = timedelta(days=7)


def has_to_write(connection: Connection, claims: Claims) -> bool:
    """Whether `use_once` or `user_of` would write: a token that counts once, a person seen for the first time."""
    issuer = claims.issuer
    return issuer.single_use or (issuer.create_users and known_as(connection, issuer.issuer, claims.subject) is None)


def user_of(connection: Connection, claims: Claims, now: datetime) -> User:
    """The user for claims that were verified: the linked one, or a new one where the issuer's setting lets people in.

    Never somebody of the same name or mail address: those an issuer lets people choose. Raises RequestError 403 for an
    unknown person, one who is inactive, and for claims without a role of ours.
    """
    user = known_as(connection, claims.issuer.issuer, claims.subject)
    if claims.role is None:
        raise RequestError(
            403, "no_role", "The issuer gives you no role that this service knows; ask an administrator."
        )
    if user is None and claims.issuer.create_users:
        user = _made(connection, claims, claims.role, now)
    if user is None:
        raise RequestError(403, "no_account", "You have no account here yet; an administrator links it to your issuer.")
    if not user.active:
        raise RequestError(403, "inactive", "Your account here is switched off; ask an administrator.")
    return user


def keep_role(connection: Connection, user: User, claims: Claims) -> None:
    """Make the role in the records that of the claims: over its people's roles the issuer decides.

    Even over the last administrator's: `insula users create` makes another one.
    """
    if claims.role is not None and claims.role != user.role:
        connection.execute(update(users).where(users.c.id == user.id).values(role=claims.role))


def use_once(connection: Connection, claims: Claims, now: datetime) -> None:
    """Note that a token was shown, where its issuer's tokens count once. Raises RequestError 401 the second time."""
    if not claims.issuer.single_use:
        return
    connection.execute(delete(token_uses).where(token_uses.c.ends_at < now - REMEMBERED))
    try:
        with connection.begin_nested():
            connection.execute(insert(token_uses).values(digest=claims.digest, ends_at=claims.ends_at))
    except IntegrityError as error:
        raise bad_token("it was used before, and tokens of this issuer count once") from error


def _made(connection: Connection, claims: Claims, role: Role, now: datetime) -> User:
    """A new user, or the one whom another request has just made for the same claims."""
    issuer, subject = claims.issuer.issuer, claims.subject
    try:
        full_name = full_name_of(claims.text("name"))
    except RequestError:
        full_name = ""
    for name in _names(claims):
        try:
            return create(connection, name, role, now, full_name=full_name, issuer=issuer, subject=subject)
        except RequestError as error:
            if error.fault_code not in ("bad_name", "name_taken"):
                raise
            other = known_as(connection, issuer, subject)
            if other is not None:
                return other
    raise RequestError(409, "name_taken", "Your name is taken here; an administrator links your account.")


def _names(claims: Claims) -> tuple[str, str]:
    """What a new user may be called: with the issuer behind, so that nobody is taken for somebody else known here."""
    said = claims.text("preferred_username") or claims.text("email")
    mark = hashlib.sha256(claims.subject.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{said}@{claims.issuer.name}", f"{mark}@{claims.issuer.name}"
