"""Logging in and out over HTTP."""

from __future__ import annotations

import pytest
from tests.serve.api.made import PASSWORD, Made

pytestmark = pytest.mark.serve
HERE = "/api/v1/session"


def test_a_session_begins_with_a_cookie_that_no_script_reads_and_ends_for_good(made: Made) -> None:
    client = made.fresh()
    answer = client.post(HERE, json={"name": "reader", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-insula=")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert client.get(HERE).json()["name"] == "reader"
    assert client.get(HERE).json()["csrf"] == answer.json()["csrf"]
    secret = client.cookies["__Host-insula"]
    assert client.delete(HERE).status_code == 403, "without its token"
    assert client.delete(HERE, headers={"X-CSRF-Token": answer.json()["csrf"]}).status_code == 204
    again = made.fresh()
    again.cookies.set("__Host-insula", secret)
    replayed = again.get(HERE)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "session_ended")


def test_wrong_names_and_wrong_passwords_are_told_alike(made: Made) -> None:
    said = [
        made.fresh().post(HERE, json={"name": name, "password": "not the right phrase"}).json()
        for name in ("auditor", "nobody-of-this-name")
    ]
    assert said[0] == said[1]
    assert (said[0]["status"], said[0]["code"]) == (401, "log_in_refused")


def test_a_password_is_changed_by_whoever_knows_it_and_ends_the_other_sessions(made: Made) -> None:
    admin = made.client("admin")
    body = {"name": "changer", "role": "reader", "password": PASSWORD}
    assert admin.post("/api/v1/users", json=body).status_code == 201
    first, second = made.fresh(), made.fresh()
    tokens = [c.post(HERE, json={"name": "changer", "password": PASSWORD}).json()["csrf"] for c in (first, second)]
    first.headers["X-CSRF-Token"] = tokens[0]
    wrong = first.put(f"{HERE}/password", json={"old": "something else here", "new": "a new phrase of words"})
    assert wrong.status_code == 401
    weak = first.put(f"{HERE}/password", json={"old": PASSWORD, "new": "short"})
    assert weak.status_code == 422
    right = first.put(f"{HERE}/password", json={"old": PASSWORD, "new": "a new phrase of words"})
    assert right.status_code == 204
    assert first.get(HERE).status_code == 200
    assert second.get(HERE).status_code == 401


def test_an_unknown_issuer_and_a_log_in_that_was_not_begun_here(made: Made) -> None:
    assert made.fresh().get(f"{HERE}/at/nowhere").status_code == 404
    assert made.fresh().get(f"{HERE}/back/nowhere?code=x&state=y").status_code == 401


def test_a_key_makes_no_keys_and_ends_when_it_is_revoked(made: Made) -> None:
    reader = made.client("reader")
    more = reader.post("/api/v1/keys", json={"name": "wide", "scopes": ["review.write"], "days": 1})
    assert more.status_code in (403, 422), "a key has no more than its owner"
    found = reader.post("/api/v1/keys", json={"name": "k", "scopes": ["study.read"], "days": 1}).json()
    robot = made.fresh()
    robot.headers["X-API-Key"] = found["key"]
    assert robot.get("/api/v1/studies").status_code == 200
    assert robot.post("/api/v1/keys", json={"name": "x", "scopes": ["study.read"], "days": 1}).status_code == 403
    assert "key" not in reader.get("/api/v1/keys").json()["items"][0]
    assert reader.delete(f"/api/v1/keys/{found['id']}").status_code == 204
    assert robot.get("/api/v1/studies").status_code == 401


def test_two_credentials_at_once_are_refused(made: Made) -> None:
    client = made.client("reader")
    answer = client.get("/api/v1/studies", headers={"Authorization": "Bearer ins_x_y"})
    assert (answer.status_code, answer.json()["code"]) == (401, "two_credentials")


def test_who_is_switched_off_is_out_at_once(made: Made) -> None:
    admin = made.client("admin")
    user = admin.post("/api/v1/users", json={"name": "leaver", "role": "reader", "password": PASSWORD}).json()
    client = made.fresh()
    assert client.post(HERE, json={"name": "leaver", "password": PASSWORD}).status_code == 200
    assert admin.patch(f"/api/v1/users/{user['id']}", json={"active": False}).json()["active"] is False
    assert client.get(HERE).status_code in (401, 403)


def test_the_last_administrator_stays(made: Made) -> None:
    admin = made.client("admin")
    answer = admin.patch(f"/api/v1/users/{made.ids['admin']}", json={"role": "reader"})
    assert answer.status_code == 409
