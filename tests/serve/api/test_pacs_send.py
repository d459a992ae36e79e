"""`POST /predictions/{id}/send`: who may send what, to which peers, and with whose review."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from tests.serve.api.made import Made

from insula.serve.pacs.settings import read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
PEERS = "archive=dicom://ARCHIVE@127.0.0.1:104 ris=mllp://127.0.0.1:2575"


@pytest.fixture
def hospital(made: Made) -> Iterator[Made]:
    """The service with two peers."""
    object.__setattr__(made.service, "pacs", read_pacs_settings(peers=PEERS))
    yield made
    object.__setattr__(made.service, "pacs", read_pacs_settings())


def send(made: Made, prediction: str, role: str = "reviewer", key: str = "", **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    path = f"/api/v1/predictions/{prediction}/send"
    return made.client(role).post(path, json={"peer": "archive", **body}, headers=headers)


def review(made: Made, answer: dict[str, Any], role: str) -> str:
    said = {"target": answer["answer"]["target"], "verdict": "agree", "signature": "Dr. A", "prediction": answer["id"]}
    found = made.client(role).post(f"/api/v1/studies/{answer['study_id']}/reviews", json=said)
    assert found.status_code == 201, found.text
    return str(found.json()["id"])


def jobs(made: Made, prediction: str) -> list[dict[str, Any]]:
    """What is to be sent of a prediction, in the order in which it was asked for."""
    with reading(made.service.records) as connection:
        rows = connection.execute(
            select(schema.jobs).where(schema.jobs.c.kind == "pacs_send").order_by(schema.jobs.c.seq)
        ).all()
    return [dict(row._mapping) for row in rows if row.payload["prediction"] == prediction]


def test_a_job_is_put_for_the_node(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-1")
    found = send(hospital, answer["id"])
    assert found.status_code == 202
    assert found.headers["Location"] == f"/api/v1/jobs/{found.json()['id']}"
    (job,) = jobs(hospital, answer["id"])
    assert job["payload"] == {
        "prediction": answer["id"],
        "peer": "archive",
        "objects": ["report", "capture", "map"],
    }
    assert (job["project_id"], job["study_id"]) == (hospital.inside, answer["study_id"])
    assert job["created_by"] == hospital.ids["reviewer"]
    assert hospital.client("reader").get(f"/api/v1/jobs/{job['id']}").json()["kind"] == "pacs_send"


def test_it_can_be_sent_again_but_not_by_a_repeated_request(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-2")
    first = send(hospital, answer["id"], key="k-1")
    assert send(hospital, answer["id"], key="k-1").json() == first.json()
    assert len(jobs(hospital, answer["id"])) == 1
    assert send(hospital, answer["id"], peer="ris", objects=["report"]).status_code == 202
    assert send(hospital, answer["id"]).status_code == 202
    assert [job["payload"]["peer"] for job in jobs(hospital, answer["id"])] == ["archive", "ris", "archive"]
    assert send(hospital, answer["id"], key="k-1", peer="ris").status_code == 422


def test_the_review_that_a_sender_knows_goes_along(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-3")
    theirs = review(hospital, answer, "admin")
    send(hospital, answer["id"], "reviewer")  # who is to read it second, and must not learn of it by the archive
    mine = review(hospital, answer, "reviewer")
    send(hospital, answer["id"], "reviewer")
    send(hospital, answer["id"], "admin", review=False)
    found = [job["payload"].get("review") for job in jobs(hospital, answer["id"])]
    assert found == [None, mine, None]
    assert theirs not in found


def test_a_review_of_a_further_target_says_nothing_of_the_finding(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-12")
    mine = review(hospital, answer, "admin")
    with writing(hospital.service.records) as connection:  # the made model has no further target
        said = {"verdict": "override", "signature": "Dr. A", "target": "stage", "label": "IV"}
        whose = {"study_id": answer["study_id"], "prediction_id": answer["id"], "reviewer_id": hospital.ids["admin"]}
        connection.execute(schema.reviews.insert().values(id=schema.new_id(), **said, **whose))
    send(hospital, answer["id"], "admin")
    assert [job["payload"].get("review") for job in jobs(hospital, answer["id"])] == [mine]
    path = f"/api/v1/predictions/{answer['id']}/report"
    told = hospital.client("admin").get(path, params={"format": "json"}).json()["review"]
    assert (told["verdict"], told["label"]) == ("agree", answer["label"])


@pytest.mark.parametrize(
    "body",
    [
        {"peer": "nobody"},
        {"peer": "a" * 40},
        {"objects": []},
        {"objects": ["film"]},
        {"objects": ["report"] * 6},
        {"more": 1},
    ],
)
def test_what_cannot_be_sent_is_refused(hospital: Made, body: dict[str, Any]) -> None:
    answer = hospital.predicted(patient="SENT-4")
    before = len(jobs(hospital, answer["id"]))
    assert send(hospital, answer["id"], **body).status_code in (404, 422)
    assert len(jobs(hospital, answer["id"])) == before


def test_an_unknown_peer_is_told_with_those_there_are(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-5")
    found = send(hospital, answer["id"], peer="nobody")
    assert (found.status_code, found.json()["code"]) == (404, "no_peer")
    assert "archive, ris" in found.json()["detail"]


def test_others_predictions_cannot_be_sent(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-6")
    for role in ("stranger",):
        assert send(hospital, answer["id"], role).status_code == 404
    for role in ("reader", "auditor"):
        assert send(hospital, answer["id"], role).status_code == 403
    assert send(hospital, "0" * 32).status_code == 404
    assert jobs(hospital, answer["id"]) == []


def test_the_trail_names_sender_and_peer(hospital: Made) -> None:
    answer = hospital.predicted(patient="SENT-7")
    name = send(hospital, answer["id"]).json()["id"]
    trail = schema.trail.c
    with reading(hospital.service.records) as connection:
        these = (trail.action == "pacs.ask", trail.subject == answer["id"])
        (row,) = connection.execute(select(trail.actor, trail.detail).where(*these)).all()
    assert row.actor == "reviewer"
    assert '"peer":"archive"' in row.detail.replace(" ", "")
    assert name in row.detail
