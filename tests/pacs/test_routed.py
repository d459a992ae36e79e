"""The Lua script of docs/pacs.md in a real Orthanc: scans are routed, and neither other kinds nor results are."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.pacs.orthanc import AE, Orthanc, free_port, running
from tests.pacs.test_query import new_uid, storescp, study

from insula.serve.pacs import find as asking
from insula.serve.pacs.push import push
from insula.serve.pacs.query import Query
from insula.serve.pacs.settings import PacsSettings

pytestmark = pytest.mark.pacs
DOCUMENT = Path(__file__).parents[2] / "docs" / "pacs.md"
NAME = "王^小明"


def test_orthanc_routes_the_scans_of_a_study_and_searches_in_unicode(tmp_path: Path) -> None:
    (script,) = re.findall(r"```lua\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "insula.lua").write_text(script, encoding="utf-8")
    port, uid, other = free_port(), new_uid(), new_uid()
    more = {"DefaultEncoding": "Utf8", "LuaScripts": [str(tmp_path / "insula.lua")]}
    unicode = {"PatientName": NAME, "SpecificCharacterSet": "ISO_IR 192"}
    scans = study(tmp_path / "ct", uid, 3, **unicode)
    beside = study(tmp_path / "mr", uid, 1, Modality="MR", SeriesInstanceUID=f"{uid}.2", **unicode)
    ours = study(tmp_path / "ours", other, 2)
    out = tmp_path / "out"
    with storescp(out, port), running(tmp_path / "orthanc", {"insula": ("INSULA", port)}, **more) as there:
        address = f"archive=dicom://{AE}@127.0.0.1:{there.dicom}"
        scanner, node = PacsSettings(peers=address, ae_title="CT1"), PacsSettings(peers=address)
        push(node, node.peer["archive"], ours)
        push(scanner, scanner.peer["archive"], [*beside, *scans])
        until = time.monotonic() + 60
        while not (stable(there, 2) and len(list(out.iterdir())) >= 3):
            assert time.monotonic() < until, (tmp_path / "orthanc" / "orthanc.log").read_text()[-3000:]
            time.sleep(0.1)
        assert {str(dcmread(path).SeriesInstanceUID) for path in out.iterdir()} == {f"{uid}.1"}
        found = asking.find(node, node.peer["archive"], Query(study_uid=uid)).studies
        assert [one.patient_name for one in found] == [NAME]


def stable(there: Orthanc, many: int) -> bool:
    """Whether so many studies are stable, so that the script has been asked about each."""
    kinds = [one["ChangeType"] for one in there.get("/changes?limit=1000")["Changes"]]
    return kinds.count("StableStudy") >= many
