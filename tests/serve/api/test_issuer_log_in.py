"""Logging in at an issuer as a browser does it: out, back with a session, and on to where one wanted to go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.serve.api.made import Made
from tests.serve.people.issuer import SECRET, LocalIssuer, local_issuer

from insula.serve.people import users
from insula.serve.people.tokens import Verifier
from insula.serve.store.connect import writing
from insula.serve.store.schema import now

pytestmark = pytest.mark.serve
HERE = "/api/v1/session"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def issuer(made: Made) -> Iterator[LocalIssuer]:
    """An issuer whose tokens are of today, which the service believes."""
    with local_issuer() as found:
        one = found.settings(
            log_in={"client_id": "insula web", "back": "https://127.0.0.1/api/v1/session/back/local", "secret": SECRET}
        )
        at = int(datetime.now(UTC).timestamp())
        found.id_claims = {"iat": at, "exp": at + 600}
        before = made.service.people, made.service.verifier
        object.__setattr__(made.service, "people", before[0].model_copy(update={"issuers": (one,)}))
        object.__setattr__(made.service, "verifier", Verifier([one]))
        yield found
        object.__setattr__(made.service, "people", before[0])
        object.__setattr__(made.service, "verifier", before[1])


def there_and_back(client: Any, issuer: LocalIssuer, wanted: str) -> Any:
    out = client.get(f"{HERE}/at/local", params={"next": wanted}, headers=PAGE, follow_redirects=False)
    assert out.status_code == 303, out.text
    answer = issuer.come_back(out.headers["location"])
    return client.get(f"{HERE}/back/local", params=answer, headers=PAGE, follow_redirects=False)


def test_somebody_lands_where_they_wanted_to_go(made: Made, issuer: LocalIssuer) -> None:
    with writing(made.service.records) as connection:
        users.create(connection, "vera", "reader", now(), issuer=issuer.address, subject="person-1")
    client = made.fresh()
    assert "/api/v1/session/at/local?next=/history%3Fkind%3Dct" in client.get("/login?next=/history%3Fkind%3Dct").text
    answer = there_and_back(client, issuer, "/history?kind=ct&after=MQ")
    assert answer.status_code == 200, answer.text
    assert 'content="0;url=/history?kind=ct&amp;after=MQ"' in answer.text
    assert "You are logged in as vera." in answer.text
    assert client.get(HERE).json()["name"] == "vera"
    assert set(client.cookies) == {"__Host-insula"}, "what passed between the two steps is forgotten"


@pytest.mark.parametrize(
    ("who", "wanted"),
    [
        ("abroad", "https://evil.example/"),
        ("bare", "//evil.example"),
        ("crooked", "/\\evil.example"),
        ("deep", "/" + "ü" * 1500),
    ],
)
def test_nobody_is_sent_anywhere_else(made: Made, issuer: LocalIssuer, who: str, wanted: str) -> None:
    with writing(made.service.records) as connection:
        users.create(connection, who, "reader", now(), issuer=issuer.address, subject=who)
    issuer.id_claims["sub"] = who
    assert 'content="0;url=/"' in there_and_back(made.fresh(), issuer, wanted).text


def test_who_has_no_account_reads_that_on_a_page(made: Made, issuer: LocalIssuer) -> None:
    issuer.id_claims["sub"] = "nobody known"
    answer = there_and_back(made.fresh(), issuer, "/")
    assert answer.status_code == 403
    assert "You have no account here yet" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
