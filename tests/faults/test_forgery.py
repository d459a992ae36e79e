"""Requests that somebody else's page begins, sessions that somebody else planted, and things that are sent again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydicom.uid import generate_uid
from tests.faults.made_asked import asked, method_of
from tests.faults.made_nobodies import COOKIE
from tests.faults.made_rooms import DICOM_JSON, Rooms
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import BASE, PASSWORD, Made
from tests.serve.people.issuer import SECRET, LocalIssuer, local_issuer

from insula.serve.api.guard import OPEN, permission_of
from insula.serve.people import users
from insula.serve.people.tokens import Verifier
from insula.serve.store.connect import writing
from insula.serve.store.schema import now

pytestmark = pytest.mark.serve
HERE = "/api/v1/session"
_NUMBERS = count()
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "")


def entered(made: Made, name: str = "reviewer", cookie: str = "") -> tuple[TestClient, str, str]:
    """A client of a new session, its secret and its token; cookie: what the browser showed before."""
    place = f"browser-{next(_NUMBERS)}"  # so many log-ins of one address would be refused
    client = TestClient(made.app, base_url=BASE, raise_server_exceptions=False, client=(place, 1))
    headers = {"Cookie": cookie} if cookie else {}
    answer = client.post(HERE, json={"name": name, "password": PASSWORD}, headers=headers)
    assert answer.status_code == 200, answer.text
    return client, client.cookies[COOKIE], answer.json()["csrf"]


@sizes("share", 0.04, 1.0)
def test_another_sites_page_changes_nothing(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong, before = random.Random(9), 0, [], rooms.rows()
    client, secret, token = entered(rooms.made, "admin")
    _, _, others = entered(rooms.made, "reader")
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    ways: list[dict[str, Any]] = [
        {}, {"headers": cross}, {"headers": {**cross, "X-CSRF-Token": token}}, {"headers": {"X-CSRF-Token": others}},
        {"headers": {"X-CSRF-Token": ""}}, {"headers": {"X-CSRF-Token": secret}}, {"params": {"X-CSRF-Token": token}},
        {"headers": {"X-CSRF-Token": f"{token}x"}}, {"headers": {"Cookie": f"{COOKIE}={secret}; X-CSRF-Token={token}"}},
        *({"content": f"X-CSRF-Token={token}", "headers": {**cross, "Content-Type": one}} for one in FORMS),
        *({"content": f"csrf={token}", "headers": {"Content-Type": one}} for one in FORMS),
    ]  # fmt: skip
    for route in rooms.routes:
        method = method_of(route)
        if method == "GET" or permission_of(route) == OPEN:
            continue
        plain = asked(rooms, route, rooms.ours, rooms.ours)
        for way in ways:
            if rng.random() > share:
                continue
            given = {**plain.more, **way}
            if "content" in way:
                given = way
            answer = client.request(method, plain.path, **given)
            tried += 1
            said = answer.json() if answer.status_code == 403 else {}
            if (said.get("code") or said.get("error", {}).get("code")) not in ("csrf", "cross_site"):
                wrong.append((method, plain.path, way, answer.status_code, answer.text[:200]))
    assert client.get(HERE).status_code == 200, "the session goes on"
    assert client.get(f"/api/v1/studies/{rooms.ours['study_id']}").status_code == 200
    assert rooms.rows() == before
    assert not wrong, wrong[:4]
    tally.tried("a changing request with a session's cookie and without its token, or from another site", tried)


@sizes("rounds", 1, 20)
def test_nobody_is_logged_in_by_a_form_of_another_site(rooms: Rooms, tally: Tally, rounds: int) -> None:
    body, tried = json.dumps({"name": "reader", "password": PASSWORD}), 0
    for _ in range(rounds):
        for kind in (*FORMS, "application/jsonp", "text/json"):
            for more in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
                headers = {**more, **({"Content-Type": kind} if kind else {})}
                answer = rooms.made.fresh().post(HERE, content=body, headers=headers)
                tried += 1
                assert answer.status_code in (400, 403, 415, 422), (kind, answer.text)
                assert "set-cookie" not in answer.headers
    tally.tried("a log-in with a type of content that a form of another site can send", tried)


@sizes("many", 3, 40)
def test_a_session_that_was_planted_is_nobodys(rooms: Rooms, tally: Tally, many: int) -> None:
    made, tried = rooms.made, 0
    for number in range(many):
        _, attackers, _ = entered(made, "reader")
        planted = ("x" * 43, attackers, f"fixed-{number}", "")[number % 4]
        client, secret, _ = entered(made, "admin", f"{COOKIE}={planted}")
        assert secret not in (planted, attackers)
        for shown in {planted, f"{planted}; {COOKIE}={attackers}", f"{secret}; {COOKIE}={planted or 'x'}"}:
            answer = made.fresh().get(HERE, headers={"Cookie": f"{COOKIE}={shown}"})
            assert answer.status_code == 401, shown
        assert client.get(HERE).json()["name"] == "admin"
        for name in ("insula", "__Secure-insula", f"{COOKIE}.x", COOKIE.lower()):
            assert made.fresh().get(HERE, headers={"Cookie": f"{name}={secret}"}).status_code == 401, name
        tried += 7
    tally.tried("a session's cookie planted before a log-in, beside another, or under another name", tried)


@sizes("rounds", 1, 20)
def test_what_was_used_up_counts_no_more(rooms: Rooms, tally: Tally, rounds: int) -> None:
    made, tried = rooms.made, 0
    for _ in range(rounds):
        client, secret, token = entered(made)
        shown = {"Cookie": f"{COOKIE}={secret}", "X-CSRF-Token": token}
        assert client.delete(HERE, headers={"X-CSRF-Token": token}).status_code == 204
        for method, path in (("GET", HERE), ("DELETE", HERE), ("GET", "/api/v1/studies"), ("POST", "/api/v1/keys")):
            assert made.fresh().request(method, path, headers=shown).status_code == 401
            tried += 1
        again, _, _ = entered(made)
        assert again.delete("/api/v1/session/others", headers={"X-CSRF-Token": token}).status_code == 403
    tally.tried("a session's cookie or token after its end", tried + rounds)


@sizes("rounds", 1, 20)
def test_another_persons_key_for_repeats_gives_nothing(rooms: Rooms, tally: Tally, rounds: int) -> None:
    for number in range(rounds):
        made, sent = rooms.made, {"Idempotency-Key": f"shared-{rounds}-{number}"}
        path = f"/api/v1/studies/{rooms.ours['study_id']}/predictions"
        first = made.client("reviewer").post(path, json={}, headers=sent)
        assert first.status_code == 202
        for role in ("reader", "admin"):
            other = made.client(role).post(path, json={}, headers=sent)
            assert (other.status_code, "Idempotent-Replay" in other.headers) == (202, False)
            assert other.json()["id"] != first.json()["id"]
        changed = made.client("reviewer").post(path, json={"uncertainty": True}, headers=sent)
        assert (changed.status_code, changed.json()["code"]) == (422, "key_reused")
    tally.tried("an Idempotency-Key of somebody else, or of another request", 3 * rounds)


@sizes("many", 4, 100)
def test_a_work_item_is_held_by_who_has_its_transaction(rooms: Rooms, tally: Tally, many: int) -> None:
    place, held = f"/dicom-web/workitems/{rooms.ours['workitem']}", str(generate_uid())
    client = rooms.made.client("reviewer")

    def moved(target: str, transaction: str) -> int:
        given = {"00741000": {"vr": "CS", "Value": [target]}, "00081195": {"vr": "UI", "Value": [transaction]}}
        status: int = client.put(f"{place}/state", content=json.dumps([given]), headers=DICOM_JSON).status_code
        return status

    assert moved("IN PROGRESS", held) in (200, 409)
    progress = json.dumps([{"00741002": {"vr": "SQ", "Value": [{"00741004": {"vr": "DS", "Value": [50]}}]}}])
    for number in range(many):
        guess = held[:-1] + str((int(held[-1]) + 1) % 10) if number == 0 else str(generate_uid())
        assert 400 <= moved("COMPLETED", guess) < 500
        assert 400 <= moved("IN PROGRESS", guess) < 500
        said = client.post(f"{place}?transaction-uid={guess}", content=progress, headers=DICOM_JSON)
        assert 400 <= said.status_code < 500
    assert held not in client.get(place).text, "the transaction UID is shown to nobody"
    tally.tried("a work item changed with a transaction UID that is not its own", 3 * many)


@contextmanager
def log_in_elsewhere(made: Made) -> Iterator[LocalIssuer]:
    """An issuer where people log in, and a person of it."""
    with local_issuer() as found:
        back = "https://127.0.0.1/api/v1/session/back/local"
        one = found.settings(log_in={"client_id": "insula web", "back": back, "secret": SECRET})
        at = int(now().timestamp())
        found.id_claims = {"iat": at, "exp": at + 600, "sub": "elsewhere"}
        before = made.service.people, made.service.verifier
        object.__setattr__(made.service, "people", before[0].model_copy(update={"issuers": (one,)}))
        object.__setattr__(made.service, "verifier", Verifier([one]))
        with writing(made.service.records) as connection:
            name = f"elsewhere-{next(_NUMBERS)}"
            users.create(connection, name, "reader", now(), issuer=found.address, subject="elsewhere")
        try:
            yield found
        finally:
            object.__setattr__(made.service, "people", before[0])
            object.__setattr__(made.service, "verifier", before[1])


@sizes("rounds", 1, 8)
def test_an_issuers_answer_counts_once_and_where_it_was_asked_for(rooms: Rooms, tally: Tally, rounds: int) -> None:
    made = rooms.made
    with log_in_elsewhere(made) as issuer:

        def begun() -> tuple[TestClient, dict[str, str]]:
            one = TestClient(
                made.app,
                base_url="https://127.0.0.1",
                raise_server_exceptions=False,
                client=(f"browser-{next(_NUMBERS)}", 1),
            )
            out = one.get(f"{HERE}/at/local", follow_redirects=False)
            assert out.status_code == 303, out.text
            return one, issuer.come_back(out.headers["location"])

        def back(one: TestClient, answer: dict[str, str]) -> int:
            status: int = one.get(f"{HERE}/back/local", params=answer, follow_redirects=False).status_code
            return status

        def of_another() -> tuple[TestClient, dict[str, str]]:
            return begun()[0], begun()[1]

        def changed(**more: str) -> Callable[[], tuple[TestClient, dict[str, str]]]:
            def made_so() -> tuple[TestClient, dict[str, str]]:
                one, answer = begun()
                return one, {**answer, **more}

            return made_so

        def with_code_of_another() -> tuple[TestClient, dict[str, str]]:
            (one, answer), (_, other) = begun(), begun()
            return one, {**answer, "code": other["code"]}

        def without_cookie() -> tuple[TestClient, dict[str, str]]:
            return made.fresh(), begun()[1]

        first, answer = begun()
        assert back(first, answer) == 200, "a log-in that is right"
        ways = (
            of_another, changed(state="x" * 43), changed(state=""), changed(code=""), changed(code="x"),
            changed(iss="https://evil.example"), with_code_of_another, without_cookie, lambda: (first, answer),
        )  # fmt: skip
        said = [back(*way()) for _ in range(rounds) for way in ways]
    assert said == [401] * rounds * len(ways), said
    tally.tried("an issuer's answer used again, in another browser, or with another state, code or issuer", len(said))
