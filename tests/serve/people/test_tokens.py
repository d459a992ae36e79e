"""Bearer tokens: what is believed, and each way in which one is not."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from jwt.warnings import InsecureKeyLengthWarning
from tests.serve.people.issuer import LocalIssuer, local_issuer, public_jwk, rsa_key
from tests.serve.people.made import NOW

from insula.serve.faults import RequestError
from insula.serve.people.issuers import Issuer, role_of
from insula.serve.people.tokens import Verifier

pytestmark = pytest.mark.serve
AT = int(NOW.timestamp())


def refused(verifier: Verifier, token: str) -> str:
    with pytest.raises(RequestError) as got:
        verifier.verify(token, NOW)
    assert (got.value.status, got.value.fault_code) == (401, "bad_token")
    assert got.value.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    return str(got.value)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
def test_a_good_token_is_believed(issuer: LocalIssuer, kid: str) -> None:
    verifier = Verifier([issuer.settings(algorithms=["RS256", "ES256", "EdDSA"])])
    claims = verifier.verify(issuer.token(kid, name="Ann", jti="j1", nbf=AT), NOW)
    assert (claims.subject, claims.role, claims.text("name"), claims.jti) == ("person-1", "reviewer", "Ann", "j1")
    assert claims.ends_at == NOW + timedelta(hours=1)
    assert "Ann" not in repr(claims)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "third"]}, "audience"),
        ({"aud": None}, "'aud'"),
        ({"exp": AT - 31}, "expired"),
        ({"exp": None}, "'exp'"),
        ({"exp": "never"}, "'exp'"),
        ({"exp": True}, "'exp'"),
        ({"exp": 1e300}, "'exp'"),
        ({"exp": 10**400}, "'exp'"),  # too large to be a float
        ({"nbf": AT + 31}, "not valid yet"),
        ({"nbf": "now"}, "'nbf'"),
        ({"iat": AT + 31}, "future"),
        ({"iat": None}, "'iat'"),
        ({"iss": None}, "'iss'"),
        ({"iss": "https://other.example"}, "'iss'"),
        ({"iss": ["x"]}, "'iss'"),
        ({"sub": None}, "'sub'"),
        ({"sub": ""}, "'sub'"),
        ({"sub": 7}, "form"),
        ({"sub": "x" * 256}, "'sub'"),
        ({"sub": "a\0"}, "'sub'"),
        ({"jti": 7}, "form"),
        ({"more": "x" * 20_000}, "longer"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(issuer: LocalIssuer, changed: dict[str, Any], why: str) -> None:
    body = {"iss": issuer.address, **issuer.claims(**changed)} if "iss" not in changed else issuer.claims(**changed)
    header = {"alg": "RS256", "kid": "rsa", "typ": "JWT"}
    # signed by hand, since the library refuses to write some of them
    signed = jwt.api_jws.encode(json.dumps(body).encode(), issuer.keys["rsa"], "RS256", headers=header)
    assert why in refused(Verifier([issuer.settings()]), signed)


def test_a_token_without_an_end_in_sight_is_believed_and_breaks_nothing(issuer: LocalIssuer) -> None:
    last = 253_402_300_799  # the last second that a calendar of four digits has
    assert Verifier([issuer.settings()]).verify(issuer.token(exp=last), NOW).ends_at.year == 9999
    assert "'exp'" in refused(Verifier([issuer.settings()]), issuer.token(exp=last + 1))


def test_a_token_of_nested_lists_is_refused(issuer: LocalIssuer) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 6000).rstrip(b"=").decode()
    for token in (f"{deep}.e30.e30", f"{part({'alg': 'RS256', 'kid': 'rsa'})}.{deep}.e30"):
        refused(Verifier([issuer.settings()]), token)


def test_clocks_may_differ_a_little_and_leeway_is_a_setting(issuer: LocalIssuer) -> None:
    token = issuer.token(exp=AT - 20, iat=AT + 20, nbf=AT + 20)
    assert Verifier([issuer.settings()]).verify(token, NOW).subject == "person-1"
    assert "expired" in refused(Verifier([issuer.settings(leeway=0)]), token)


def test_a_token_without_nbf_is_refused_where_the_setting_says_so(issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(needs_nbf=True)])
    assert "'nbf'" in refused(verifier, issuer.token())
    assert verifier.verify(issuer.token(nbf=AT), NOW).subject == "person-1"


def test_a_token_without_a_signature_is_refused(issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings()])
    for alg in ("none", "None", "NONE", ""):
        token = f"{part({'alg': alg, 'kid': 'rsa'})}.{part(issuer.claims())}."
        assert "'alg'" in refused(verifier, token)
    assert "signature" in refused(verifier, issuer.token().rpartition(".")[0] + ".")


def test_a_public_key_is_never_a_shared_secret(issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(algorithms=["RS256", "ES256", "EdDSA"])])
    public = (
        rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for alg, digest in (("HS256", "sha256"), ("HS512", "sha512")):
        head = f"{part({'alg': alg, 'kid': 'rsa'})}.{part(issuer.claims())}"
        made = base64.urlsafe_b64encode(hmac.digest(public, head.encode(), digest)).rstrip(b"=").decode()
        assert "'alg'" in refused(verifier, f"{head}.{made}")


def test_an_algorithm_that_the_issuer_does_not_use_is_refused(issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(algorithms=["ES256"])])
    assert "'alg'" in refused(verifier, issuer.token("rsa"))
    assert verifier.verify(issuer.token("ec"), NOW)
    assert "'alg'" in refused(Verifier([issuer.settings()]), issuer.token("rsa", "PS256"))


def test_a_key_id_of_another_kind_of_key_is_refused(issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(algorithms=["RS256", "ES256", "EdDSA"])])
    for kid, other in (("rsa", "ec"), ("ec", "rsa"), ("ed", "ec")):
        assert "'kid'" in refused(verifier, issuer.token(kid, headers={"kid": other}))
    for wrong in ("", "unknown", "../rsa", "RSA"):
        assert "'kid'" in refused(verifier, issuer.token(headers={"kid": wrong}))
    without = jwt.encode(issuer.claims(), issuer.keys["rsa"], "RS256")
    assert "'kid'" in refused(verifier, without)


def test_a_key_that_is_not_the_issuers_is_refused_wherever_the_token_says_it_lies(issuer: LocalIssuer) -> None:
    verifier, stranger = Verifier([issuer.settings()]), rsa_key(1)
    for more in (
        {},
        {"jwk": public_jwk("rsa", stranger)},
        {"jku": f"{issuer.address}/mine"},
        {"x5u": "http://127.0.0.1:9"},
    ):
        token = jwt.encode(issuer.claims(), stranger, "RS256", headers={"kid": "rsa", **more})
        assert "signature" in refused(verifier, token)
    assert set(issuer.asked) == {"/keys"}


def test_a_key_of_one_issuer_does_not_speak_for_another() -> None:
    with local_issuer() as one, local_issuer() as two:
        two.keys["rsa"] = rsa_key(1)
        verifier = Verifier([one.settings(), two.settings(name="two")])
        assert verifier.verify(one.token(), NOW).issuer.name == "local"
        assert verifier.verify(two.token(), NOW).issuer.name == "two"
        assert "signature" in refused(verifier, two.token(iss=one.address))


def test_only_keys_that_verify_signatures_count(issuer: LocalIssuer) -> None:
    good, private = public_jwk("rsa", rsa_key()), RSAAlgorithm.to_jwk(rsa_key(), as_dict=True)
    private.pop("key_ops")
    small, big_curve = rsa_key(2, 1024), ec.generate_private_key(ec.SECP384R1())
    issuer.keys = {}
    issuer.more_keys = [
        "no object", {}, {"kid": "x"}, {"kid": 7, "kty": "RSA"}, {"kid": "bad", "kty": "RSA", "n": "AQAB", "e": []},
        {**good, "kid": "encrypts", "use": "enc"}, {**good, "kid": "signs", "key_ops": ["sign"]},
        {**private, "kid": "private"}, {**good, "kid": "other", "alg": "RS512"},
        {"kid": "shared", "kty": "oct", "k": "AQAB"}, public_jwk("small", small), public_jwk("curve", big_curve), good,
    ]  # fmt: skip
    verifier = Verifier([issuer.settings(algorithms=["RS256", "ES256"])])
    issuer.keys = {"rsa": rsa_key()}
    for kid in ("encrypts", "signs", "private", "other", "shared", "bad", "curve"):
        assert "'kid'" in refused(verifier, issuer.token(headers={"kid": kid}))
    with pytest.warns(InsecureKeyLengthWarning):
        weak = jwt.encode(issuer.claims(), small, "RS256", headers={"kid": "small"})
    assert "'kid'" in refused(verifier, weak)
    assert verifier.verify(issuer.token(), NOW)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "é.é.é", "\ud800", "x" * 20_000, "e30.e30.", "bnVsbA.bnVsbA.bnVsbA"]
)
def test_what_is_no_token_is_refused(issuer: LocalIssuer, token: str) -> None:
    refused(Verifier([issuer.settings()]), token)
    assert issuer.asked.total() == 0


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_token_with_any_character_changed_is_refused(issuer: LocalIssuer, data: st.DataObject) -> None:
    token = issuer.token("ec")
    verifier = Verifier([issuer.settings(algorithms=["ES256"])])
    place = data.draw(st.integers(0, len(token) - 2))  # of the last one, some bits count for nothing
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."))
    if other != token[place]:
        refused(verifier, token[:place] + other + token[place + 1 :])


LAYOUTS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"layout": "realm"}, {"realm_access": {"roles": ["offline_access", "radiologist"]}}, "reviewer"),
    ({"layout": "realm"}, {"realm_access": {"roles": ["guest", "boss"]}}, "admin"),  # the mapping's order
    ({"layout": "realm"}, {"realm_access": {"roles": ["admin", "Boss", 7, None]}}, None),
    ({"layout": "realm"}, {"realm_access": ["boss"], "roles": ["boss"]}, None),
    ({"layout": "realm"}, {"resource_access": {"insula": {"roles": ["boss"]}}}, None),
    ({"layout": "client", "client": "insula"}, {"resource_access": {"insula": {"roles": ["guest"]}}}, "reader"),
    ({"layout": "client", "client": "insula"}, {"resource_access": {"account": {"roles": ["boss"]}}}, None),
    ({"layout": "client", "client": "insula"}, {"resource_access": {"insula": None}}, None),
    ({"layout": "claim", "claim": "insulaRole"}, {"insulaRole": "guest"}, "reader"),  # Firebase's custom claims
    ({"layout": "claim", "claim": "insulaRole"}, {"insulaRole": {"boss": True}, "role": "boss"}, None),
    ({}, {"roles": ["guest"]}, "reader"),
    ({}, {"roles": True}, None),
    ({}, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "said", "role"), LAYOUTS)
def test_roles_are_read_where_the_issuer_puts_them(
    layout: dict[str, Any], said: dict[str, Any], role: str | None
) -> None:
    given_issuer = Issuer(
        name="x", issuer="https://id.example", audience="a", keys="https://id.example/k",
        roles={"radiologist": "reviewer", "boss": "admin", "guest": "reader"}, **layout,
    )  # fmt: skip
    assert role_of(given_issuer, said) == role


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["boss", "roles", "insula"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["roles", "insula", "realm_access", "resource_access"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["roles", "realm_access", "resource_access"]), _JSON), st.sampled_from(LAYOUTS))
@settings(max_examples=200, deadline=None)
def test_no_shape_of_claims_gives_a_role_that_is_not_mapped(
    said: dict[str, Any], layout: tuple[dict[str, Any], dict[str, Any], str | None]
) -> None:
    given_issuer = Issuer(
        name="x",
        issuer="https://id.example",
        audience="a",
        keys="https://id.example/k",
        roles={"boss": "admin"},
        **layout[0],
    )
    assert role_of(given_issuer, said) in (None, "admin")
    if "boss" not in json.dumps(said):
        assert role_of(given_issuer, said) is None
