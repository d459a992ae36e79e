"""What is wrong with a request is told in its one form, leaves an entry in the trail, and stores nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.serve.api.made import Made
from tests.serve.client import dicom, png

from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
STUDIES = "/api/v1/studies"
TABLES = (schema.studies, schema.patients, schema.files, schema.predictions, schema.jobs, schema.reviews)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name.replace("__", "/"), data)
    return stream.getvalue()


def kept(made: Made) -> tuple[Any, ...]:
    with reading(made.service.records) as connection:
        counts = [connection.execute(select(func.count()).select_from(t)).scalar_one() for t in TABLES]
    stored = [p for p in Path(made.settings.files).rglob("*") if p.is_file()]
    return (*counts, len(stored))


def refused(made: Made) -> int:
    with reading(made.service.records) as connection:
        wanted = schema.trail.c.outcome.in_(("refused", "failed"))
        return connection.execute(select(func.count()).select_from(schema.trail).where(wanted)).scalar_one()


Ask = Callable[[Made], Any]


def upload(*sent: Any, role: str = "reader", **form: str) -> Ask:
    def ask(made: Made) -> Any:
        data = {"project": made.inside, "patient": "BAD", **form}
        return made.client(role).post(STUDIES, data=data, files=list(sent))

    return ask


def raw(content: bytes, kind: str, **headers: str) -> Ask:
    return lambda made: made.client("reader").post(STUDIES, content=content, headers={"content-type": kind, **headers})


def patch(body: Any) -> Ask:
    def ask(made: Made) -> Any:
        where = f"{STUDIES}/{'0' * 32}"
        return made.client("reader").patch(where, content=json.dumps(body), headers={"If-Match": '"1"'})

    return ask


CASES: dict[str, tuple[Ask, tuple[int, ...]]] = {
    "no file": (upload(("note", (None, "x"))), (400,)),
    "empty file": (upload(("files", ("a.dcm", b""))), (400,)),
    "wrong kind": (upload(("files", ("a.dcm", b"hello"))), (415,)),
    "cut": (upload(("files", ("a.dcm", dicom()[:700]))), (415, 422)),
    "cut picture": (upload(("files", ("a.png", png()[:45]))), (415, 422)),
    "bomb": (upload(("files", ("a.zip", zipped(a_dcm=bytes(64 << 20))))), (413, 415, 422)),
    "names that lead out": (upload(("files", ("a.zip", zipped(**{"..__..__x.dcm": dicom()})))), (415, 422)),
    "files in a field that is none": (upload(("../ct", ("a.dcm", dicom()))), (422,)),
    "unknown field": (upload(("files", ("a.dcm", dicom())), colour="red"), (422,)),
    "attributes of another shape": (upload(("files", ("a.dcm", dicom())), attributes="[1]"), (422,)),
    "no patient": (upload(("files", ("a.dcm", dicom())), patient=" "), (422,)),
    "patient with a line break": (upload(("files", ("a.dcm", dicom())), patient="a\nb"), (422,)),
    "project of others": (
        lambda made: made.client("reader").post(
            STUDIES, data={"project": made.outside, "patient": "X"}, files=[("files", ("a.dcm", dicom()))]
        ),
        (404,),
    ),
    "wrong role": (upload(("files", ("a.dcm", dicom())), role="auditor"), (403,)),
    "broken multipart": (raw(b"--x\r\nrubbish", "multipart/form-data; boundary=x"), (400, 422)),
    "multipart without a boundary": (raw(b"--x\r\nrubbish", "multipart/form-data"), (400, 422)),
    "no multipart": (raw(b"{}", "application/json"), (415,)),
    "claims 10 GB": (raw(b"x", "multipart/form-data; boundary=x", **{"content-length": str(10 << 30)}), (413,)),
    "JSON of another shape": (patch([1, 2]), (422,)),
    "JSON that is none": (
        lambda made: made.client("reader").patch(
            f"{STUDIES}/{'0' * 32}", content="{", headers={"If-Match": '"1"', "content-type": "application/json"}
        ),
        (422,),
    ),
    "a name that is no id": (lambda made: made.client("reader").get(f"{STUDIES}/../../etc/passwd"), (404, 422)),
    "SQL in a cursor": (
        lambda made: made.client("reader").get(STUDIES, params={"after": "1;DROP TABLE users"}),
        (400,),
    ),
    "no such study": (lambda made: made.client("reader").get(f"{STUDIES}/{'0' * 32}"), (404,)),
    "no such address": (lambda made: made.client("reader").get("/api/v1/nothing"), (404,)),
    "wrong method": (lambda made: made.client("reader").put(STUDIES), (405,)),
    "no session": (lambda made: made.fresh().get(STUDIES), (401,)),
    "a key that is none": (lambda made: made.fresh().get(STUDIES, headers={"X-API-Key": "ins_a_b"}), (401,)),
    "a token that is none": (
        lambda made: made.fresh().get(STUDIES, headers={"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}),
        (401,),
    ),
    "a session that is none": (lambda made: made.fresh().get(STUDIES, headers={"Cookie": "__Host-insula=x"}), (401,)),
    "another site's page": (
        lambda made: made.client("reader").post(STUDIES, headers={"Sec-Fetch-Site": "cross-site"}),
        (403,),
    ),
    "another host": (lambda made: made.client("reader").get(STUDIES, headers={"Host": "evil.example"}), (403,)),
    "a key for repeats that is none": (
        lambda made: made.client("reader").post(STUDIES, headers={"Idempotency-Key": "x" * 300}),
        (400,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_told_and_nothing_is_kept(made: Made, name: str) -> None:
    ask, statuses = CASES[name]
    made.client("reader"), made.client("auditor")
    before, told = kept(made), refused(made)
    answer = ask(made)
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) - {"role", "file"} == {"type", "title", "status", "code", "detail"}
    assert answer.json()["status"] == answer.status_code
    for secret in ("/tmp", "insula-", "Traceback", "Doe", "4711"):
        assert secret not in answer.text
    assert kept(made) == before
    assert refused(made) == told + 1


def test_a_line_break_in_a_header_cannot_be_smuggled_into_an_answer(made: Made) -> None:
    study = made.study(patient="H-1", title="a")
    sent = [("files", ('x"\r\nSet-Cookie: a=b', dicom(), "application/dicom"))]
    answer = made.client("reader").post(f"{STUDIES}/{study['id']}/files", files=sent)
    assert "set-cookie" not in answer.headers
    again = made.client("reader").get(f"{STUDIES}/{study['id']}/files/{study['files'][0]['id']}")
    assert again.headers["content-disposition"] == 'attachment; filename="scan.bin"'


def test_more_files_than_may_be_are_refused(made: Made) -> None:
    sent = [("files", (f"{n}.dcm", b"x")) for n in range(2001)]
    answer = made.client("reader").post(STUDIES, data={"project": made.inside, "patient": "X"}, files=sent)
    assert answer.status_code == 400
    assert "2000" in answer.json()["detail"]


def test_a_model_that_is_none_is_named(made: Made) -> None:
    study, client = made.study(patient="M-1"), made.client("reader")
    answer = client.post(f"{STUDIES}/{study['id']}/predictions", json={"model": "none-such"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_active_model")


def test_a_scan_that_the_model_does_not_take_ends_its_job_with_the_reason(made: Made) -> None:
    client = made.client("reader")
    study = client.post(
        STUDIES, data={"project": made.inside, "patient": "M-2"}, files=[("files", ("a.dcm", dicom("MR")))]
    ).json()
    job = client.post(f"{STUDIES}/{study['id']}/predictions", json={}).json()
    made.worked()
    found = client.get(f"/api/v1/jobs/{job['id']}").json()
    assert (found["state"], found["error"]["code"]) == ("failed", "unsuitable_scan")
    assert client.get(f"{STUDIES}/{study['id']}/predictions").json() == []
    assert client.post(f"/api/v1/jobs/{job['id']}/again").json()["state"] == "waiting"
    assert client.delete(f"/api/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert made.worked() == 0
