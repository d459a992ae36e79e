"""Log-in at an issuer: the code flow, and each thing that may be wrong about its answer."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine
from tests.serve.people.issuer import SECRET, LocalIssuer, local_issuer
from tests.serve.people.made import MINUTE, NOW, SETTINGS, person

from insula.serve.faults import RequestError
from insula.serve.people import oidc, sessions, user, users
from insula.serve.people.issuers import Issuer
from insula.serve.people.tokens import Verifier
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
BACK = "http://127.0.0.1:8000/log-in/local/back"


def configured(issuer: LocalIssuer, **changed: Any) -> Issuer:
    return issuer.settings(log_in={"client_id": "insula web", "back": BACK, "secret": SECRET}, **changed)


def refused(settings: Issuer, passing: str, answer: dict[str, str], after: timedelta = timedelta()) -> tuple[int, str]:
    with pytest.raises(RequestError) as got:
        oidc.exchange(settings, Verifier([settings]), passing, answer, NOW + after)
    assert got.value.fault_code in ("log_in_refused", "bad_token", "issuer_unfit", "issuer_unreachable")
    return got.value.status, str(got.value)


def test_a_browser_goes_and_comes_back_with_a_session(records: Engine, issuer: LocalIssuer) -> None:
    settings = configured(issuer)
    with writing(records) as connection:
        ann = person(connection)
        users.link(connection, ann.id, issuer.address, "person-1")
        before = sessions.start(connection, ann.id, NOW, SETTINGS)
    begun = oidc.begin(settings, NOW)
    query = {k: v[0] for k, v in parse_qs(urlsplit(begun.address).query).items()}
    assert begun.address.startswith(f"{issuer.address}/authorize?")
    assert (query["response_type"], query["client_id"], query["redirect_uri"]) == ("code", "insula web", BACK)
    assert query["code_challenge_method"] == "S256"
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3
    assert begun.passing not in begun.address
    assert begun.passing not in repr(begun)
    claims = oidc.exchange(settings, Verifier([settings]), begun.passing, issuer.come_back(begun.address), NOW + MINUTE)
    with writing(records) as connection:
        started = oidc.admit(connection, claims, NOW + MINUTE, SETTINGS, old_secret=before.secret)
    with reading(records) as connection:
        assert sessions.find(connection, started.secret, NOW + MINUTE, SETTINGS)
        assert sessions.find(connection, before.secret, NOW + MINUTE, SETTINGS) is None
        assert user.find(connection, ann.id).role == "reviewer"  # was a reader here; the issuer decides
    assert "/never-asked" not in str(issuer.asked)


def test_each_beginning_is_another(issuer: LocalIssuer) -> None:
    settings = configured(issuer)
    begun = [oidc.begin(settings, NOW) for _ in range(3)]
    for name in ("state", "nonce", "code_challenge"):
        assert len({parse_qs(urlsplit(b.address).query)[name][0] for b in begun}) == 3


def test_an_answer_counts_in_the_browser_that_began_within_ten_minutes(issuer: LocalIssuer) -> None:
    settings = configured(issuer)
    mine, theirs = oidc.begin(settings, NOW), oidc.begin(settings, NOW)
    answer = issuer.come_back(mine.address)
    late = mine.passing.replace(str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 600))
    for passing in (theirs.passing, "", "x", ".", "1.", f"{'9' * 30}.x", late, f"é{mine.passing}"):
        assert refused(settings, passing, answer)[0] == 401
    assert refused(settings, mine.passing, answer, timedelta(minutes=10))[0] == 401
    assert refused(settings, mine.passing, answer, -MINUTE)[0] == 401
    assert refused(settings, mine.passing, {**answer, "state": "é"})[0] == 401
    assert refused(settings, mine.passing, {"code": answer["code"]})[0] == 401
    assert refused(settings, mine.passing, {"state": answer["state"], "error": "access_denied"})[0] == 401
    assert refused(settings, mine.passing, {**answer, "iss": "https://other.example"})[0] == 401
    assert issuer.asked["/token"] == 0
    good = {**answer, "iss": issuer.address}
    assert oidc.exchange(settings, Verifier([settings]), mine.passing, good, NOW).subject == "person-1"
    assert refused(settings, mine.passing, good)[0] == 401  # a code counts once, at the issuer


def test_a_code_that_was_slipped_in_is_refused(issuer: LocalIssuer) -> None:
    settings = configured(issuer)
    mine, theirs = oidc.begin(settings, NOW), oidc.begin(settings, NOW)
    stolen = {**issuer.come_back(mine.address), "code": issuer.come_back(theirs.address)["code"]}
    assert refused(settings, mine.passing, stolen)[0] == 401  # the code verifier does not fit


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "of another log-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "insula"}, "audience"),  # an access token's audience is not the client
        ({"aud": ["insula web", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"exp": 1}, "expired"),
        ({"iss": "https://other.example"}, "iss"),
    ],
)
def test_a_token_that_is_not_of_this_log_in_is_refused(issuer: LocalIssuer, claims: dict[str, Any], why: str) -> None:
    settings = configured(issuer)
    begun = oidc.begin(settings, NOW)
    issuer.id_claims = claims
    status, said = refused(settings, begun.passing, issuer.come_back(begun.address))
    assert status == 401
    assert why in said


def test_a_token_for_several_audiences_names_this_client(issuer: LocalIssuer) -> None:
    settings = configured(issuer)
    begun = oidc.begin(settings, NOW)
    issuer.id_claims = {"aud": ["insula web", "another"], "azp": "insula web"}
    answer = issuer.come_back(begun.address)
    assert oidc.exchange(settings, Verifier([settings]), begun.passing, answer, NOW).subject == "person-1"


def test_a_good_token_of_another_issuer_does_not_end_this_log_in(issuer: LocalIssuer) -> None:
    with local_issuer() as other:
        here, there = configured(issuer), configured(other, name="other")
        verifier = Verifier([here, there])
        begun = oidc.begin(here, NOW)
        answer = issuer.come_back(begun.address)
        nonce = parse_qs(urlsplit(begun.address).query)["nonce"][0]
        token = other.token(aud="insula web", nonce=nonce)
        issuer.answers["/token"] = (200, f'{{"id_token": "{token}"}}'.encode(), {})
        with pytest.raises(RequestError, match="another issuer") as got:
            oidc.exchange(here, verifier, begun.passing, answer, NOW)
    assert got.value.status == 401


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"authorization_endpoint": "http://id.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": 7},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_a_description_that_does_not_fit_is_refused(issuer: LocalIssuer, description: dict[str, Any]) -> None:
    issuer.description = description
    with pytest.raises(RequestError) as got:
        oidc.begin(configured(issuer), NOW)
    assert (got.value.status, got.value.fault_code) == (503, "issuer_unfit")


@pytest.mark.parametrize("answer", [(200, b"{}", {}), (200, b'{"id_token": 7}', {}), (500, b"{}", {}), (302, b"", {})])
def test_an_issuer_that_answers_badly_is_said_so(
    issuer: LocalIssuer, answer: tuple[int, bytes, dict[str, str]]
) -> None:
    settings = configured(issuer)
    begun = oidc.begin(settings, NOW)
    back = issuer.come_back(begun.address)
    issuer.answers["/token"] = answer
    assert refused(settings, begun.passing, back)[0] == 503


def test_nobody_logs_in_where_the_settings_give_no_client(issuer: LocalIssuer) -> None:
    with pytest.raises(RequestError, match="INSULA_ISSUERS") as got:
        oidc.begin(issuer.settings(), NOW)
    assert got.value.status == 404
    with pytest.raises(RequestError, match="no issuer 'x'"):
        Verifier([issuer.settings()]).named("x")
    assert Verifier([issuer.settings()]).named("local").issuer == issuer.address


def test_the_code_verifier_is_the_one_that_was_challenged() -> None:
    settings = Issuer(
        name="x", issuer="https://id.example", audience="a", keys="https://id.example/k", roles={"a": "reader"}
    )
    word = oidc._derived("1.secret", settings, "verifier")
    assert 43 <= len(word) <= 128  # RFC 7636, section 4.1
    assert len(hashlib.sha256(word.encode()).digest()) == len(base64.urlsafe_b64decode(word + "="))
    assert word not in (oidc._derived("1.secret", settings, "state"), oidc._derived("2.secret", settings, "verifier"))


def test_a_person_without_an_account_or_role_gets_no_session(records: Engine, issuer: LocalIssuer) -> None:
    for changed, claims, code in (({}, {}, "no_account"), ({"create_users": True}, {"roles": "x"}, "no_role")):
        settings = configured(issuer, **changed)
        begun = oidc.begin(settings, NOW)
        issuer.id_claims = claims
        found = oidc.exchange(settings, Verifier([settings]), begun.passing, issuer.come_back(begun.address), NOW)
        with pytest.raises(RequestError) as got, writing(records) as connection:
            oidc.admit(connection, found, NOW, SETTINGS)
        assert (got.value.status, got.value.fault_code) == (403, code)
    with reading(records) as connection:
        assert user.page(connection) == []


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_an_issuer_elsewhere_sends_nobody_to_a_program_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    good = {
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://tokens.example/token",
    }
    said = dict(good)
    monkeypatch.setattr(oidc, "fetch_json", lambda address: said)
    settings = Issuer(
        name="x", issuer="https://id.example", audience="a", keys="https://id.example/k", roles={"a": "reader"}
    )
    assert oidc.discover(settings).token == "https://tokens.example/token"
    said[name] = "http://127.0.0.1:8042/tools/execute-script"
    with pytest.raises(RequestError) as got:
        oidc.discover(settings)
    assert (got.value.status, got.value.fault_code) == (503, "issuer_unfit")
