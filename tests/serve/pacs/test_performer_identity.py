"""Work items whose patients or UIDs are not as the node would write them."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import select
from tests.serve.dicomweb.made import study, values
from tests.serve.pacs.ward import RULES, output, sent_in, ward

from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve


def test_a_pseudonymised_study_comes_back_under_its_own_name(tmp_path: Path) -> None:
    with ward(tmp_path, RULES.replace("objects: [report]", "objects: [report], pseudonymise: true")) as here:
        uid = sent_in(here.archive)
        destination = {"00404072": {"vr": "SQ", "Value": [{"00404073": {"vr": "UR", "Value": [here.archive.url]}}]}}
        name = here.order(uid, t00404070={"vr": "SQ", "Value": [destination]})
        for _ in range(3):
            here.round()
            here.work()
        here.round()
        assert here.state(name) == "COMPLETED", here.seen(name)
        (made,) = output(here.seen(name))
        assert values(made, "0020000D") == [uid]
        told = {values(one, "00081155")[0] for one in values(made, "00081199")}
        reports = [pydicom.dcmread(io.BytesIO(one)) for one in here.archive.studies[uid][2:]]
        assert told == {str(one.SOPInstanceUID) for one in reports}
        assert {str(one.PatientID) for one in reports} == {"ID-4711"}
        with reading(here.node.service.records) as connection:
            rows = connection.execute(select(schema.pacs_studies.c.study_uid)).scalars().all()
        assert uid not in rows


@pytest.mark.parametrize("hidden", [False, True])
def test_a_study_of_an_old_scanner_has_zeros_in_its_uid(tmp_path: Path, hidden: bool) -> None:
    every = RULES.replace("[report]", "[report, capture]" + ", pseudonymise: true" * hidden)
    with ward(tmp_path, every) as here:
        uid = "1.2.840.0113619.02.55"
        for number in (1, 2):
            data = study(uid=uid.replace(".0", ".1"), series="1.2.840.11.7", number=number)
            data = data.replace(uid.replace(".0", ".1").encode(), uid.encode()).replace(b".11.7", b".01.7")
            here.archive.studies.setdefault(uid, []).append(data)
        destination = {"00404072": {"vr": "SQ", "Value": [{"00404073": {"vr": "UR", "Value": [here.archive.url]}}]}}
        name = here.order(uid, t00404070={"vr": "SQ", "Value": [destination]})
        for _ in range(3):
            here.round()
            here.work()
        here.round()
        assert here.state(name) == "COMPLETED", here.seen(name)
        (first, *_) = output(here.seen(name))
        assert values(first, "0020000D") == [uid]
        kinds = {str(pydicom.dcmread(io.BytesIO(one)).SOPClassUID) for one in here.archive.studies[uid][2:]}
        assert len(kinds) == 2, "a report and a picture"
        if hidden:
            return
        client = here.node.client("reader")
        listed = client.get(f"/dicom-web/studies/{uid}/instances").json()
        assert len(listed) == len(here.archive.studies[uid]) - 2
        assert client.get(f"/dicom-web/studies/{uid}").status_code == 200
