"""One's own account: what everybody may see there, and nothing of others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.serve.api.made import PASSWORD, Made
from tests.serve.web.reading import read

from insula.serve.people import keys, sessions, users
from insula.serve.people.roles import GRANTED, PERMISSIONS, ROLES, Role
from insula.serve.store.connect import writing
from insula.serve.store.schema import now
from insula.serve.web import account
from insula.serve.web.language import LANGUAGES, catalogue
from insula.serve.web.words import MAY, ROLE_SAYS

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_who_they_are_and_what_they_may(made: Made, role: Role) -> None:
    client = made.client(role)
    page = read(client, "/account")
    for permission in PERMISSIONS:
        assert (MAY[permission] in page.text) == (permission in GRANTED[role]), permission
    assert ROLE_SAYS[role] in page.text
    assert "Inside" in page.text
    assert "Outside" not in page.text
    offered = [one for one in keys.scopes_for(role) if f'value="{one}" data-as="list"' in client.get("/account").text]
    assert offered == list(keys.scopes_for(role))


def test_every_role_and_permission_has_words_in_every_language() -> None:
    assert set(MAY) == set(PERMISSIONS)
    assert set(ROLE_SAYS) == set(ROLES)
    for language in LANGUAGES[1:]:
        assert {*MAY.values(), *ROLE_SAYS.values(), *ROLES} <= set(catalogue(language))


def test_ones_own_keys_and_sessions_are_listed_and_no_others(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now()
    with writing(made.service.records) as connection:
        ann = users.create(connection, "ann", "reader", at, password=PASSWORD)
        own = keys.create(connection, ann.id, "mine", ["study.read"], at + timedelta(days=1), at)
        keys.create(connection, ann.id, "mine too", ["study.read"], at + timedelta(days=1), at)
        keys.create(connection, made.ids["reader"], "somebody else's", ["study.read"], at + timedelta(days=1), at)
        sessions.start(connection, made.ids["reader"], at, made.service.people)
    client = made.fresh()
    assert client.post("/api/v1/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
    page, text = read(client, "/account"), client.get("/account").text
    assert [row[0].split(" ins_")[0] for row in page.rows[:2]] == ["mine", "mine too"]
    assert "somebody else's" not in page.text
    assert own.shown not in text
    assert page.rows[2][0].endswith("this one")
    assert len(page.rows) == 3
    assert "DELETE /api/v1/session/others" not in text, "there is no other session"
    with writing(made.service.records) as connection:
        sessions.start(connection, ann.id, at, made.service.people)
    assert "DELETE /api/v1/session/others" in client.get("/account").text
    monkeypatch.setattr(account, "ROWS", 1)
    following = read(client, read(client, "/account").rels["next"].partition("#")[0])
    assert following.rows[0][0].startswith("mine too")


def test_who_logs_in_at_an_issuer_has_no_password_to_change(made: Made) -> None:
    with writing(made.service.records) as connection:
        eve = users.create(connection, "eve", "reader", now(), issuer="https://id.example", subject="7")
        started = sessions.start(connection, eve.id, now(), made.service.people)
    client = made.fresh()
    client.headers["Cookie"] = f"__Host-insula={started.secret}"
    page = read(client, "/account")
    assert "You log in at an issuer" in page.text
    assert "old" not in page.fields
    assert "none; an administrator puts you into one" in page.text


def test_a_key_sees_its_owner_and_is_offered_nothing_that_only_a_person_does(made: Made) -> None:
    at = now()
    with writing(made.service.records) as connection:
        key = keys.create(connection, made.ids["reader"], "robot", ["study.read"], at + timedelta(days=1), at)
    client = made.fresh()
    client.headers["X-API-Key"] = key.shown
    page = read(client, "/account")
    assert "new" not in page.fields
    assert "scopes" not in page.fields
    assert MAY["study.read"] in page.text
    assert MAY["study.write"] not in page.text


def test_nobody_is_sent_to_log_in_first(made: Made) -> None:
    answer = made.fresh().get("/account", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/account")
