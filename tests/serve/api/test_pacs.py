"""`/api/v1/pacs`: who sees what came in, who may search a peer, fetch from it and try again what failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from tests.serve.api.made import Made
from tests.serve.pacs.made_arrived import arrived
from tests.serve.store.made_records import predicted, study

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.pacs import asked
from insula.serve.pacs.peer_errors import PeerUnreachableError
from insula.serve.pacs.query import FoundStudy, Query, Studies
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now

pytestmark = pytest.mark.serve
PEERS = "archive=dicom://ARCHIVE@127.0.0.1:1 his=mllp://127.0.0.1:2 web=http://127.0.0.1:3/dicom-web"
FOUND = FoundStudy("1.2.3", "2026-01-31", "080500", "P-9", "Doe^Jane", modalities=("CT",), instances=28)


@pytest.fixture
def hospital(made: Made, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """The service where it knows three peers, and nothing came in yet."""
    object.__setattr__(made.service, "pacs", read_pacs_settings(peers=PEERS))
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_studies))
    yield made
    object.__setattr__(made.service, "pacs", read_pacs_settings())


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Query]]:
    """What the archive is asked; it answers each with one study."""
    heard: list[tuple[str, Query]] = []

    def answer(settings: PacsSettings, peer: Any, query: Query) -> Studies:
        heard.append((peer.name, query))
        return Studies((FOUND,), more=True)

    monkeypatch.setattr(asked, "find", answer)
    return heard


def told(made: Made, action: str) -> list[dict[str, Any]]:
    found = made.client("auditor").get("/api/v1/trail", params={"action": action, "limit": 200}).json()["items"]
    return [{**one, "detail": json.loads(one["detail"])} for one in found]


def test_peers_are_listed_without_their_addresses(hospital: Made) -> None:
    found = hospital.client("reviewer").get("/api/v1/pacs/peers").json()
    assert [(one["name"], one["kind"], one["search"]) for one in found] == [
        ("archive", "dicom", True),
        ("his", "hl7", False),
        ("web", "web", True),
    ]
    assert "127.0.0.1" not in str(found)


def test_what_came_in_is_seen_by_its_project_and_the_rest_by_who_manages_projects(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        ours = arrived(connection, "1.1", project_id=hospital.inside, series=(2, 3))
        theirs = arrived(connection, "1.2", project_id=hospital.outside)
        nobodys = arrived(connection, "1.3", "unrouted", series=())
    seen = {
        who: [one["id"] for one in hospital.client(who).get("/api/v1/pacs/studies").json()["items"]]
        for who in ("reviewer", "admin", "stranger")
    }
    assert seen == {"reviewer": [ours], "admin": [nobodys, ours], "stranger": [theirs]}
    (row,) = hospital.client("reviewer").get("/api/v1/pacs/studies").json()["items"]
    assert (row["series"], row["instances"], row["source"], row["state"]) == (2, 5, "SCANNER", "taken")
    for who, other in (("reviewer", nobodys), ("reviewer", theirs), ("admin", theirs)):
        assert hospital.client(who).post(f"/api/v1/pacs/studies/{other}/retry").status_code == 404


def test_members_of_a_project_see_whose_it_is_and_what_became_of_it(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        one = study(connection, hospital.inside, "CAME-1")
        prediction = predicted(connection, one)
        said: dict[str, Any] = {"study_id": one, "study_date": "20260131", "accession_number": "A-17"}
        arrived(connection, "1.9", project_id=hospital.inside, **said)
        arrived(connection, "1.10", "unrouted", accession_number="A-18")
        connection.execute(insert(schema.pacs_deliveries).values(prediction_id=prediction, peer="archive", objects=3))
    (row,) = hospital.client("reviewer").get("/api/v1/pacs/studies").json()["items"]
    assert (row["study_date"], row["accession_number"], row["modalities"]) == ("20260131", "A-17", ["CT"])
    assert (row["case"]["patient_key"], row["case"]["prediction"]["id"]) == ("CAME-1", prediction)
    assert [(sent["peer"], sent["state"]) for sent in row["sendings"]] == [("archive", "sent")]
    nobodys = hospital.client("admin").get("/api/v1/pacs/studies").json()["items"][0]
    assert (nobodys["state"], nobodys["modalities"], nobodys["accession_number"]) == ("unrouted", ["CT"], "")
    assert (nobodys["case"], nobodys["sendings"]) == (None, [])


def test_the_list_has_pages_and_a_filter(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        made = [
            arrived(connection, f"2.{n}", "failed" if n == 1 else "taken", project_id=hospital.inside) for n in range(5)
        ]
    client, found = hospital.client("reviewer"), []
    page = {"next": ""}
    for _ in range(3):
        after = {"after": page["next"]} if page["next"] else {}
        page = client.get("/api/v1/pacs/studies", params={"limit": 2, **after}).json()
        found.append([one["id"] for one in page["items"]])
    assert found == [made[:2:-1], made[2:0:-1], made[:1]]
    with writing(hospital.service.records) as connection:  # an object comes of the oldest
        table = schema.pacs_studies
        connection.execute(table.update().where(table.c.id == made[0]).values(last_at=now() + timedelta(minutes=1)))
    assert client.get("/api/v1/pacs/studies", params={"limit": 1}).json()["items"][0]["id"] == made[0]
    assert page["next"] is None
    only = client.get("/api/v1/pacs/studies", params={"state": "failed"}).json()["items"]
    assert [one["id"] for one in only] == [made[1]]
    assert client.get("/api/v1/pacs/studies", params={"state": "nonsense"}).status_code == 422


def test_what_failed_is_taken_anew_and_what_is_at_work_is_not(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        failed = arrived(connection, "3.1", "failed", project_id=hospital.inside, error={"code": "x", "message": "y"})
        coming = arrived(connection, "3.2", "receiving", project_id=hospital.inside)
    answer = hospital.client("reviewer").post(f"/api/v1/pacs/studies/{failed}/retry")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["generation"]) == ("whole", 1)
    with reading(hospital.service.records) as connection:
        job = connection.execute(select(schema.jobs).where(schema.jobs.c.unique_key == f"pacs-take-{failed}-1")).one()
    assert job.payload == {"pacs_study": failed, "generation": 1}
    assert hospital.client("reviewer").post(f"/api/v1/pacs/studies/{coming}/retry").status_code == 409
    assert told(hospital, "pacs.retry")[0]["subject"] == failed
    assert "same_patient" not in told(hospital, "pacs.retry")[0]["detail"]


def test_who_says_that_it_is_one_person_stands_in_the_trail(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        failed = arrived(
            connection, "3.3", "failed", project_id=hospital.inside, error={"code": "another_patient", "message": "y"}
        )
    path = f"/api/v1/pacs/studies/{failed}/retry"
    assert hospital.client("reader").post(path, params={"same_patient": True}).status_code == 403
    assert hospital.client("reviewer").post(path, params={"same_patient": True}).status_code == 200
    with reading(hospital.service.records) as connection:
        job = connection.execute(select(schema.jobs).where(schema.jobs.c.unique_key == f"pacs-take-{failed}-1")).one()
    assert job.payload == {"pacs_study": failed, "generation": 1, "same_patient": True}
    assert told(hospital, "pacs.retry")[0]["detail"] == {"same_patient": True}


def test_a_peer_is_searched_and_the_trail_tells_who_did_and_not_what_for(
    hospital: Made, questions: list[tuple[str, Query]]
) -> None:
    answer = hospital.client("reviewer").get(
        "/api/v1/pacs/peers/archive/studies",
        params={"patient_name": "Doe", "since": "2026-01-01", "modality": "CT", "limit": 7},
    )
    assert answer.status_code == 200, answer.text
    (shown,) = answer.json()["studies"]
    assert (shown["study_uid"], shown["patient_name"], shown["instances"], shown["series"]) == (
        "1.2.3", "Doe^Jane", 28, None,
    )  # fmt: skip
    assert answer.json()["more"] is True
    ((peer, query),) = questions
    assert peer == "archive"
    assert (query.patient_name, str(query.since), query.until, query.limit) == ("Doe", "2026-01-01", None, 7)
    entry = told(hospital, "pacs.search")[0]
    assert entry["actor"] == "reviewer"
    assert entry["detail"] == {"peer": "archive", "rows": 1}
    assert "Doe" not in str(told(hospital, "pacs.search"))


@pytest.mark.parametrize("name", ["his", "nobody", "ARCHIVE", "..%2F"])
def test_only_a_known_peer_that_can_be_searched_is(hospital: Made, name: str) -> None:
    client = hospital.client("reviewer")
    assert client.get(f"/api/v1/pacs/peers/{name}/studies").status_code == 404
    assert client.post(f"/api/v1/pacs/peers/{name}/pulls", json={"study_uid": "1.2"}).status_code == 404


def test_what_a_peer_does_wrong_is_told(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> Studies:
        raise PeerUnreachableError("'archive' does not answer; look whether it runs.")

    monkeypatch.setattr(asked, "find", silent)
    answer = hospital.client("reviewer").get("/api/v1/pacs/peers/archive/studies")
    assert answer.status_code == 502
    assert answer.json()["code"] == "peer_unreachable"
    assert told(hospital, "pacs.search")[0]["detail"] == {"failed": "peer_unreachable", "peer": "archive"}


def test_a_question_that_is_none_reaches_no_peer(hospital: Made) -> None:
    answer = hospital.client("reviewer").get(
        "/api/v1/pacs/peers/archive/studies", params={"since": "2026-02-01", "until": "2026-01-01"}
    )
    assert answer.status_code == 400, answer.text
    assert "after the last" in answer.json()["detail"]


def test_slow_peers_hold_up_no_more_than_a_few_threads(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(settings: PacsSettings, peer: Any, query: Query) -> Studies:
        for _ in range(3):
            assert asked._AT_ONCE.acquire(blocking=False)
        try:
            with pytest.raises(RequestError) as refused:
                asked.studies(hospital.service.pacs, peer, query)
        finally:
            asked._AT_ONCE.release(3)
        assert refused.value.status == 503
        return Studies(())

    monkeypatch.setattr(asked, "find", busy)
    assert hospital.client("reviewer").get("/api/v1/pacs/peers/archive/studies").json()["studies"] == []


def test_a_study_is_fetched_by_a_job_of_who_asked(hospital: Made) -> None:
    client = hospital.client("reviewer")
    answer = client.post("/api/v1/pacs/peers/archive/pulls", json={"study_uid": "1.2.840.5"})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["state"]) == ("pacs_pull", "waiting")
    assert client.get(f"/api/v1/jobs/{job['id']}").status_code == 200
    assert hospital.client("stranger").get(f"/api/v1/jobs/{job['id']}").status_code == 404
    with reading(hospital.service.records) as connection:
        payload = queue.get(connection, job["id"], None).payload
    assert payload == {"peer": "archive", "study_uid": "1.2.840.5"}
    assert told(hospital, "pacs.pull")[0]["detail"] == {"peer": "archive"}
    for wrong in ("", "1..2", "x", "1." * 40, "1.2\n", "*"):
        assert client.post("/api/v1/pacs/peers/archive/pulls", json={"study_uid": wrong}).status_code == 422, wrong


def test_readers_neither_search_nor_send(hospital: Made) -> None:
    for role in ("reader", "auditor"):
        client = hospital.client(role)
        assert client.get("/api/v1/pacs/studies").status_code == 403
        assert client.get("/api/v1/pacs/peers/archive/studies").status_code == 403
        assert client.post("/api/v1/pacs/peers/archive/pulls", json={"study_uid": "1.2"}).status_code == 403


def test_what_was_sent_of_a_prediction(hospital: Made) -> None:
    at = now()
    with writing(hospital.service.records) as connection:
        one = study(connection, hospital.inside, "SENT-1")
        prediction, other = predicted(connection, one), predicted(connection, one)
        connection.execute(insert(schema.pacs_deliveries).values(prediction_id=prediction, peer="archive", objects=3))
        for peer, of in (("web", prediction), ("his", other)):
            wanted = Wanted("pacs_send", {"prediction": of, "peer": peer, "objects": ["report"]}, study_id=one)
            queue.put(connection, wanted, at)
        claimed = queue.claim(connection, "w", ["pacs_send"], at, timedelta(minutes=1))
        assert claimed is not None
        queue.fail(connection, claimed, {"code": "peer_refused", "message": "'web' said no."}, at, again=False)
    found = hospital.client("reviewer").get(f"/api/v1/predictions/{prediction}/sendings")
    assert found.status_code == 200, found.text
    rows = {row["peer"]: row for row in found.json()}
    assert set(rows) == {"archive", "web"}
    assert (rows["archive"]["state"], rows["archive"]["objects"], rows["archive"]["job"]) == ("sent", 3, None)
    assert (rows["web"]["state"], rows["web"]["error"]["code"]) == ("failed", "peer_refused")
    assert hospital.client("stranger").get(f"/api/v1/predictions/{prediction}/sendings").status_code == 404


def test_what_moves_between_machines_is_stopped_and_repeated_by_who_may_move_it(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        one = study(connection, hospital.inside, "SENT-2")
        wanted = Wanted("pacs_send", {"prediction": "x", "peer": "web", "objects": []}, study_id=one)
        put = queue.put(connection, replace(wanted, project_id=hospital.inside), now())
    reader, reviewer = hospital.client("reader"), hospital.client("reviewer")
    assert reader.get(f"/api/v1/jobs/{put.id}").status_code == 200
    for answer in (reader.delete(f"/api/v1/jobs/{put.id}"), reader.post(f"/api/v1/jobs/{put.id}/again")):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "'pacs.move'" in answer.text
    assert reviewer.delete(f"/api/v1/jobs/{put.id}").json()["state"] == "cancelled"
    assert reviewer.post(f"/api/v1/jobs/{put.id}/again").json()["state"] == "waiting"
    assert reviewer.delete(f"/api/v1/jobs/{put.id}").json()["state"] == "cancelled"


def test_that_a_review_was_sent_is_not_told_to_who_has_yet_to_read(hospital: Made) -> None:
    prediction = hospital.predicted(patient="SENT-3")
    said = {"target": prediction["answer"]["target"], "verdict": "agree", "signature": "R. Viewer"}
    where = f"/api/v1/studies/{prediction['study_id']}/reviews"
    review = hospital.client("reviewer").post(where, json={**said, "prediction": prediction["id"]}).json()["id"]
    with writing(hospital.service.records) as connection:
        values = {"prediction_id": prediction["id"], "review_id": review, "peer": "archive", "objects": 1}
        connection.execute(insert(schema.pacs_deliveries).values(values))
        payload = {"prediction": prediction["id"], "review": review, "peer": "web", "objects": []}
        queue.put(connection, Wanted("pacs_send", payload, study_id=prediction["study_id"]), now())
    for role, told_of in (("reviewer", review), ("admin", None)):
        client = hospital.client(role)
        rows = client.get(f"/api/v1/predictions/{prediction['id']}/sendings").json()
        assert [row["review_id"] for row in rows] == [told_of, told_of], role
        page = client.get(f"/studies/{prediction['study_id']}", headers={"Accept": "text/html"})
        assert "Sent to the PACS" in page.text
        assert ("with a review" in page.text) is (told_of is not None)
