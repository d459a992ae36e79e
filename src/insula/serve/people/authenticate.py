"""Who sends a request: from its one credential to a Caller, or a refusal. Whatever is not said to be allowed is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine

from insula.serve.faults import RequestError
from insula.serve.people import glass, keys, linked, sessions, user
from insula.serve.people.caller import Caller, How
from insula.serve.people.credentials import SAFE, Credential, Facts, credential_of
from insula.serve.people.settings import PeopleSettings
from insula.serve.people.tokens import Claims, Verifier
from insula.serve.people.user import User
from insula.serve.store.connect import reading, writing


@dataclass(frozen=True)
class Admitted:
    """A caller, and what is to be noted as used just now: the id of a session or a key, "" where nothing is."""

    caller: Caller
    note: Literal["session", "key", "nothing"] = "nothing"
    noted: str = ""


def authenticate(engine: Engine, facts: Facts, now: datetime, settings: PeopleSettings, verifier: Verifier) -> Caller:
    """The caller of a request, in short transactions of its own.

    The issuer of a token may be asked for keys first, with no transaction open. The records are written only for a
    token (a first sight, a single use), and once a minute to note that a session or key was used. Raises RequestError
    401 for a credential that is not good, 403 for a person who may not come in or an unsafe request without its CSRF
    token, 503 where an issuer does not answer.
    """
    credential = credential_of(facts, settings)
    if credential.how == "token":
        claims = verifier.verify(credential.text, now)
        with reading(engine) as connection:
            if not linked.has_to_write(connection, claims):
                return caller_of_claims(connection, claims, now)
        with writing(engine) as connection:
            return caller_of_claims(connection, claims, now)
    with reading(engine) as connection:
        admitted = admit(connection, credential, facts, now, settings)
    if admitted.note != "nothing":
        with writing(engine) as connection:
            note_use(connection, admitted, now)
    return admitted.caller


def authenticate_again(
    engine: Engine, facts: Facts, before: Caller, now: datetime, settings: PeopleSettings, verifier: Verifier
) -> Caller:
    """The caller of a request that is still being answered, as he is by now; nothing is noted as used.

    Raises RequestError as `authenticate`.
    """
    credential = credential_of(facts, settings)
    if credential.how == "token":
        verifier.verify(credential.text, now)
        with reading(engine) as connection:  # a token of a single use was used when the request came
            return replace(_caller(connection, before.user_id, "token", now), role=before.role)
    with reading(engine) as connection:
        return admit(connection, credential, facts, now, settings).caller


def admit(
    connection: Connection, credential: Credential, facts: Facts, now: datetime, settings: PeopleSettings
) -> Admitted:
    """The caller of a session or an API key; reads alone. Raises RequestError 401 and 403."""
    if credential.how == "key":
        key = keys.find(connection, credential.text, now)
        if key is None:
            raise _nobody("The API key is unknown, revoked or past its end; make another one.")
        caller = _caller(connection, key.user_id, "key", now)
        caller = replace(caller, scopes=frozenset(key.scopes), opened=frozenset())
        return Admitted(caller, "key", key.id) if key.is_due(now) else Admitted(caller)
    session = sessions.find(connection, credential.text, now, settings)
    if session is None:
        raise _nobody("The session has ended; log in again.", "session_ended")
    if facts.method not in SAFE and not sessions.csrf_fits(session, facts.csrf):
        raise RequestError(
            403, "csrf", "The request changes something and does not show its session's token; send it as X-CSRF-Token."
        )
    caller = replace(_caller(connection, session.user_id, "session", now), session_id=session.id)
    return Admitted(caller, "session", session.id) if session.is_due(now) else Admitted(caller)


def caller_of_claims(connection: Connection, claims: Claims, now: datetime) -> Caller:
    """The caller of a verified token, with the role that the token gives. Raises RequestError 401 and 403."""
    linked.use_once(connection, claims, now)
    found = linked.user_of(connection, claims, now)
    role = claims.role or found.role
    return replace(_of_user(connection, found, "token", now), role=role)


def note_use(connection: Connection, admitted: Admitted, now: datetime) -> None:
    """Write down that a session or key was used."""
    if admitted.note == "session":
        sessions.note_seen(connection, admitted.noted, now)
    elif admitted.note == "key":
        keys.note_used(connection, admitted.noted, now)


def _caller(connection: Connection, user_id: str, how: How, now: datetime) -> Caller:
    found = user.find(connection, user_id)
    if not found.active:
        raise RequestError(403, "inactive", "Your account is switched off; ask an administrator.")
    return _of_user(connection, found, how, now)


def _of_user(connection: Connection, found: User, how: How, now: datetime) -> Caller:
    opened = glass.opened_by(connection, found.id, now)
    return Caller(found.id, found.name, found.role, found.projects, how, opened=opened)


def _nobody(message: str, code: str = "unauthorised") -> RequestError:
    return RequestError(401, code, message, {"WWW-Authenticate": "Bearer"})
