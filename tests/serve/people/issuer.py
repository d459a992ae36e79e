"""A small issuer of tokens on a loopback port: real keys, a key set, a description, codes against tokens with PKCE."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tests.serve.people.made import NOW

from insula.serve.people.issuers import Issuer

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
SECRET = "s3cret / + of the client"


@lru_cache(maxsize=8)
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public_jwk(kid: str, key: Private) -> dict[str, Any]:
    """The member of a key set for a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
    return {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


class LocalIssuer:
    """What the tests turn: the keys it shows, what it answers, how often it was asked for what."""

    def __init__(self) -> None:
        self.keys: dict[str, Private] = {
            "rsa": rsa_key(),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
        }
        self.more_keys: list[Any] = []
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.description: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}  # code → query of the first step
        self.id_claims: dict[str, Any] = {}
        self.address = ""

    def settings(self, **changed: Any) -> Issuer:
        given = {"name": "local", "issuer": self.address, "audience": "insula", "keys": f"{self.address}/keys"}
        return Issuer(**{**given, "roles": {"radiologist": "reviewer", "boss": "admin"}, **changed})

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims that are good for an hour; None takes one away."""
        at = int(NOW.timestamp())
        good = {
            "iss": self.address,
            "aud": "insula",
            "sub": "person-1",
            "exp": at + 3600,
            "iat": at,
            "roles": "radiologist",
        }
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, kid: str = "rsa", alg: str = "", headers: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """A signed token."""
        name = alg or {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[kid]
        return jwt.encode(self.claims(**changed), self.keys[kid], name, headers={"kid": kid, **(headers or {})})

    def come_back(self, address: str) -> dict[str, str]:
        """What a browser brings back after its user has agreed at the address of the first step."""
        query = dict(parse_qsl(urlsplit(address).query))
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: str
    ) -> tuple[int, bytes, dict[str, str]]:
        self.asked[path] += 1
        if path in self.answers:
            return self.answers[path]
        if path == "/keys":
            members = [public_jwk(kid, key) for kid, key in self.keys.items()]
            return 200, json.dumps({"keys": [*self.more_keys, *members]}).encode(), {}
        if path == "/.well-known/openid-configuration":
            said = {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": "http://127.0.0.1:9/never-asked",
                **self.description,
            }
            return 200, json.dumps({k: v for k, v in said.items() if v is not None}).encode(), {}
        if path == "/token" and method == "POST":
            return self._token({k: v[0] for k, v in parse_qs(body).items()}, headers)
        return 404, b"{}", {}

    def _token(self, form: dict[str, str], headers: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        begun = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        name, _, secret = (
            base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode().partition(":")
        )
        right = (
            begun is not None
            and form["grant_type"] == "authorization_code"
            and begun["code_challenge"] == challenge.rstrip(b"=").decode()
            and begun["redirect_uri"] == form["redirect_uri"]
            and (unquote(name), unquote(secret)) == (begun["client_id"], SECRET)
        )
        if begun is None or not right:
            return 400, b'{"error": "invalid_grant"}', {}
        token = self.token(**{"aud": begun["client_id"], "nonce": begun["nonce"], **self.id_claims})
        return 200, json.dumps({"id_token": token, "access_token": "opaque"}).encode(), {}


@contextmanager
def local_issuer() -> Iterator[LocalIssuer]:
    """An issuer that answers as long as the test runs."""
    issuer = LocalIssuer()

    class Handler(BaseHTTPRequestHandler):
        def _all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, data, headers = issuer.answer(self.command, urlsplit(self.path).path, dict(self.headers), body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _all  # noqa: N815 - names of the standard library

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join(10)
