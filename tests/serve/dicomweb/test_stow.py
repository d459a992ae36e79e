"""STOW-RS: objects come in by HTTP, each kept or refused by itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from tests.pacs.fuzz import objects, pdus
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.serve.dicomweb.made import RULES, message, study, values, with_rules
from tests.tiny_bundle import make

from insula.serve.dicomweb import stow
from insula.serve.pacs import arrival, file_meta
from insula.serve.pacs.state import backlog
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
KEPT, REFUSED = "00081199", "00081198"


def uids(made: Made) -> set[str]:
    with reading(made.service.records) as connection:
        return set(connection.scalars(select(schema.pacs_instances.c.sop_instance_uid)))


def named(data: bytes, tmp_path: Path) -> pydicom.FileDataset:
    (tmp_path / "x").write_bytes(data)
    return pydicom.dcmread(tmp_path / "x")


def test_objects_are_kept_and_named_in_the_answer(made: Made, tmp_path: Path) -> None:
    sent = [study(), study(number=2)]
    answer = made.client("reader").post("/dicom-web/studies", **message(sent))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    told = answer.json()
    assert REFUSED not in told
    assert "Value" not in told["00081190"], "what comes in is not given out again"
    wanted = {str(named(one, tmp_path).SOPInstanceUID) for one in sent}
    assert {values(item, "00081155")[0] for item in values(told, KEPT)} == wanted
    assert wanted <= uids(made)
    with reading(made.service.records) as connection:
        sources = connection.scalars(select(schema.pacs_studies.c.source)).all()
    assert "reader" in sources


def test_the_same_object_again_is_no_error_and_there_once(made: Made) -> None:
    one = study()
    for _ in range(2):
        assert made.client("reader").post("/dicom-web/studies", **message([one])).status_code == 200
    with reading(made.service.records) as connection:
        uid = str(pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID)
        these = select(schema.pacs_instances.c.id).where(schema.pacs_instances.c.sop_instance_uid == uid)
        assert len(connection.execute(these).all()) == 1


def test_what_is_refused_is_said_for_each_object(made: Made, tmp_path: Path) -> None:
    good = study()
    answer = made.client("reader").post("/dicom-web/studies", **message([b"no DICOM", good]))
    assert answer.status_code == 202
    told = answer.json()
    (refused,) = values(told, REFUSED)
    assert values(refused, "00081197") == [0xC000]
    assert not values(refused, "00081155"), "nobody knows what it is called"
    (kept,) = values(told, KEPT)
    assert values(kept, "00081155") == [str(named(good, tmp_path).SOPInstanceUID)]


def test_another_object_under_the_same_uid_is_refused(made: Made, tmp_path: Path) -> None:
    one = study()
    assert made.client("reader").post("/dicom-web/studies", **message([one])).status_code == 200
    other = named(one, tmp_path)
    other.PatientID = "SOMEBODY ELSE"
    other.save_as(tmp_path / "y", enforce_file_format=True)
    answer = made.client("reader").post("/dicom-web/studies", **message([(tmp_path / "y").read_bytes()]))
    assert answer.status_code == 409
    (refused,) = values(answer.json(), REFUSED)
    assert values(refused, "00081197") == [0x0111]
    assert values(refused, "00081155") == [str(other.SOPInstanceUID)]


def test_a_study_takes_its_own_objects_alone(made: Made) -> None:
    uid = generate_uid()
    answer = made.client("reader").post(f"/dicom-web/studies/{uid}", **message([study(uid=uid), study()]))
    assert answer.status_code == 202
    assert values(values(answer.json(), REFUSED)[0], "00081197") == [0xA901]
    assert len(values(answer.json(), KEPT)) == 1


def test_nobody_puts_objects_into_a_project_that_is_not_his(made: Made) -> None:
    mine, uid = study(), generate_uid()
    answer = made.client("reader").post("/dicom-web/studies", **message([study("others' study", uid), mine]))
    assert answer.status_code == 202
    assert values(values(answer.json(), REFUSED)[0], "00081197") == [0x0124]
    assert made.client("stranger").post("/dicom-web/studies", **message([study("others'")])).status_code == 200
    assert made.client("stranger").post("/dicom-web/studies", **message([study()])).status_code == 409


def test_nobody_adds_to_a_study_of_others(made: Made) -> None:
    uid = generate_uid()
    assert made.client("reader").post("/dicom-web/studies", **message([study(uid=uid)])).status_code == 200
    with made.service.records.begin() as connection:
        table = schema.pacs_studies
        connection.execute(table.update().where(table.c.study_uid == uid).values(project_id=made.inside))
    more = study("others' study", uid, number=2)
    answer = made.client("stranger").post("/dicom-web/studies", **message([more]))
    assert answer.status_code == 409
    assert values(values(answer.json(), REFUSED)[0], "00081197") == [0x0124]


def test_nobody_adds_to_a_study_of_others_that_still_comes_in(made: Made, tmp_path: Path) -> None:
    first = study(number=1)
    uid = named(first, tmp_path).StudyInstanceUID
    made.client("reader").post("/dicom-web/studies", **message([first]))
    more = study("others' study", uid, number=2)
    answer = made.client("stranger").post("/dicom-web/studies", **message([more]))
    assert answer.status_code == 409, "it will be of another project"
    assert values(values(answer.json(), REFUSED)[0], "00081197") == [0x0124]
    answer = made.client("reviewer").post("/dicom-web/studies", **message([study(uid=uid, number=3)]))
    assert answer.status_code == 200, "whoever is in that project may"


def test_a_study_that_no_rule_takes_yet_is_added_to_by_its_sender_alone(made: Made) -> None:
    uid = generate_uid()
    for number in (1, 2):
        sent = study(uid=uid, number=number, modality="MR")
        assert made.client("reader").post("/dicom-web/studies", **message([sent])).status_code == 200
    answer = made.client("stranger").post("/dicom-web/studies", **message([study("others' study", uid, number=3)]))
    assert answer.status_code == 409
    assert values(values(answer.json(), REFUSED)[0], "00081197") == [0x0124]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"x", "headers": {"Content-Type": "application/dicom"}}, 415),
        ({"content": b"x", "headers": {"Content-Type": 'multipart/related; type="application/dicom"'}}, 400),
        (message([b"{}"], "application/dicom+json"), 415),
        ({"content": b"--frontier\r\n\r\nhalf", "headers": message([])["headers"]}, 400),
        (message([]), 400),
        ({**message([dicom()]), "params": {"accept": "application/dicom+xml"}}, 406),
    ],
)
def test_a_message_that_is_none_is_refused(made: Made, sent: dict[str, object], status: int) -> None:
    before = uids(made)
    answer = made.client("reader").post("/dicom-web/studies", **sent)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"]
    assert uids(made) == before


def test_no_object_is_longer_than_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PACS_MAX_INSTANCE_MB", "1")
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made:
        answer = made.client("reader").post("/dicom-web/studies", **message([b"\0" * (1 << 20) + dicom()]))
        assert answer.status_code == 409
        assert not uids(made)


def test_objects_wait_outside_while_too_many_studies_wait_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_PACS_MOST_WAITING", "1")
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made:
        assert made.client("reader").post("/dicom-web/studies", **message([study()])).status_code == 200
        with reading(made.service.records) as connection:
            assert backlog(connection) == 1
        answer = made.client("reader").post("/dicom-web/studies", **message([study()]))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_without_rules_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSULA_PACS_RULES", raising=False)
    with service(make(tmp_path, unit="series"), f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        answer = made.client("reader").post("/dicom-web/studies", **message([study()]))
        assert answer.status_code == 503
        assert "INSULA_PACS_RULES" in answer.text


def test_what_should_be_pseudonymised_is_refused_without_the_key(tmp_path: Path) -> None:
    rules = RULES.replace("model: tiny-ct", "model: tiny-ct, pseudonymise: true")
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db", rules) as made:
        answer = made.client("reader").post("/dicom-web/studies", **message([study()]))
        assert answer.status_code == 409
        assert not uids(made)


def test_what_may_not_be_on_the_disk_waits_in_memory_and_no_more_of_it_than_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_PACS_IDENTITY_KEY", "k" * 40)
    monkeypatch.setenv("INSULA_PACS_MAX_INSTANCE_MB", "1")
    monkeypatch.setattr(stow, "spooled", lambda: pytest.fail("an object lay where its patient may be seen"))
    rules = RULES.replace("model: tiny-ct", "model: tiny-ct, pseudonymise: true")
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db", rules) as made:
        client = made.client("reader")
        assert client.post("/dicom-web/studies", **message([study()])).status_code == 200
        monkeypatch.setattr(arrival, "_MOST_IN_MEMORY", 1 << 20)
        for _ in range(2):
            answer = client.post("/dicom-web/studies", **message([b"x" * (2 << 20)]))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
            assert int(answer.headers["Retry-After"]) > 0
        assert client.post("/dicom-web/studies", **message([study()])).status_code == 200, "nothing of it is left"


def test_the_trail_tells_how_many_and_not_whose(made: Made) -> None:
    made.client("reader").post("/dicom-web/studies", **message([study(), b"no DICOM"]))
    told = made.client("auditor").get("/api/v1/trail", params={"action": "dicomweb.store"}).json()["items"][0]
    assert (told["actor"], json.loads(told["detail"])) == ("reader", {"kept": 1, "refused": 1})
    assert "ID-4711" not in str(told)


def test_an_object_that_names_two_studies_is_not_taken_for_the_other_one(made: Made) -> None:
    """Where readers differ, the one that asks for the right and the one that files the object must not."""
    own, other, uid = generate_uid(), generate_uid(), generate_uid()
    again = objects.element(0x0020000D, "UI", pdus.uid(own))
    data = objects.joined(objects.sound(uid, other)) + again
    sent = file_meta.written(pdus.CT, uid, pdus.EXPLICIT) + data
    answer = made.client("reader").post(f"/dicom-web/studies/{own}", **message([sent]))
    assert answer.status_code == 409, answer.text
    assert uid not in uids(made)


def test_what_came_before_a_message_broke_is_kept_and_told(made: Made) -> None:
    one = study()
    sent = message([one])
    answer = made.client("reader").post(
        "/dicom-web/studies", content=sent["content"][:-2] + b"\r\n\r\nhalf", headers=sent["headers"]
    )
    assert answer.status_code == 400
    assert str(pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID) in uids(made)
    told = made.client("auditor").get("/api/v1/trail", params={"action": "dicomweb.store"}).json()["items"][0]
    assert json.loads(told["detail"]) == {"kept": 1, "refused": 0}
