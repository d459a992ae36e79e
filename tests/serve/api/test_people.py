"""Letting people in by an issuer, into projects one by one, and logging them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from tests.serve.api.made import PASSWORD, Made

from insula.serve.people.issuers import Issuer
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
ISSUER = "https://id.clinic.example"


@pytest.fixture
def vouched(made: Made) -> Iterator[None]:
    """The service with an issuer."""
    plain = made.service.people
    one = Issuer(name="clinic", issuer=ISSUER, audience="insula", keys=f"{ISSUER}/keys", roles={"staff": "reader"})
    object.__setattr__(made.service, "people", plain.model_copy(update={"issuers": (one,)}))
    yield
    object.__setattr__(made.service, "people", plain)


def told(made: Made, action: str) -> list[dict[str, Any]]:
    with reading(made.service.records) as connection:
        rows = connection.execute(select(schema.trail.c.detail).where(schema.trail.c.action == action))
        return [json.loads(row.detail) for row in rows]


def logged_in(made: Made, name: str) -> Any:
    client = made.fresh()
    answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


@pytest.mark.usefixtures("vouched")
def test_somebody_is_let_in_by_an_issuer_that_the_settings_name(made: Made) -> None:
    admin = made.client("admin")
    asked = {"name": "vera", "role": "reader", "issuer": ISSUER, "subject": "7"}
    answer = admin.post("/api/v1/users", json=asked)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["issuer"], answer.json()["has_password"]) == (ISSUER, False)
    other = admin.post("/api/v1/users", json={**asked, "name": "v2", "issuer": "https://evil.example"})
    assert (other.status_code, other.json()["code"]) == (422, "no_issuer")
    half = admin.post("/api/v1/users", json={**asked, "name": "v3", "subject": None})
    assert (half.status_code, half.json()["code"]) == (422, "bad_subject")
    again = admin.post("/api/v1/users", json={**asked, "name": "v4"})
    assert again.status_code == 409


def test_an_administrator_logs_somebody_out_and_leaves_the_keys(made: Made) -> None:
    first, second = logged_in(made, "stranger"), logged_in(made, "stranger")
    key = first.post("/api/v1/keys", json={"name": "k", "scopes": ["study.read"], "days": 1}).json()["key"]
    path = f"/api/v1/users/{made.ids['stranger']}/sessions"
    assert made.client("reviewer").delete(path).status_code == 403
    assert made.client("admin").delete(path).status_code == 204
    assert [one.get("/api/v1/session").status_code for one in (first, second)] == [401, 401]
    robot = made.fresh()
    robot.headers["X-API-Key"] = key
    assert robot.get("/api/v1/session").status_code == 200
    assert told(made, "user.log_out")[-1]["ended"] == 2
    assert made.client("admin").delete(f"/api/v1/users/{'0' * 32}/sessions").status_code == 404


def test_everywhere_else_is_logged_out_and_here_is_not(made: Made) -> None:
    here, there, of_another = logged_in(made, "stranger"), logged_in(made, "stranger"), made.client("reader")
    assert here.delete("/api/v1/session/others", headers={"X-CSRF-Token": "x"}).status_code == 403
    assert there.get("/api/v1/session").status_code == 200
    assert here.delete("/api/v1/session/others").status_code == 204
    assert there.get("/api/v1/session").json()["code"] == "session_ended"
    assert here.get("/api/v1/session").status_code == of_another.get("/api/v1/session").status_code == 200
    assert told(made, "session.end_others")[-1]["ended"] == 1
    key = here.post("/api/v1/keys", json={"name": "k", "scopes": ["study.read"], "days": 1}).json()["key"]
    robot = made.fresh()
    robot.headers["X-API-Key"] = key
    assert robot.delete("/api/v1/session/others").json()["code"] == "no_session"
    assert here.get("/api/v1/session").status_code == 200


def test_membership_of_one_project_changes_and_the_others_stay(made: Made) -> None:
    admin, stranger = made.client("admin"), made.client("stranger")
    path = f"/api/v1/projects/{made.inside}/members/{made.ids['stranger']}"
    assert made.client("reviewer").put(path).status_code == 403
    for changed in (True, False):
        assert admin.put(path).status_code == 204
        assert told(made, "project.let_in")[-1] == {"user": made.ids["stranger"], "changed": changed}
    assert stranger.get("/api/v1/session").json()["projects"] == sorted([made.inside, made.outside])
    assert admin.delete(path).status_code == 204
    assert stranger.get("/api/v1/session").json()["projects"] == [made.outside]
    assert told(made, "project.take_out")[-1]["changed"] is True
    assert admin.put(f"/api/v1/projects/{'0' * 32}/members/{made.ids['stranger']}").status_code == 404
    assert admin.put(f"/api/v1/projects/{made.inside}/members/{'0' * 32}").status_code == 404
