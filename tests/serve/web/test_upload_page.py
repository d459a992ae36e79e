"""The page by which scans come: what it tells its script, and that refusals name the file."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import update
from tests.serve.api.made import Made
from tests.serve.client import dicom
from tests.serve.web.reading import read

from insula.serve.models import choose
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.upload import MOST_FILES
from insula.serve.web.upload_page import roles_of

pytestmark = pytest.mark.serve
HTML = {"accept": "text/html"}
HERE = "/api/v1/studies"


def facts(made: Made) -> Any:
    text = made.client("reader").get("/upload", headers=HTML).text
    found = re.search(r'id="upload-facts">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def test_the_script_knows_what_the_service_takes(made: Made) -> None:
    known = facts(made)
    assert (known["most_bytes"], known["most_files"]) == (made.settings.max_bytes, MOST_FILES)
    assert (known["sorted"], known["longest_key"], known["roles"]) == ("scan", 64, [])
    shown = read(made.client("reader"), "/upload")
    assert [value for value, _ in shown.options["project"]] == [made.inside]
    assert "predict" in shown.fields
    assert f"At most {MOST_FILES} files and 268 MB in a case." in shown.text


def test_it_is_for_those_who_may_upload(made: Made) -> None:
    assert made.client("auditor").get("/upload", headers=HTML).status_code == 403
    assert made.fresh().get("/upload", headers=HTML, follow_redirects=False).status_code == 303


def test_where_no_model_is_in_charge_nothing_is_predicted(made: Made) -> None:
    models = schema.models
    with writing(made.service.records) as connection:
        connection.execute(update(models).values(state="candidate"))
    try:
        shown = read(made.client("reader"), "/upload")
        assert "predict" not in shown.fields
        assert "No model is in charge" in shown.text
    finally:
        with writing(made.service.records) as connection:
            connection.execute(update(models).values(state="active"))


def test_inputs_are_named_where_a_model_takes_several(made: Made) -> None:
    with reading(made.service.records) as connection:
        (one,) = choose.models(connection)
    assert roles_of([one]) == []
    recipe = dict(one.info["recipe"])
    (section,) = recipe["inputs"].values()
    both = {"ct": {**section, "modality": "CT"}, "second": {**section, "modality": "CT"}}
    two = choose.Model(**{**one.__dict__, "info": {**one.info, "recipe": {**recipe, "inputs": both}}})
    assert roles_of([one, two]) == [{"role": "ct", "modality": "CT"}, {"role": "second", "modality": "CT"}]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [(b"", 400, "empty_file"), (b"hello", 415, "unknown_kind"), (dicom()[:600], 422, "unreadable_scan")],
    ids=["empty", "text", "cut"],
)
def test_a_refusal_names_the_file_and_its_place(made: Made, data: bytes, status: int, code: str) -> None:
    sent = [("ct", ("1.dcm", dicom())), ("files", ("2.dcm", dicom(number=2))), ("files", ("../../😀.dcm", data))]
    form = {"project": made.inside, "patient": "U-1"}
    answer = made.client("reader").post(HERE, data=form, files=sent)
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (answer.status_code, said["code"], said["role"], said["file"]) == (status, code, "scan", 2)
    assert said["detail"].startswith("'😀.dcm'")


def test_a_refusal_about_no_single_file_names_none(made: Made) -> None:
    sent = [("files", ("1.dcm", dicom())), ("files", ("2.dcm", dicom(number=2, patient="OTHER")))]
    answer = made.client("reader").post(HERE, data={"project": made.inside, "patient": "U-2"}, files=sent)
    assert answer.status_code == 422
    assert "file" not in answer.json()
