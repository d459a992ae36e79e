"""Bearer tokens: JSON Web Tokens (RFC 7519) of the issuers in the settings, checked as RFC 8725 advises."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import jwt
from jwt.exceptions import (
    InvalidAudienceError,
    InvalidSignatureError,
    InvalidTokenError,
    MissingRequiredClaimError,
)

from insula.serve.faults import RequestError
from insula.serve.people.issuers import Algorithm, Issuer, role_of
from insula.serve.people.key_ring import KeyRing
from insula.serve.people.roles import Role

LONGEST: Final = 16 * 1024
REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")


@dataclass(frozen=True)
class Claims:
    """What a token that was believed says. subject: who, at that issuer. role: ours, None where it gives none.

    ends_at: the token's `exp`. jti: its id, "" without one. said: all claims.
    """

    issuer: Issuer
    subject: str
    role: Role | None
    ends_at: datetime
    jti: str
    said: Mapping[str, Any] = field(repr=False)

    @property
    def digest(self) -> str:
        """What the records keep of a token that counts once: SHA-256 of issuer and `jti`, in hexadecimal."""
        return hashlib.sha256(f"{self.issuer.issuer}\0{self.jti}".encode("utf-8", "replace")).hexdigest()

    def text(self, name: str) -> str:
        """A claim that is a string, "" for any other."""
        value = self.said.get(name)
        return value if isinstance(value, str) else ""


class Verifier:
    """The issuers of the settings with their keys; one for the life of the service."""

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        self._by_address = {issuer.issuer: (issuer, KeyRing(issuer.keys)) for issuer in issuers}
        self._by_name = {issuer.name: issuer for issuer, _ in self._by_address.values()}

    def named(self, name: str) -> Issuer:
        """An issuer by the name that the settings give it. Raises RequestError 404."""
        if name not in self._by_name:
            raise RequestError(404, "no_issuer", f"There is no issuer '{name[:40]}' in INSULA_ISSUERS.")
        return self._by_name[name]

    def verify(self, token: str, now: datetime, audience: str | None = None) -> Claims:
        """The claims of a token; audience: instead of the issuer's own.

        The algorithm is one of the issuer's, never `none` or one with a shared secret; the key is found by `kid` among
        those of that issuer; `exp`, `iat`, `iss`, `aud` and `sub` have to be there, `nbf` counts where it is. May ask
        the issuer for keys, so call it outside of a transaction. Raises RequestError 401, and 503 where the issuer
        does not answer.
        """
        issuer, ring, kid, algorithm = self._read_head(token)
        key = ring.key(kid, algorithm, now)
        if key is None:
            raise bad_token("its 'kid' names no key of its issuer for its 'alg'")
        try:
            said = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=audience or issuer.audience,
                issuer=issuer.issuer,
                # instants are compared below, with the clock that is given
                options={
                    "require": [*REQUIRED, *(["nbf"] if issuer.needs_nbf else [])],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except InvalidSignatureError as error:
            raise bad_token("its signature does not fit") from error
        except InvalidAudienceError as error:
            raise bad_token("it is for another audience ('aud')") from error
        except MissingRequiredClaimError as error:
            raise bad_token(f"it has no '{error.claim}'") from error
        except (InvalidTokenError, ValueError) as error:
            raise bad_token("it is not of the form that RFC 7519 asks for") from error
        ends_at = _check_instants(said, now, timedelta(seconds=issuer.leeway))
        if not 0 < len(said["sub"]) <= 255 or not said["sub"].isprintable():
            raise bad_token("its 'sub' is not 1 to 255 printable characters")
        jti = said.get("jti", "")
        if issuer.single_use and not jti:
            raise bad_token("it has no 'jti', and tokens of this issuer count once")
        return Claims(issuer, said["sub"], role_of(issuer, said), ends_at, jti, said)

    def _read_head(self, token: str) -> tuple[Issuer, KeyRing, str, Algorithm]:
        """Whose keys a token asks for, as it says itself: nothing of it is believed before its signature."""
        if len(token) > LONGEST:
            raise bad_token(f"it is longer than {LONGEST >> 10} KB")
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (InvalidTokenError, ValueError) as error:
            raise bad_token("it cannot be read") from error
        found = self._by_address.get(claimed) if isinstance(claimed, str) else None
        if found is None:
            raise bad_token("its issuer ('iss') is not one of this service")
        issuer, ring = found
        algorithm = next((a for a in get_args(Algorithm) if a == header.get("alg") and a in issuer.algorithms), None)
        if algorithm is None:
            raise bad_token(f"its 'alg' is none of {', '.join(issuer.algorithms)}")
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise bad_token("its head has no 'kid'")
        return issuer, ring, kid, algorithm


def bad_token(why: str) -> RequestError:
    """A token that is not believed (RFC 6750, section 3)."""
    return RequestError(
        401,
        "bad_token",
        f"The token is refused: {why}; get a new one from your issuer.",
        {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _check_instants(said: Mapping[str, Any], now: datetime, leeway: timedelta) -> datetime:
    ends_at, issued_at = _instant(said, "exp"), _instant(said, "iat")
    if now - leeway >= ends_at:
        raise bad_token("it has expired ('exp')")
    if issued_at > now + leeway:
        raise bad_token("it was issued in the future ('iat')")
    if "nbf" in said and _instant(said, "nbf") > now + leeway:
        raise bad_token("it is not valid yet ('nbf')")
    return ends_at


def _instant(said: Mapping[str, Any], name: str) -> datetime:
    value = said[name]
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise bad_token(f"its '{name}' is no number of seconds")
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise bad_token(f"its '{name}' is no instant") from error
