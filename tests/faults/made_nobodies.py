"""What is shown by somebody who must not be let in: sessions, keys and tokens that count no more, or never did."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from sqlalchemy import update
from tests.serve.api.made import PASSWORD, Made
from tests.serve.people.issuer import LocalIssuer, local_issuer, rsa_key

from insula.serve.people import keys, sessions, users
from insula.serve.people.tokens import Verifier
from insula.serve.store import schema
from insula.serve.store.connect import writing

COOKIE = "__Host-insula"
Shown = Mapping[str, str]


@contextmanager
def believed(made: Made) -> Iterator[LocalIssuer]:
    """An issuer whose tokens the service takes, and a person of it: `person-1`, a reviewer."""
    before = made.service.people, made.service.verifier
    with local_issuer() as issuer:
        one = issuer.settings(create_users=False)
        object.__setattr__(made.service, "people", before[0].model_copy(update={"issuers": (one,)}))
        object.__setattr__(made.service, "verifier", Verifier([one]))
        with writing(made.service.records) as connection:
            for subject in ("person-1", "no-role"):
                name = f"{secrets.token_hex(4)}-{subject}"
                users.create(connection, name, "reviewer", _now(), issuer=issuer.address, subject=subject)
        try:
            yield issuer
        finally:
            object.__setattr__(made.service, "people", before[0])
            object.__setattr__(made.service, "verifier", before[1])


def good(made: Made, issuer: LocalIssuer) -> dict[str, Shown]:
    """What is believed, of each kind, to see that the others fail for their own reason."""
    with writing(made.service.records) as connection:
        one = sessions.start(connection, made.ids["reviewer"], _now(), made.service.people)
        key = keys.create(connection, made.ids["reviewer"], "good", ["study.read"], _now() + timedelta(days=1), _now())
    return {
        "session": {"Cookie": f"{COOKIE}={one.secret}"},
        "key": bearer(key.shown),
        "token": bearer(issuer.token(**_today())),
    }


def bad(made: Made, issuer: LocalIssuer) -> dict[str, Shown]:
    """What is not, by what is wrong with it."""
    return {"nothing": {}, **_sessions(made), **_keys(made), **_tokens(issuer), **_mixed(made, issuer)}


def bearer(text: str) -> Shown:
    """The header for a key or token."""
    return {"Authorization": f"Bearer {text}"}


def _sessions(made: Made) -> dict[str, Shown]:
    at, found, settings = _now(), {}, made.service.people
    table = schema.sessions.c
    with writing(made.service.records) as connection:
        for name, began in (("idle", at - settings.idle), ("past its hours", at - settings.longest)):
            one = sessions.start(connection, made.ids["admin"], began, settings)
            seen = at if name != "idle" else began
            connection.execute(update(schema.sessions).where(table.id == one.id).values(seen_at=seen))
            found[f"a session that is {name}"] = one
        found["a session that was logged out"] = one = sessions.start(connection, made.ids["admin"], at, settings)
        sessions.end(connection, one.id, at)
        off = users.create(connection, f"off-{secrets.token_hex(4)}", "admin", at, password=PASSWORD).id
        found["a session of somebody switched off"] = sessions.start(connection, off, at, settings)
        connection.execute(update(schema.users).where(schema.users.c.id == off).values(active=False))
    shown = {name: {"Cookie": f"{COOKIE}={one.secret}", "X-CSRF-Token": one.csrf} for name, one in found.items()}
    row = hashlib.sha256(one.secret.encode()).hexdigest()
    made_up = {"a made-up session": "x" * 43, "the hash of a session": row, "an empty session": "", "its id": one.id}
    return {**shown, **{name: {"Cookie": f"{COOKIE}={text}"} for name, text in made_up.items()}}


def _keys(made: Made) -> dict[str, Shown]:
    at, admin = _now(), made.ids["admin"]
    wide = keys.scopes_for("admin")
    with writing(made.service.records) as connection:
        old = keys.create(connection, admin, "old", wide, at - timedelta(days=1), at - timedelta(days=2)).shown
        gone = keys.create(connection, admin, "gone", wide, at + timedelta(days=1), at)
        keys.revoke(connection, gone.key.id, at)
        live = keys.create(connection, admin, "live", wide, at + timedelta(days=1), at).shown
        off = users.create(connection, f"off-{secrets.token_hex(4)}", "admin", at, password=PASSWORD).id
        theirs = keys.create(connection, off, "theirs", wide, at + timedelta(days=1), at).shown
        connection.execute(update(schema.users).where(schema.users.c.id == off).values(active=False))
    end = "A" if live[-1] != "A" else "B"
    return {
        "a key past its end": bearer(old),
        "a revoked key": bearer(gone.shown),
        "a key of somebody switched off": {"X-API-Key": theirs},
        "a key with another last letter": bearer(live[:-1] + end),
        "a key without its secret": bearer(live[:14]),
        "a key as Basic": {"Authorization": "Basic " + base64.b64encode(f"x:{live}".encode()).decode()},
        "a key in a cookie": {"Cookie": f"{COOKIE}={live}"},
    }


def _tokens(issuer: LocalIssuer) -> dict[str, Shown]:
    good_claims = issuer.claims(**_today())
    head, body = (_part(one) for one in ({"alg": "none", "kid": "rsa"}, good_claims))
    public = (
        rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    shared = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{body}"
    forged = base64.urlsafe_b64encode(hmac.digest(public, shared.encode(), "sha256")).rstrip(b"=").decode()
    right = issuer.token(**_today())
    a, b, c = right.split(".")
    other = _part({**good_claims, "sub": "boss", "roles": "boss"})
    wrong: dict[str, dict[str, Any]] = {
        "past its end": _today(-7200),
        "of the future": _today(7200),
        "for another audience": _today(aud="another"),
        "for no audience": _today(aud=None),
        "of another issuer": _today(iss="https://evil.example"),
        "without an end": _today(exp=None),
        "without a subject": _today(sub=None),
        "not valid yet": _today(nbf=int(_now().timestamp()) + 3600),
        "of somebody unknown": _today(sub="nobody known"),
        "without a role": _today(sub="no-role", roles="gardener"),
        "with a role of another shape": _today(roles={"boss": True}),
    }
    made = {f"a token {name}": bearer(issuer.token(**claims)) for name, claims in wrong.items()}
    return {
        **made,
        "a token with the algorithm none": bearer(f"{head}.{body}."),
        "a token signed with the public key as a secret": bearer(f"{shared}.{forged}"),
        "a token with other claims under its signature": bearer(f"{a}.{other}.{c}"),
        "a token with no signature": bearer(f"{a}.{b}."),
        "a token of an unknown key": bearer(issuer.token(headers={"kid": "none such"}, **_today())),
        "a token by an algorithm that is not set": bearer(issuer.token("ec", **_today())),
        "a token that names where its key lies": bearer(
            issuer.token(headers={"jku": f"{issuer.address}/keys"}, alg="RS384", **_today())
        ),
    }  # fmt: skip


def _mixed(made: Made, issuer: LocalIssuer) -> dict[str, Shown]:
    """Two good ones at once: of two, an attacker's could be the one that counts."""
    one = good(made, issuer)
    twice = one["session"]["Cookie"]
    return {
        "a session and a key": {**one["session"], **one["key"]},
        "a session twice": {"Cookie": f"{twice}; {twice}"},
        "a token and a key": {**one["token"], "X-API-Key": one["key"]["Authorization"].removeprefix("Bearer ")},
    }


def _today(later: int = 0, **changed: Any) -> dict[str, Any]:
    at = int(_now().timestamp()) + later
    return {"iat": at, "exp": at + 600, **changed}


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def _now() -> datetime:
    return datetime.now(UTC)
