"""AI Workflow for Imaging with real peers: a worklist orders, Orthanc has scan and answer, and the node works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, generate_uid
from tests.browser import made_bundle, made_scans
from tests.client.live import live
from tests.pacs.orthanc import AE, Orthanc, free_port
from tests.pacs.read_back import check_in_its_study, of_class, shown
from tests.pacs.site import PROJECT, hospital, storescu, until
from tests.serve.dicomweb.made import code, values, workitem

pytestmark = pytest.mark.pacs
RULES = f"""
rules:
  - name: head CT
    when: {{modality: CT}}
    project: {PROJECT}
    model: haemorrhage-ct
    objects: [report, capture]
"""


def order(orthanc: Orthanc, uid: str) -> dict[str, Any]:
    """A work item: look for blood in this study of Orthanc, and put the answer there."""
    given = {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "0040E020": {"vr": "CS", "Value": ["DICOM"]},
        "0040E025": {"vr": "SQ", "Value": [{"00081190": {"vr": "UR", "Value": [f"{orthanc.web}/studies/{uid}"]}}]},
    }
    wanted = {"00404072": {"vr": "SQ", "Value": [{"00404073": {"vr": "UR", "Value": [f"{orthanc.web}/studies"]}}]}}
    return workitem(
        t00404021={"vr": "SQ", "Value": [given]},
        t00404070={"vr": "SQ", "Value": [wanted]},
        t00404018={"vr": "SQ", "Value": [code("haemorrhage-ct", "99SITE", "Blood in the head")]},
    )


def test_what_a_worklist_orders_is_answered_in_the_archive(orthanc: Orthanc, tmp_path: Path) -> None:
    files = made_scans.write(tmp_path / "scan", "ORDERED")
    source = pydicom.dcmread(files[0])
    uid, name, missing = str(source.StudyInstanceUID), str(generate_uid()), str(generate_uid())
    storescu(orthanc.dicom, AE, files)
    bundle = made_bundle.make(tmp_path / "bundle")
    (tmp_path / "manager").mkdir()
    (tmp_path / "site").mkdir()
    with live(tmp_path / "manager") as manager:
        told = {
            "PEERS": f"web={orthanc.web} manager={manager.address}/dicom-web",
            "LOGIN_MANAGER": manager.key("reviewer"),
            "WORKITEMS": "manager",
        }
        client = manager.made.client("reviewer")
        for one, about in ((name, uid), (missing, str(generate_uid()))):
            answer = client.post(f"/dicom-web/workitems?workitem={one}", json=[order(orthanc, about)])
            assert answer.status_code == 201, answer.text

        def ended(one: str, state: str) -> dict[str, Any] | None:
            (item,) = client.get(f"/dicom-web/workitems/{one}").json()
            return item if values(item, "00741000") == [state] else None

        with hospital(tmp_path / "site", bundle, free_port(), RULES, **told) as site:
            done = until(lambda: ended(name, "COMPLETED"), "the work item to be completed", site)
            gone = until(lambda: ended(missing, "CANCELED"), "the other one to be cancelled", site)
    assert done is not None
    assert gone is not None
    assert values(values(gone, "00741002")[0], "00741238") == ["The input is not where the work item says that it is."]
    objects = shown(orthanc, uid)
    outputs = values(values(done, "00741216")[0], "00404033")
    named = {values(one, "00081155")[0] for part in outputs for one in values(part, "00081199")}
    made = objects.keys() - {str(pydicom.dcmread(path).SOPInstanceUID) for path in files}
    assert named == made, "the work item names what the archive has"
    assert len(of_class(objects, Comprehensive3DSRStorage)) == 1
    check_in_its_study(objects, source, len(named))
    for part in outputs:
        (where,) = values(part, "0040E025")
        assert values(where, "00081190")[0].startswith(f"{orthanc.web}/studies/{uid}/series/")
