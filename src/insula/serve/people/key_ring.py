"""The public keys of one issuer: fetched from its configured address, kept for an hour, asked for once a minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from insula.serve.faults import RequestError
from insula.serve.people.fetch import BUSY, fetch_json
from insula.serve.people.issuers import Algorithm

FRESH_FOR: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(hours=24)  # while the issuer does not answer
NOT_SOONER: Final = timedelta(minutes=1)  # between two requests, whatever key ids tokens name
WAITING: Final = 16  # threads of the service that wait for keys; it has others to answer
SMALLEST_RSA: Final = 2048  # bits (NIST SP 800-131A)

_PLACES: Final = BoundedSemaphore(WAITING)
Keys = Mapping[tuple[str, Algorithm], PyJWK]


class KeyRing:
    """The keys of one issuer, safe to use from several threads.

    One of them asks. Meanwhile those that want a known key have it, an old one where the issuer was silent the last
    time, and of those that do not WAITING wait.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = Lock()
        self._keys: Keys = {}
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._silent = False  # when it was asked last

    def key(self, kid: str, algorithm: Algorithm, now: datetime) -> PyJWK | None:
        """The key of an id for an algorithm, None where the issuer has none.

        Keys older than an hour, and an unknown id, are reasons to ask the issuer, at most once a minute. Raises
        RequestError 503 where it does not answer and there are no keys of the last 24 hours, and where too many wait.
        """
        if not self._lock.acquire(blocking=False):
            known, fetched_at = self._keys.get((kid, algorithm)), self._fetched_at
            kept = KEPT_FOR if self._silent else FRESH_FOR + NOT_SOONER
            if known is not None and fetched_at is not None and now - fetched_at < kept:
                return known
            if not _PLACES.acquire(blocking=False):
                raise RequestError(
                    503,
                    BUSY,
                    "Others wait for the issuer's keys; try again in a moment.",
                    {"Retry-After": "5"},
                )
            try:
                self._lock.acquire()
            finally:
                _PLACES.release()
        try:
            return self._asked(kid, algorithm, now)
        finally:
            self._lock.release()

    def _asked(self, kid: str, algorithm: Algorithm, now: datetime) -> PyJWK | None:
        age = None if self._fetched_at is None else now - self._fetched_at
        wanted = age is None or age >= FRESH_FOR or (kid, algorithm) not in self._keys
        if wanted and (self._asked_at is None or now - self._asked_at >= NOT_SOONER):
            before, self._asked_at = self._asked_at, now
            try:
                self._keys, self._fetched_at, age = _usable(fetch_json(self._address)), now, timedelta()
                self._silent = False
            except RequestError as error:
                if error.fault_code == BUSY:  # others wait for some issuer; this one was not asked
                    self._asked_at = before
                else:
                    self._silent = True
                if age is None or age >= KEPT_FOR:
                    raise
        if age is None or age >= KEPT_FOR:
            raise RequestError(
                503,
                "issuer_unreachable",
                "The issuer's keys could not be fetched a moment ago; try again in a minute.",
                {"Retry-After": "60"},
            )
        return self._keys.get((kid, algorithm))


def _usable(key_set: Mapping[str, Any]) -> Keys:
    """Those keys of a set that verify signatures: RSA of 2,048 bits or more, P-256, Ed25519; others are passed over."""
    found: dict[tuple[str, Algorithm], PyJWK] = {}
    members = key_set.get("keys")
    for member in members if isinstance(members, list) else []:
        if not isinstance(member, dict):
            continue
        kid, algorithm = member.get("kid"), _algorithm_of(member)
        if algorithm is None or not isinstance(kid, str) or (kid, algorithm) in found:
            continue
        try:
            key = PyJWK(member, algorithm)
        except PyJWTError:
            continue
        if not isinstance(key.key, RSAPublicKey) or key.key.key_size >= SMALLEST_RSA:
            found[kid, algorithm] = key
    return found


def _algorithm_of(member: Mapping[str, Any]) -> Algorithm | None:
    """The one algorithm that a key of a set is for (RFC 7518, RFC 8037), None where it is not for our signatures."""
    operations = member.get("key_ops")
    if member.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    if "d" in member or "k" in member:  # a private or shared key has no business in a public set
        return None
    kinds: dict[tuple[object, object], Algorithm] = {
        ("RSA", None): "RS256",
        ("EC", "P-256"): "ES256",
        ("OKP", "Ed25519"): "EdDSA",
    }
    kind, curve = member.get("kty"), member.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    algorithm = kinds.get((kind, curve))
    return algorithm if member.get("alg", algorithm) == algorithm else None
