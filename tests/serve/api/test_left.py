"""Who has left a project gets nothing of it any more: no repeated answer, no cohort that was made before."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serve.api.made import PASSWORD, Made

pytestmark = pytest.mark.serve


def entered(made: Made, name: str) -> TestClient:
    """A client of a new reviewer of the second project."""
    body = {"name": name, "role": "reviewer", "password": PASSWORD, "projects": [made.outside]}
    assert made.client("admin").post("/api/v1/users", json=body).status_code == 201
    client = made.fresh()
    me = client.post("/api/v1/session", json={"name": name, "password": PASSWORD}).json()
    client.headers["X-CSRF-Token"] = me["csrf"]
    return client


def leave(made: Made, client: TestClient) -> None:
    """Take its user out of the project."""
    who = client.get("/api/v1/session").json()["id"]
    assert made.client("admin").delete(f"/api/v1/projects/{made.outside}/members/{who}").status_code == 204


def test_an_answer_is_not_repeated_to_who_has_left_the_project(made: Made) -> None:
    client = entered(made, "left-a")
    found = made.predicted("stranger", project=made.outside, patient="L-1")
    study, prediction = f"/api/v1/studies/{found['study_id']}", f"/api/v1/predictions/{found['id']}"
    said = {"target": found["answer"]["target"], "verdict": "override", "label": "normal", "signature": "L"}
    sent: list[tuple[str, dict[str, Any]]] = [(f"{study}/reviews", said), (f"{study}/predictions", {})]
    for k, (path, body) in enumerate(sent):
        answers = [client.post(path, json=body, headers={"Idempotency-Key": f"left-{k}"}) for _ in range(2)]
        assert [one.status_code for one in answers] in ([201, 201], [202, 202]), answers[0].text
        assert answers[1].headers["Idempotent-Replay"] == "true"
    leave(made, client)
    for k, (path, body) in enumerate(sent):
        assert client.post(path, json=body, headers={"Idempotency-Key": f"left-{k}"}).status_code == 404, path
    assert client.post(f"{prediction}/send", json={"peer": "archive"}).status_code == 404


def test_a_cohort_is_not_given_to_who_has_left_one_of_its_projects(made: Made) -> None:
    client = entered(made, "left-b")
    found = made.predicted("stranger", project=made.outside, patient="L-2")
    said = {"target": found["answer"]["target"], "verdict": "override", "label": "normal", "signature": "L"}
    assert client.post(f"/api/v1/studies/{found['study_id']}/reviews", json=said).status_code == 201
    job = client.post("/api/v1/cohorts", json={}).json()["id"]
    made.worked()
    assert client.get(f"/api/v1/cohorts/{job}/archive").status_code == 200
    leave(made, client)
    assert client.get(f"/api/v1/cohorts/{job}/archive").status_code == 404


def test_a_key_for_repeats_counts_for_the_query_too(made: Made) -> None:
    client, sent = made.client("reader"), {"Idempotency-Key": "query-1"}
    study = made.study("reader", patient="L-3")["id"]
    path = f"/api/v1/studies/{study}/predictions"
    assert client.post(path, json={}, headers=sent).status_code == 202
    assert client.post(path, json={}, headers=sent).headers["Idempotent-Replay"] == "true"
    other = client.post(f"{path}?same_patient=true", json={}, headers=sent)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
