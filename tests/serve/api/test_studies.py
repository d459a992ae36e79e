"""Studies over HTTP: upload, read, change, join, erase, and what others see of them."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from tests.serve.api.made import Made
from tests.serve.client import dicom, nifti, png

from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.in_use import hold_files

pytestmark = pytest.mark.serve
HERE = "/api/v1/studies"


def rows(made: Made) -> int:
    with reading(made.service.records) as connection:
        return connection.execute(select(func.count()).select_from(schema.studies)).scalar_one()


def test_an_upload_is_a_study_with_its_facts_and_its_files(made: Made) -> None:
    study = made.study(patient="S-1", title="Head", note="fell", attributes='{"age": "63"}')
    assert (study["patient_key"], study["title"], study["attributes"]) == ("S-1", "Head", {"age": "63"})
    (scan,) = study["facts"]["scan"]["scans"]
    assert (scan["modality"], scan["slices"]) == ("CT", 2)
    client = made.client("reader")
    read = client.get(f"{HERE}/{study['id']}")
    assert read.json() == study
    assert client.get(f"{HERE}/{study['id']}", headers={"If-None-Match": read.headers["etag"]}).status_code == 304
    back = client.get(f"{HERE}/{study['id']}/files/{study['files'][0]['id']}")
    assert len(back.content) == study["files"][0]["size"]
    assert study["id"] in {one["id"] for one in client.get(HERE, params={"limit": 200}).json()["items"]}


def test_a_zip_file_is_taken_apart(made: Made) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for n in (1, 2, 3):
            packed.writestr(f"../../etc/{n}.dcm", dicom(number=n))
            packed.writestr(f"scan/{n}.dcm", dicom(number=n))
    answer = made.client("reader").post(
        HERE, data={"project": made.inside, "patient": "Z-1"}, files=[("files", ("a.zip", stream.getvalue()))]
    )
    assert answer.status_code in (201, 422), answer.text
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w") as packed:
        for n in (1, 2, 3):
            packed.writestr(f"scan/{n}.dcm", dicom(number=n))
    answer = made.client("reader").post(
        HERE, data={"project": made.inside, "patient": "Z-1"}, files=[("files", ("a.zip", clean.getvalue()))]
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["facts"]["scan"]["scans"][0]["slices"] == 3


def test_others_see_nothing_of_it_until_the_glass_is_broken_and_then_may_not_write(made: Made) -> None:
    study = made.study(patient="S-2")
    other = made.client("stranger")
    assert other.get(f"{HERE}/{study['id']}").status_code == 404
    assert other.get(f"{HERE}/{study['id']}/predictions").status_code == 404
    assert study["id"] not in str(other.get(HERE).json())
    assert other.post(f"{HERE}/{study['id']}/predictions", json={}).status_code == 404
    short = other.post(f"{HERE}/{study['id']}/glass", json={"reason": "because"})
    assert short.status_code == 422
    opened = other.post(f"{HERE}/{study['id']}/glass", json={"reason": "patient in the emergency room now"})
    assert opened.status_code == 201, opened.text
    assert other.get(f"{HERE}/{study['id']}").status_code == 200
    tag = {"If-Match": f'"{study["version"]}"'}
    assert other.patch(f"{HERE}/{study['id']}", json={"note": "x"}, headers=tag).status_code == 404
    told = made.client("auditor").get("/api/v1/glass").json()["items"]
    assert [one["reason"] for one in told if one["study_id"] == study["id"]] == ["patient in the emergency room now"]


def test_a_change_says_which_version_it_changes(made: Made) -> None:
    study, client = made.study(patient="S-3"), made.client("reader")
    where = f"{HERE}/{study['id']}"
    assert client.patch(where, json={"note": "a"}).status_code == 428
    first = client.patch(where, json={"note": "a"}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.json()["note"], first.headers["etag"]) == (200, "a", '"2"')
    lost = client.patch(where, json={"note": "b"}, headers={"If-Match": '"1"'})
    assert (lost.status_code, lost.json()["code"]) == (412, "changed")
    assert client.patch(where, json={"nota": "b"}, headers={"If-Match": '"2"'}).status_code == 422


def test_scans_of_two_modalities_become_one_case(made: Made) -> None:
    client = made.client("reader")
    first = made.study("reader", patient="S-4")
    mri = [("mri", ("m.dcm", dicom("MR")))]
    second = client.post(HERE, data={"project": made.inside, "patient": "S-4"}, files=mri).json()
    joined = client.post(f"{HERE}/join", json={"studies": [first["id"], second["id"]]})
    assert joined.status_code == 200, joined.text
    assert {one["role"] for one in joined.json()["files"]} == {"scan", "mri"}
    assert client.get(f"{HERE}/{second['id']}").status_code == 404
    added = client.post(f"{HERE}/{first['id']}/files", files=[("ct", ("c.dcm", dicom()))])
    assert {one["role"] for one in added.json()["files"]} == {"scan", "mri", "ct"}


def test_a_further_scan_that_is_no_series_stays_a_scan_of_its_own(made: Made, tmp_path: Path) -> None:
    client = made.client("reader")
    form = {"project": made.inside, "patient": "S-more"}
    study = client.post(HERE, data=form, files=[("files", ("a.nii.gz", nifti(tmp_path)))]).json()
    where = f"{HERE}/{study['id']}"
    for sent in ([("files", ("b.png", png()))], [("files", ("c.dcm", dicom()))], [("files", ("d.dcm", dicom()))]):
        added = client.post(f"{where}/files", files=sent)
        assert added.status_code == 201, added.text
    assert [one["role"] for one in added.json()["files"]] == ["scan", "scan.2", "scan.3", "scan.4"]
    assert set(added.json()["facts"]) == {"scan", "scan.2", "scan.3", "scan.4"}
    listed = client.get(f"{where}/scans").json()
    assert [(one["scan"], one["fault"]) for one in listed] == [("scan" + n, "") for n in ("", ".2", ".3", ".4")]
    for one in listed:
        assert client.get(f"{where}/scans/{one['scan']}/slices/1").status_code == 200
    series = [("ct", ("1.dcm", dicom(series="1.2.61"))), ("mri", ("m.nii.gz", nifti(tmp_path)))]
    assert client.post(f"{where}/files", files=series).status_code == 201
    more = client.post(f"{where}/files", files=[("ct", ("2.dcm", dicom(number=2, series="1.2.62"))), series[1]]).json()
    assert [one["role"] for one in more["files"]][4:] == ["ct", "mri", "ct", "mri.2"]


@pytest.mark.parametrize("add", [False, True], ids=["a new study", "more files"])
def test_an_upload_while_somebody_erases_does_not_hold_what_he_needs(made: Made, add: bool) -> None:
    """Uploads lock in the same order as erasure: neither waits for the other for ever."""
    records, client = made.service.records, made.client("reader")
    if records.dialect.name == "sqlite":
        pytest.skip("on SQLite whoever writes is alone")
    study = made.study("reader", patient=f"S-erase-{add}")
    form = {} if add else {"project": made.inside, "patient": study["patient_key"]}
    answers: list[int] = []

    def upload() -> None:
        where = f"{HERE}/{study['id']}/files" if add else HERE
        answers.append(client.post(where, data=form, files=[("ct", ("c.dcm", dicom()))]).status_code)

    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    thread = threading.Thread(target=upload)
    with writing(records) as connection:
        hold_files(connection, alone=True)
        thread.start()
        until = time.monotonic() + 20
        while not connection.execute(waiting).scalar_one():
            assert time.monotonic() < until, "the upload does not come to its end"
        for table, name in ((schema.patients, study["patient_id"]), (schema.studies, study["id"])):
            connection.execute(select(table.c.id).where(table.c.id == name).with_for_update(nowait=True))
    thread.join(20)
    assert answers == [201]


def test_a_repeat_with_its_key_is_answered_and_done_once(made: Made) -> None:
    client, before = made.client("reader"), rows(made)
    form = {"project": made.inside, "patient": "S-5"}
    sent = [("files", ("a.dcm", dicom()))]
    head = {"Idempotency-Key": "upload-1"}
    first, second = (client.post(HERE, data=form, files=sent, headers=head) for _ in range(2))
    assert first.json() == second.json()
    assert (second.status_code, second.headers["idempotent-replay"]) == (201, "true")
    assert rows(made) == before + 1
    other = client.post(HERE, data={**form, "patient": "S-6"}, files=sent, headers=head)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert rows(made) == before + 1


def test_an_administrator_erases_a_study_and_a_patient(made: Made) -> None:
    admin = made.client("admin")
    study = made.study(patient="S-7")
    more = made.study(patient="S-7")
    assert made.client("reviewer").delete(f"{HERE}/{study['id']}").status_code == 403
    everything = admin.get(f"/api/v1/patients/{study['patient_id']}/export")
    assert everything.status_code == 200, everything.text
    with zipfile.ZipFile(io.BytesIO(everything.content)) as packed:
        assert study["id"] in packed.read("record.json").decode()
    assert admin.delete(f"{HERE}/{study['id']}").status_code == 204
    assert admin.get(f"{HERE}/{study['id']}").status_code == 404
    gone = admin.delete(f"/api/v1/patients/{study['patient_id']}")
    assert gone.status_code == 200, gone.text
    assert gone.json()["rows"]["studies"] == 1
    assert admin.get(f"{HERE}/{more['id']}").status_code == 404


def test_pages_go_on_where_they_ended(made: Made) -> None:
    client = made.client("reader")
    wanted = [made.study("reader", patient="PAGE")["id"] for _ in range(5)]
    patient = client.get(f"{HERE}/{wanted[0]}").json()["patient_id"]
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 2, "patient": patient, **({"after": after} if after else {})}
        page = client.get(HERE, params=params).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == wanted[::-1]
    assert client.get(HERE, params={"after": "x!"}).status_code == 400
    assert client.get(HERE, params={"limit": 0}).status_code == 422
