"""What a prediction was made from stays known: after later slices, joined studies, and beside another series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import Row, delete
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import Quiet, node, slices
from tests.serve.pacs.sending import read

from insula.serve.faults import RequestError
from insula.serve.pacs.gathered import gather, source_series
from insula.serve.pacs.messages import named_report, order_of
from insula.serve.pacs.objects import objects_of
from insula.serve.store import predictions, schema, studies
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
SOFT = """
rules:
  - {name: soft, when: {series_description: soft}, project: Inside, model: tiny-ct}
  - {name: keep, project: Inside}
"""


@pytest.fixture
def quiet(made: Made, tmp_path: Path) -> Iterator[Quiet]:
    with node(made, tmp_path) as found:
        yield found


def answers(quiet: Quiet, found: Row[Any]) -> list[str]:
    """Ids of the predictions of a received study, in their order."""
    return [one.id for one in quiet.rows(schema.predictions, study_id=found.study_id)]


def told(quiet: Quiet, prediction: str) -> tuple[str, int, str, str]:
    """What a prediction's objects and messages are made of: study UID, slices; study UID and number of the order."""
    service = quiet.made.service
    with reading(service.records) as connection:
        gathered = gather(connection, service, prediction, None, pictures=False)
    order = order_of(service, gathered, None)
    with source_series(service, gathered) as (one,):
        assert named_report(gathered, order).patient.name in ("Doe Jane", "")
        return one.study_uid, len(one.headers), order.study_uid, order.accession


def test_joined_studies_keep_their_answers_apart(quiet: Quiet) -> None:
    first, second = generate_uid(), generate_uid()
    rows = []
    for uid, accession, numbers in ((first, "A-1", (1, 2)), (second, "A-2", (1, 2, 3))):
        rows.append(quiet.taken(slices(uid, numbers=numbers, patient="P-join", AccessionNumber=accession)))
    (one,), (two,) = (answers(quiet, row) for row in rows)
    with writing(quiet.made.service.records) as connection:
        studies.join(connection, [row.study_id for row in rows])
    assert told(quiet, one) == (first, 2, first, "A-1")
    assert told(quiet, two) == (second, 3, second, "A-2")
    (report,) = objects_of(quiet.made.service, two, ["report"])
    assert read(quiet.made, report).StudyInstanceUID == second


def test_later_slices_were_not_used_before(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    quiet.taken(slices(study, series))
    found = quiet.taken(slices(study, series, (3,)))
    one, two = answers(quiet, found)
    with writing(quiet.made.service.records) as connection:  # as if they had come while the first was still predicted
        table = schema.files
        connection.execute(table.update().where(table.c.study_id == found.study_id).values(created_at=found.created_at))
    assert told(quiet, one)[1] == 2
    assert told(quiet, two)[1] == 3


def test_of_an_answer_of_an_earlier_version_the_files_that_were_there_are_taken(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    quiet.taken(slices(study, series))
    found = quiet.taken(slices(study, series, (3,)))
    one, _ = answers(quiet, found)
    with writing(quiet.made.service.records) as connection:
        connection.execute(delete(schema.prediction_sources))
        assert predictions.sources_of(connection, one) == {}
    assert told(quiet, one)[1] == 2


def test_what_is_erased_was_still_used_and_there_is_no_study_to_go_to(quiet: Quiet) -> None:
    (one,) = answers(quiet, found := quiet.taken(slices()))
    with writing(quiet.made.service.records) as connection:
        connection.execute(delete(schema.files).where(schema.files.c.study_id == found.study_id))
    with pytest.raises(RequestError) as refused:
        told(quiet, one)
    assert refused.value.fault_code == "no_dicom"


def test_heat_lies_on_the_series_that_was_predicted_and_not_on_another_in_its_place(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, SOFT) as quiet:
        study = generate_uid()
        quiet.receive(slices(study, SeriesDescription="bone"))
        found = quiet.taken(slices(study, SeriesDescription="soft"))
        (prediction,) = answers(quiet, found)
    client = made.client("reviewer")
    scans = client.get(f"/api/v1/studies/{found.study_id}/scans").json()
    assert [(one["scan"], one["description"]) for one in scans] == [("scan-1", "bone"), ("scan-2", "soft")]
    (kept,) = client.get(f"/api/v1/predictions/{prediction}/scans").json()
    asked = {"prediction": prediction, "class": kept["classes"][0]}
    heat = [
        client.get(f"/api/v1/studies/{found.study_id}/scans/{one['scan']}/slices/1", params=asked).status_code
        for one in scans
    ]
    assert heat == [422, 200]


def test_heat_follows_its_scan_into_a_joined_study_under_another_role(made: Made) -> None:
    client = made.client("reviewer")
    ids, found = [], []
    for _ in range(2):
        data = [("ct", (f"{n}.dcm", one, "application/dicom")) for n, one in enumerate(slices(patient="P-roles"))]
        form = {"project": made.inside, "patient": "P-roles"}
        study = client.post("/api/v1/studies", data=form, files=data)
        assert study.status_code == 201, study.text
        ids.append(study.json()["id"])
        answer = client.post(f"/api/v1/studies/{ids[-1]}/predictions", json={}).json()
        made.worked()
        found.append(client.get(f"/api/v1/jobs/{answer['id']}").json()["result"]["prediction"])
    assert client.post("/api/v1/studies/join", json={"studies": ids}).status_code == 200
    for prediction, heat in zip(found, ({"ct": 200, "ct.2": 422}, {"ct": 422, "ct.2": 200}), strict=True):
        (kept,) = client.get(f"/api/v1/predictions/{prediction}/scans").json()
        asked = {"prediction": prediction, "class": kept["classes"][0]}
        base = f"/api/v1/studies/{ids[0]}/scans"
        assert {one: client.get(f"{base}/{one}/slices/1", params=asked).status_code for one in heat} == heat
