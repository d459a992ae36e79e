"""The objects before the tools of dicom3tools and dcmtk: dciodvfy finds no error, dsrdump reads the report as it is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import get_args

import pydicom
import pytest
from tests.report.case.made_case import case, referred, rejected
from tests.report.dicom.made_result import enhanced, headers, made_of, picture, result, reviewed

from insula.report.case.record import CaseReport
from insula.report.dicom.result import Object, Result, SourceSeries

pytestmark = pytest.mark.pacs

KINDS = get_args(Object)
REAL = Path(__file__).parents[3] / "shared" / "data" / "ct_dicom" / "In" / "GE"
ITEM = re.compile(r'<(?:contains|has concept mod|has obs context) (\w+):\([^)"]*"([^"]*)"\)(.*)>$')


def verified(given: Result, folder: Path) -> list[str]:
    """The errors that dciodvfy finds in all objects of a result, with their kinds."""
    found = []
    for number, made in enumerate(made_of(given, *KINDS)):
        path = folder / f"{number}.dcm"
        made.dataset.save_as(path, enforce_file_format=True)
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        assert said.splitlines(), made.kind  # it has at least named what it takes the object for
        found += [f"{made.kind}: {line}" for line in said.splitlines() if line.startswith("Error")]
    return found


def test_no_object_has_an_error(tmp_path: Path) -> None:
    assert verified(result(tmp_path), tmp_path) == []


@pytest.mark.parametrize(
    "report", [referred(), case(review=reviewed()), rejected()], ids=["tr", "reviewed", "rejected"]
)
def test_nor_of_another_answer(tmp_path: Path, report: CaseReport) -> None:
    assert verified(result(tmp_path, report=report, review_id="r1"), tmp_path) == []


def test_nor_where_the_headers_say_little(tmp_path: Path) -> None:
    missing = (
        "PatientName PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName "
        "InstitutionName BodyPartExamined TimezoneOffsetFromUTC Manufacturer SliceThickness PatientPosition"
    )
    bare = SourceSeries("ct", headers(tmp_path, **dict.fromkeys(missing.split())), picture, (2,))
    framed = SourceSeries("ct", (enhanced(tmp_path),), picture, (2,))

    assert verified(result(tmp_path, series=(bare,)), tmp_path) == []
    assert verified(result(tmp_path, series=(framed,)), tmp_path) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="the real head CT is not here")
def test_nor_for_a_real_tilted_head(tmp_path: Path) -> None:
    read = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(REAL.iterdir())]
    for one in read:
        one.Rows, one.Columns = 96, 80  # as large as the made heat
    given = result(tmp_path, series=(SourceSeries("ct", tuple(read), picture, (2,)),))

    assert verified(given, tmp_path) == []


def test_dsrdump_shows_the_report_as_it_was_designed(tmp_path: Path) -> None:
    (made,) = made_of(result(tmp_path, report=case(review=reviewed("agree")), review_id="r1"), "report")
    path = tmp_path / "report.dcm"
    made.dataset.save_as(path, enforce_file_format=True)

    done = subprocess.run(["dsrdump", "+Pl", "-Ee", path], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    shown = [(kind, name, rest) for line in lines if (m := ITEM.search(line)) for kind, name, rest in [m.groups()]]
    groups = [rest for kind, name, rest in shown if name == "Tracking Identifier"]

    assert "Comprehensive 3D SR Document" in lines[0]
    assert any("Verification Flag" in line and line.endswith("VERIFIED") for line in lines)
    assert any("Preliminary Flag" in line and line.endswith("FINAL") for line in lines)
    assert groups == [
        f'="{name}"'
        for name in (
            "Answer", "Class any", "Class epidural", "Class intraparenchymal", "Class intraventricular",
            "Class subarachnoid", "Class subdural", "Review",
        )
    ]  # fmt: skip
    assert ("NUM", "Probability", '="0.87" (1,UCUM,"no units")') in shown
    assert ("CODE", "Decision of the policy", '=(accept,99INSULA,"The policy accepts the answer")') in shown
    assert ("CODE", "Finding", '=(c-any,99INSULA,"any")') in shown
    assert any(kind == "TEXT" and rest.startswith('="Research use only') for kind, _, rest in shown)
    assert not done.stderr.replace(
        "W: The VR checker does not support this Specific Character Set: ISO_IR 192", ""
    ).strip()
