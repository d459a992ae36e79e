from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serve.api.made import Made
from tests.serve.client import dicom

pytestmark = pytest.mark.serve


def sent(made: Made, patient: str, header: str, path: str = "/api/v1/studies", **query: str) -> Any:
    form = {"project": made.inside, "patient": patient} if path.endswith("studies") else {}
    series = f"1.2.{header[1:]}"
    files = [("files", (f"{n}.dcm", dicom(number=n, patient=header, series=series), "x/y")) for n in (1, 2)]
    return made.client("reviewer").post(path, params=query, data=form, files=files)


def test_a_key_that_was_typed_wrong_is_noticed(made: Made) -> None:
    first, before = sent(made, "S-1", "H1"), kept(made)
    assert first.status_code == 201, first.text
    wrong = sent(made, "S-1", "H2")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "another_patient")
    assert "H2" not in wrong.text
    added = f"/api/v1/studies/{first.json()['id']}/files"
    assert sent(made, "", "H2", added).json()["code"] == "another_patient"
    assert kept(made) == before
    assert sent(made, "", "H1", added).status_code == 201
    assert sent(made, "S-1", "H2", same_patient="true").status_code == 201
    told = made.client("admin").get("/api/v1/trail", params={"action": "study.create"}).json()["items"]
    assert '"same_patient":true' in told[0]["detail"].replace(" ", "")


def test_studies_of_two_people_are_not_joined_without_a_word(made: Made) -> None:
    ids = [sent(made, "S-2", "H3").json()["id"], sent(made, "S-2", "H4", same_patient="true").json()["id"]]
    join = "/api/v1/studies/join"
    refused = made.client("reviewer").post(join, json={"studies": ids})
    assert (refused.status_code, refused.json()["code"]) == (409, "another_patient")
    joined = made.client("reviewer").post(join, params={"same_patient": "true"}, json={"studies": ids})
    assert joined.status_code == 200, joined.text


def kept(made: Made) -> int:
    return sum(1 for one in Path(made.settings.files).rglob("*") if one.is_file())


def test_an_answer_that_does_not_know_all_scans_is_marked(made: Made) -> None:
    told = made.predicted(patient="S-3")
    page = {"Accept": "text/html"}
    client, case = made.client("reviewer"), f"/studies/{told['study_id']}"
    assert "came after this answer" not in client.get(case, headers=page).text
    assert "came after it" not in client.get("/worklist?text=S-3", headers=page).text
    files = [("mri", ("m.dcm", dicom("MR", number=1, series="1.2.9"), "x/y"))]
    added = client.post(f"/api/v1/studies/{told['study_id']}/files", files=files)
    assert added.status_code == 201, added.text
    assert "came after this answer" in client.get(case, headers=page).text
    assert "came after it" in client.get("/worklist?text=S-3", headers=page).text


def test_an_answer_is_marked_where_an_older_study_joins_it(made: Made) -> None:
    first, older = sent(made, "S-4", "H5").json()["id"], sent(made, "S-4", "H5").json()["id"]
    client = made.client("reviewer")
    client.post(f"/api/v1/studies/{first}/predictions", json={})
    made.worked()
    assert "came after this answer" not in client.get(f"/studies/{first}", headers={"Accept": "text/html"}).text
    assert client.post("/api/v1/studies/join", json={"studies": [first, older]}).status_code == 200
    assert "came after this answer" in client.get(f"/studies/{first}", headers={"Accept": "text/html"}).text
