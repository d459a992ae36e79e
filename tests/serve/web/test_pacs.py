"""The pages of the PACS: what came in with its state, what a peer has, and on a case what was sent where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert
from tests.serve.api.made import Made
from tests.serve.pacs.made_arrived import arrived
from tests.serve.web.reading import read

from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.pacs import asked
from insula.serve.pacs.peer_errors import PeerRefusedError
from insula.serve.pacs.query import FoundStudy, Query, Studies
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.schema import now
from insula.serve.web import pacs

pytestmark = pytest.mark.serve
PAGE = {"accept": "text/html"}
OLD = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


@pytest.fixture
def hospital(made: Made) -> Iterator[Made]:
    """The service where it knows two peers; nothing came in or was fetched yet."""
    object.__setattr__(
        made.service, "pacs", read_pacs_settings(peers="archive=dicom://A@127.0.0.1:1 his=mllp://127.0.0.1")
    )
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_studies))
        connection.execute(delete(schema.jobs))
    yield made
    object.__setattr__(made.service, "pacs", read_pacs_settings())


def found_at(monkeypatch: pytest.MonkeyPatch, *studies: FoundStudy, more: bool = False) -> list[Query]:
    heard: list[Query] = []

    def answer(settings: PacsSettings, peer: Any, query: Query) -> Studies:
        heard.append(query)
        return Studies(studies, more)

    monkeypatch.setattr(asked, "find", answer)
    return heard


def test_what_came_in_stands_with_its_state_and_the_way_on(hospital: Made) -> None:
    case = hospital.study(patient="PACS-1")["id"]
    with writing(hospital.service.records) as connection:
        said: dict[str, Any] = {"description": "Head <CT>", "study_date": "20260131", "accession_number": "A-17"}
        arrived(connection, "1.1", project_id=hospital.inside, study_id=case, series=(3,), last_at=OLD, **said)
        told = {"code": "no_project", "message": "There is no project 'Hands'."}
        failed = arrived(connection, "1.2", "failed", project_id=hospital.inside, error=told)
        arrived(connection, "1.3", "unrouted", series=(1, 1), accession_number="A-99")
    shown = read(hospital.client("reviewer"), "/pacs")
    assert [row[:2] + row[3:7] for row in shown.rows] == [
        ["not known yet", "– · CT Head", "2 in one series", "failed There is no project 'Hands'.", "–", "–"],
        [
            "PACS-1",
            "2026-01-31 · CT Head <CT> Accession number A-17",
            "3 in one series",
            "taken",
            "not asked yet",
            "–",
        ],
    ]
    assert shown.rows[1][2] == "2026-01-02 03:04 from SCANNER"
    assert f"/studies/{case}" in shown.links
    assert "failed 1" in shown.text
    text = hospital.client("reviewer").get("/pacs", headers=PAGE).text
    assert f'data-api="POST /api/v1/pacs/studies/{failed}/retry"' in text
    assert text.count("/retry") == 1
    assert "It is one person" not in text
    assert "/documents/pacs" not in text
    admin = read(hospital.client("admin"), "/pacs")
    assert [row[4] for row in admin.rows] == ["no rule takes it", "failed There is no project 'Hands'.", "taken"]
    assert admin.rows[0][:2] == ["not known yet", "– · CT Head"]
    assert admin.rows[0][3] == "2 in 2 series"
    assert "A-99" not in admin.text
    assert "/documents/pacs" in admin.links
    assert [row[4] for row in read(hospital.client("admin"), "/pacs", state="unrouted").rows] == ["no rule takes it"]


def test_where_it_may_be_another_person_somebody_can_say_that_it_is_not(hospital: Made) -> None:
    with writing(hospital.service.records) as connection:
        told = {"code": "another_patient", "message": "The headers name another patient."}
        failed = arrived(connection, "1.4", "failed", project_id=hospital.inside, error=told)
    text = hospital.client("reviewer").get("/pacs", headers=PAGE).text
    assert f'data-api="POST /api/v1/pacs/studies/{failed}/retry?same_patient=true"' in text
    assert "It is one person" in text
    assert "same_patient" not in hospital.client("reader").get("/pacs", headers=PAGE).text


def test_an_answer_and_what_became_of_its_sending_stand_with_what_came_in(hospital: Made) -> None:
    prediction, at = hospital.predicted(patient="PACS-2"), now()
    with writing(hospital.service.records) as connection:
        arrived(connection, "4.1", project_id=hospital.inside, study_id=prediction["study_id"])
        row = {"prediction_id": prediction["id"], "peer": "archive", "objects": 3}
        connection.execute(insert(schema.pacs_deliveries).values(row))
    reader = hospital.client("reviewer")
    before = reader.get("/pacs", headers=PAGE).text
    with writing(hospital.service.records) as connection:
        payload = {"prediction": prediction["id"], "peer": "his", "objects": ["report"]}
        job = queue.put(connection, Wanted("pacs_send", payload, study_id=prediction["study_id"]), at)
        why = {"code": "peer_unreachable", "message": "'his' does not answer."}
        connection.execute(schema.jobs.update().where(schema.jobs.c.id == job.id).values(attempts=8, error=why))
    assert '<span class="badge good">taken</span>' in before
    (shown,) = read(reader, "/pacs").rows
    assert shown[0] == "PACS-2"
    assert prediction["model_name"] in shown[5]
    assert "sent to archive" in shown[6]
    assert "sending to his is tried again (attempt 9) 'his' does not answer." in shown[6]
    assert f"/studies/{prediction['study_id']}?prediction={prediction['id']}" in read(reader, "/pacs").links
    assert '<span class="badge good">taken</span>' not in reader.get("/pacs", headers=PAGE).text
    german = reader.get("/pacs", headers={**PAGE, "accept-language": "de"}).text
    assert "Sendung an his wird noch einmal versucht (Versuch 9)" in german


def test_a_case_tells_from_where_it_came(hospital: Made) -> None:
    uploaded = hospital.study(patient="PACS-3")["id"]
    with writing(hospital.service.records) as connection:
        patient = patients.get_or_create(connection, hospital.inside, "PACS-4")
        came, gone = studies.create(connection, patient, None), studies.create(connection, patient, None)
        for n, one in enumerate((came, came, uploaded)):
            arrived(connection, f"5.{n}", project_id=hospital.inside, study_id=one, source=f"CT{n + 5}")
    client = hospital.client("reviewer")
    said = "from CT5 over the network (DICOM)"
    assert said in read(client, f"/studies/{came}").text
    assert "an account that is gone" in read(client, f"/studies/{gone}").text
    assert "over the network" not in read(client, f"/studies/{uploaded}").text, "an account sent it"


def test_the_list_has_pages(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacs, "ROWS", 2)
    with writing(hospital.service.records) as connection:
        for n in range(5):
            arrived(connection, f"2.{n}", project_id=hospital.inside, description=f"Scan {n}", last_at=OLD)
    shown = read(hospital.client("reviewer"), "/pacs", state="taken")
    found = [row[1] for row in shown.rows]
    while "next" in shown.rels:
        shown = read(hospital.client("reviewer"), shown.rels["next"])
        assert shown.rels["first"] == "/pacs?state=taken"
        found += [row[1] for row in shown.rows]
    assert found == [f"– · CT Scan {n}" for n in (4, 3, 2, 1, 0)]
    read(hospital.client("reviewer"), "/pacs", 400, after="nonsense")
    read(hospital.client("reviewer"), "/pacs", 422, state="nonsense")


def test_where_nothing_came_in_the_page_says_so(hospital: Made) -> None:
    assert "Nothing has come in over the network yet." in read(hospital.client("reviewer"), "/pacs").text
    assert "in this state" in read(hospital.client("reviewer"), "/pacs", state="failed").text


def test_what_was_fetched_is_told_to_who_asked_alone(hospital: Made) -> None:
    at = now()
    with writing(hospital.service.records) as connection:
        payload = {"peer": "archive", "study_uid": "1.2.3.4.5"}
        queue.put(connection, Wanted("pacs_pull", payload, created_by=hospital.ids["reviewer"]), at)
        claimed = queue.claim(connection, "w", ["pacs_pull"], at, timedelta(minutes=1))
        assert claimed is not None
        queue.fail(connection, claimed, {"code": "x", "message": "'archive' knows no INSULA."}, at, again=False)
    shown = hospital.client("reviewer").get("/pacs", headers=PAGE).text
    assert "&#39;archive&#39; knows no INSULA." in shown
    assert f"POST /api/v1/jobs/{claimed.id}/again" in shown
    assert "1.2.3.4.5" not in shown
    assert "Fetched for you" not in read(hospital.client("admin"), "/pacs").text


def test_a_pacs_is_searched_and_a_study_can_be_fetched(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    one = FoundStudy(
        "1.2.3", "20260131", "", "P-9", "<b>Doe^Jane=山田^太郎", "19600501", "A-1", ("CT", "SR"), "Head", 2, 28
    )
    heard = found_at(monkeypatch, one, more=True)
    client = hospital.client("reviewer")
    shown = read(client, "/pacs/search", peer="archive", patient_name="Doe", since="2026-01-01")
    assert shown.rows == [
        ["2026-01-31", "P-9", "<b>Doe, Jane (山田, 太郎)", "1960-05-01", "CT SR", "Head", "A-1", "28", "Fetch"]
    ]
    assert "There are more" in shown.text
    assert shown.fields["study_uid"] == "1.2.3"
    assert shown.options["peer"] == [("archive", "archive")], "what cannot be searched is not offered"
    assert shown.fields["patient_name"] == "Doe"
    assert (heard[0].patient_name, str(heard[0].since)) == ("Doe", "2026-01-01")
    text = client.get("/pacs/search?peer=archive", headers=PAGE).text
    assert 'data-api="POST /api/v1/pacs/peers/archive/pulls"' in text


def test_a_form_that_was_not_sent_asks_nobody(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = found_at(monkeypatch)
    shown = read(hospital.client("reviewer"), "/pacs/search")
    assert heard == []
    assert shown.rows == []
    assert "The PACS has no study" not in shown.text
    assert "The PACS has no study" in read(hospital.client("reviewer"), "/pacs/search", peer="archive").text


def test_what_went_wrong_at_the_peer_stands_on_the_page(hospital: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Studies:
        raise PeerRefusedError("'archive' knows no INSULA.")

    monkeypatch.setattr(asked, "find", refuse)
    client = hospital.client("reviewer")
    shown = read(client, "/pacs/search", peer="archive").alert  # after the notice where no scripts are built
    assert shown.endswith("archive answers, and refuses the question.'archive' knows no INSULA.")
    assert "no peer that can be searched" in read(client, "/pacs/search", peer="his").alert
    assert "is no day" in read(client, "/pacs/search", peer="archive", since="yesterday").alert


def test_without_a_peer_there_is_nothing_to_search(made: Made) -> None:
    assert "No PACS that can be searched is set up here." in read(made.client("reviewer"), "/pacs/search").text


@pytest.mark.parametrize("role", ["reader", "auditor"])
def test_who_may_not_search_sees_neither_page(made: Made, role: str) -> None:
    for path in ("/pacs", "/pacs/search"):
        assert "pacs.read" in read(made.client(role), path, 403).alert


def test_a_case_tells_what_was_sent_where_and_can_be_sent(hospital: Made) -> None:
    prediction = hospital.predicted(patient="PACS-SENT")
    path = f"/studies/{prediction['study_id']}"
    client, at = hospital.client("reviewer"), now()
    assert "Nothing of this answer was sent" in read(client, path).text
    with writing(hospital.service.records) as connection:
        row = {"prediction_id": prediction["id"], "peer": "archive", "objects": 3}
        connection.execute(insert(schema.pacs_deliveries).values(row))
        payload = {"prediction": prediction["id"], "peer": "his", "objects": ["report"]}
        queue.put(connection, Wanted("pacs_send", payload, study_id=prediction["study_id"]), at)
    shown = read(client, path)
    rows = {row[0]: row[1:3] for row in shown.rows if row[0] in ("archive", "his")}
    assert rows == {"archive": ["sent", "3"], "his": ["waiting", "–"]}
    assert shown.options["peer"] == [("archive", "archive"), ("his", "his")]
    text = client.get(path, headers=PAGE).text
    assert f'data-api="POST /api/v1/predictions/{prediction["id"]}/send"' in text
    for role in ("reader", "auditor"):
        assert "case-pacs" not in hospital.client(role).get(path, headers=PAGE).text


def test_a_case_says_nothing_of_a_pacs_where_there_is_none(made: Made) -> None:
    path = f"/studies/{made.predicted(patient='PACS-NONE')['study_id']}"
    assert "case-pacs" not in made.client("reviewer").get(path, headers=PAGE).text


def test_the_page_on_privacy_names_who_gets_results(hospital: Made) -> None:
    text = hospital.fresh().get("/privacy", headers=PAGE).text
    assert "<code>archive</code>, <code>his</code>." in text
    assert "127.0.0.1" not in text
