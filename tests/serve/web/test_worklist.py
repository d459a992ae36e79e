"""The worklist as people see it: rows and their state, filters, joins that are proposed, and what an empty one says."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from starlette.testclient import TestClient
from tests.serve.api.made import Made
from tests.serve.client import dicom
from tests.serve.store.made_records import MADE, predicted
from tests.serve.web.reading import Page, read

from insula.serve.people import users
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.schema import now
from insula.serve.web import worklist as page_of
from insula.serve.web.worklist import joins_in

pytestmark = pytest.mark.serve
HTML = {"accept": "text/html"}


@pytest.fixture
def empty(made: Made) -> Made:
    """A service without any study."""
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.studies))
    return made


def study(made: Made, key: str, title: str = "", by: str = "reviewer", modality: str = "CT", where: str = "") -> str:
    facts = {"scan": {"scans": [{"modality": modality, "slices": 28}]}}
    with writing(made.service.records) as connection:
        patient = patients.get_or_create(connection, where or made.inside, key)
        return studies.create(connection, patient, made.ids[by], title, facts=facts)


def answer(made: Made, study_id: str, action: str = "accept", arm: str = "main", p: float = 0.9) -> None:
    with writing(made.service.records) as connection:
        predicted(connection, study_id, p, action, type(MADE)(**{**MADE.__dict__, "arm": arm}))


def job(made: Made, study_id: str, state: str, **more: Any) -> str:
    name = schema.new_id()
    values = {"id": name, "kind": "predict", "state": state, "study_id": study_id, "project_id": made.inside, **more}
    with writing(made.service.records) as connection:
        connection.execute(insert(schema.jobs).values(values))
    return name


def cells(shown: Page) -> dict[str, str]:
    """Patient → the whole row as text."""
    return {key: " ".join(row) for row in shown.rows for key in [next(one for one in row if one.startswith("W-"))]}


def test_rows_show_patient_scans_work_and_answer(empty: Made) -> None:
    first, second, third, fourth = (study(empty, f"W-{n}", f"Head {n}") for n in range(1, 5))
    answer(empty, first, "refer")
    answer(empty, second, "reject")
    answer(empty, second, "accept", "shadow")
    job(empty, third, "running", progress=0.456, step="reading and predicting")
    job(empty, fourth, "failed", error={"code": "x", "message": "The scan <b>has</b> a gap."})
    client = empty.client("reviewer")
    shown = cells(read(client, "/worklist"))
    assert list(shown) == ["W-4", "W-3", "W-2", "W-1"]
    assert "referred" in shown["W-1"]
    assert "stroke" in shown["W-1"]
    assert "0.90" in shown["W-1"]
    assert "CT" in shown["W-1"]
    assert "not reviewed" in shown["W-1"]
    assert "rejected" in shown["W-2"]
    assert "accepted" not in shown["W-2"]
    assert "0.9" not in shown["W-2"]
    assert "46% reading and predicting" in shown["W-3"]
    assert "The scan <b>has</b> a gap." in shown["W-4"]
    assert "<b>has" not in client.get("/worklist", headers=HTML).text
    assert "Arbeitsliste" in client.get("/worklist", headers={**HTML, "accept-language": "de"}).text


def test_filters_and_pages_are_the_servers(empty: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        answer(empty, study(empty, f"W-{n}", "Neck" if n else "Head", "reader" if n == 2 else "reviewer"))
    client = empty.client("reviewer")
    found = read(client, "/worklist?text=head&project=&state=&mine=")
    assert list(cells(found)) == ["W-0"]
    assert found.fields["text"] == "head"
    assert list(cells(read(client, "/worklist?mine=1"))) == ["W-4", "W-3", "W-1", "W-0"]
    assert list(cells(read(client, f"/worklist?project={empty.inside}"))) == [f"W-{n}" for n in range(4, -1, -1)]
    assert read(client, f"/worklist?project={empty.outside}").rows == []
    monkeypatch.setattr(page_of, "ROWS", 2)
    seen: list[str] = []
    address = "/worklist?state=answered&mine=1"
    while address:
        some = read(client, address)
        seen += cells(some)
        address = some.rels.get("next", "")
        assert not address or {"state=answered", "mine=1"} <= set(address.partition("?")[2].split("&"))
    assert seen == ["W-4", "W-3", "W-1", "W-0"]
    assert client.get("/worklist?state=lost", headers=HTML).status_code == 422
    assert client.get("/worklist?after=x!", headers=HTML).status_code == 400


def test_others_see_nothing_and_the_trail_is_told(empty: Made) -> None:
    one = study(empty, "W-1")
    stranger = empty.client("stranger")
    assert read(stranger, "/worklist").rows == []
    assert stranger.get("/api/v1/worklist", params={"study": one}).json()["items"] == []
    assert one not in stranger.get("/worklist/rows", params={"study": one}, headers=HTML).text
    assert empty.client("auditor").get("/worklist", headers=HTML).status_code == 403
    assert empty.fresh().get("/worklist", headers=HTML, follow_redirects=False).status_code == 303
    told = empty.client("auditor").get("/api/v1/trail", params={"action": "study.list"}).json()["items"]
    assert {one["actor"] for one in told[:3]} == {"stranger"}


def test_an_empty_list_says_why_and_what_to_do(empty: Made) -> None:
    client = empty.client("reader")
    shown = read(client, "/worklist")
    assert "Nothing has been uploaded to your projects yet." in shown.text
    assert "/upload" in shown.links
    assert "No study fits these filters." in read(client, "/worklist?text=none").text
    with writing(empty.service.records) as connection:
        users.create(connection, "nobody", "reader", now(), password="a long enough phrase")
    alone = log_in(empty, "nobody")
    assert "You are in no project yet" in read(alone, "/worklist").text
    assert "You are in no project yet" in read(alone, "/upload").text


def log_in(made: Made, name: str) -> TestClient:
    client = made.fresh()
    answered = client.post("/api/v1/session", json={"name": name, "password": "a long enough phrase"})
    client.headers["X-CSRF-Token"] = answered.json()["csrf"]
    return client


def test_rows_at_work_name_their_job_and_are_fetched_anew_when_it_has_ended(empty: Made) -> None:
    one = study(empty, "W-1")
    name = job(empty, one, "waiting")
    client = empty.client("reader")
    assert f'data-job="{name}"' in client.get("/worklist", headers=HTML).text
    other = job(empty, one, "cancelled")
    found = client.get("/api/v1/jobs", params={"id": [name]}).json()["items"]
    assert [(each["id"], each["state"]) for each in found] == [(name, "waiting")]
    both = client.get("/api/v1/jobs", params={"id": [name, other]}).json()["items"]
    assert {each["id"] for each in both} == {name, other}
    assert empty.client("stranger").get("/api/v1/jobs", params={"id": [name]}).json()["items"] == []
    assert client.get("/api/v1/jobs", params={"id": ["x"]}).status_code == 422
    with writing(empty.service.records) as connection:
        connection.execute(delete(schema.jobs).where(schema.jobs.c.id == other))
        connection.execute(update(schema.jobs).where(schema.jobs.c.id == name).values(state="done", ended_at=now()))
    answer(empty, one)
    text = client.get("/worklist/rows", params={"study": one}, headers=HTML).text
    assert "data-job" not in text
    assert "W-1 is ready: accepted, stroke" in text
    assert "<html" not in text


def test_scans_of_several_modalities_of_a_patient_are_proposed_as_one_case(empty: Made) -> None:
    ct, mri = study(empty, "W-1", modality="CT"), study(empty, "W-1", modality="MR")
    study(empty, "W-2", modality="CT")
    study(empty, "W-2", modality="CT")
    client = empty.client("reader")
    text = client.get("/worklist", headers=HTML).text
    assert "W-1 has 2 studies with different scans (CT, MR)." in text
    assert "W-2 has" not in text
    assert text.index(f'value="{ct}" data-as="list"') < text.index(f'value="{mri}" data-as="list"')
    joined = client.post("/api/v1/studies/join", json={"studies": [ct, mri]})
    assert joined.status_code == 200, joined.text
    assert "different scans" not in client.get("/worklist", headers=HTML).text
    assert joins_in(()) == ()


def test_what_is_joined_is_shown_and_used_with_all_its_scans(empty: Made) -> None:
    client = empty.client("reader")
    made = []
    for kind in ("MR", "CT"):
        sent = [("files", (f"{n}.dcm", dicom(kind, n, series=f"1.2.{kind == 'CT':d}"))) for n in (1, 2)]
        form = {"project": empty.inside, "patient": "W-9"}
        made.append(client.post("/api/v1/studies", data=form, files=sent).json()["id"])
    assert client.post("/api/v1/studies/join", json={"studies": made}).status_code == 200
    (row,) = client.get("/api/v1/worklist", params={"text": "W-9"}).json()["items"]
    assert row["scans"] == [{"modality": "MR", "slices": 2}, {"modality": "CT", "slices": 2}]
    asked = client.post(f"/api/v1/studies/{made[0]}/predictions", json={})
    empty.worked()
    found = client.get(f"/api/v1/jobs/{asked.json()['id']}").json()
    assert found["state"] == "done", found
    (row,) = client.get("/api/v1/worklist", params={"study": made[0]}).json()["items"]
    assert row["prediction"]["id"] == found["result"]["prediction"]
