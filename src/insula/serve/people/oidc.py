"""Log-in at an issuer: OpenID Connect's authorization code flow with PKCE (RFC 7636), state and nonce.

Nothing is kept here between the two steps: state, nonce and code verifier are derived (HMAC-SHA-256) from a random
secret that the browser holds in a cookie of ten minutes. So the answer counts in the browser that began alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from sqlalchemy import Connection

from insula.serve.faults import RequestError
from insula.serve.people import linked, sessions
from insula.serve.people.fetch import fetch_json
from insula.serve.people.issuers import Issuer, LogIn, secure_address
from insula.serve.people.sessions import Started
from insula.serve.people.settings import PeopleSettings
from insula.serve.people.tokens import Claims, Verifier

KIND: Final = "insula-log-in"  # of the passing cookie
SECONDS: Final = 600  # from the first step to the second


@dataclass(frozen=True)
class Begun:
    """The first step. address: where to send the browser; passing: the value of its cookie, for SECONDS."""

    address: str
    passing: str = field(repr=False)


@dataclass(frozen=True)
class Discovery:
    """What of an issuer's description is used (OpenID Connect Discovery 1.0, section 3)."""

    authorization: str
    token: str


def discover(issuer: Issuer) -> Discovery:
    """The issuer's own description of itself. Raises RequestError 503 where it is not there or not of this issuer."""
    said = fetch_json(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
    if said.get("issuer") != issuer.issuer:
        raise _misfit("is of another issuer")
    methods = said.get("code_challenge_methods_supported", ["S256"])
    if not isinstance(methods, list) or "S256" not in methods:
        raise _misfit("offers no PKCE by S256")
    found = {}
    for name in ("authorization_endpoint", "token_endpoint"):
        try:
            found[name] = secure_address(str(said.get(name, "")))
            if urlsplit(found[name]).scheme != "https" and urlsplit(issuer.issuer).scheme == "https":
                raise ValueError("an issuer elsewhere does not send this service to a program of this machine")
        except ValueError as error:
            raise _misfit(f"names no secure {name}") from error
    return Discovery(found["authorization_endpoint"], found["token_endpoint"])


def begin(issuer: Issuer, now: datetime) -> Begun:
    """Where to send a browser that wants to log in. Asks the issuer: outside of a transaction.

    Raises RequestError 404 for an issuer without log-in, 503 where it does not answer as it should.
    """
    client, place = client_of(issuer), discover(issuer).authorization
    secret = f"{int(now.timestamp())}.{secrets.token_urlsafe(32)}"
    challenge = hashlib.sha256(_derived(secret, issuer, "verifier").encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.back,
        "scope": client.scope,
        "state": _derived(secret, issuer, "state"),
        "nonce": _derived(secret, issuer, "nonce"),
        "code_challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return Begun(f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(query)}", secret)


def exchange(issuer: Issuer, verifier: Verifier, passing: str, answer: Mapping[str, str], now: datetime) -> Claims:
    """The claims of the person who has come back. passing: the cookie's value; answer: the query of the address.

    Asks the issuer: outside of a transaction. Raises RequestError 401 where the answer is not of a log-in that this
    browser began within ten minutes, or the issuer refused it; 503 where the issuer does not answer as it should.
    """
    client = client_of(issuer)
    began, _, rest = passing.partition(".")
    fresh = began.isascii() and began.isdecimal() and len(began) <= 12 and 0 <= now.timestamp() - int(began) < SECONDS
    state = answer.get("state", "").encode("utf-8", "replace")
    if not fresh or not rest or not hmac.compare_digest(state, _derived(passing, issuer, "state").encode()):
        raise _not_ours("it was not begun in this browser within the last ten minutes")
    if answer.get("iss", issuer.issuer) != issuer.issuer:  # RFC 9207
        raise _not_ours("another issuer has answered")
    code = answer.get("code", "")
    if not code or len(code) > 4096:
        raise _not_ours("the issuer sent no code")
    said = _tokens(issuer, client, code, _derived(passing, issuer, "verifier"))
    token = said.get("id_token")
    if not isinstance(token, str):
        raise _misfit("gave no id_token")
    claims = verifier.verify(token, now, audience=client.client_id)
    nonce = claims.text("nonce").encode("utf-8", "replace")
    if not hmac.compare_digest(nonce, _derived(passing, issuer, "nonce").encode()):
        raise _not_ours("its token is of another log-in ('nonce')")
    if claims.issuer != issuer:
        raise _not_ours("its token is of another issuer")
    several = isinstance(claims.said["aud"], list) and len(claims.said["aud"]) > 1
    if (several or "azp" in claims.said) and claims.text("azp") != client.client_id:
        raise _not_ours("its token is for another client ('azp')")
    return claims


def admit(
    connection: Connection, claims: Claims, now: datetime, settings: PeopleSettings, old_secret: str = ""
) -> Started:
    """A new session for claims that `exchange` gave; the role in the records becomes that of the claims.

    old_secret: of the cookie shown; that session ends. Raises RequestError 401 for a token that was used before, 403
    for a person who is not let in.
    """
    linked.use_once(connection, claims, now)
    user = linked.user_of(connection, claims, now)
    linked.keep_role(connection, user, claims)
    sessions.end_shown(connection, old_secret, now, settings)
    return sessions.start(connection, user.id, now, settings)


def client_of(issuer: Issuer) -> LogIn:
    """How this service is known to an issuer. Raises RequestError 404 where nobody logs in there."""
    if issuer.log_in is None:
        raise RequestError(404, "no_issuer", f"Nobody logs in at '{issuer.name}': INSULA_ISSUERS gives it no log_in.")
    return issuer.log_in


def _tokens(issuer: Issuer, client: LogIn, code: str, code_verifier: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.back,
        "client_id": client.client_id,
        "code_verifier": code_verifier,
    }
    secret = client.secret.get_secret_value()
    # the name and secret are form-encoded before they are put together (RFC 6749, section 2.3.1)
    basic = (quote(client.client_id, safe=""), quote(secret, safe="")) if secret else None
    return fetch_json(discover(issuer).token, form, basic)


def _derived(secret: str, issuer: Issuer, what: str) -> str:
    """43 characters of base64url, as long as RFC 7636 asks a code verifier to be."""
    made = hmac.digest(secret.encode("utf-8", "replace"), f"{what} {issuer.name}".encode(), "sha256")
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def _not_ours(why: str) -> RequestError:
    return RequestError(401, "log_in_refused", f"The log-in is refused: {why}; begin it again.")


def _misfit(what: str) -> RequestError:
    return RequestError(
        503, "issuer_unfit", f"The issuer's description or answer {what}; the administrator compares INSULA_ISSUERS."
    )
