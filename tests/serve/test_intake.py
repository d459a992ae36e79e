"""Files of a request are looked at before anything is kept."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from starlette.datastructures import Headers, UploadFile
from tests.serve.client import dicom, png

from insula.core.errors import InsulaError
from insula.serve.intake import taken

pytestmark = pytest.mark.serve


def upload(data: bytes, name: str = "a.dcm") -> UploadFile:
    return UploadFile(io.BytesIO(data), size=len(data), filename=name, headers=Headers({}))


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as listed:
        for name, data in members.items():
            listed.writestr(name.replace("_", "."), data)
    return stream.getvalue()


def test_a_series_is_one_scan_with_its_facts() -> None:
    with taken({"scan": [upload(dicom(number=n)) for n in (1, 2, 3)]}) as found:
        (scan,) = found.facts["scan"]["scans"]
        assert (scan["modality"], scan["slices"], scan["rows"], scan["spacing_mm"]) == ("CT", 3, 24, [1, 1, 3])
        assert [f.role for f in found.files] == ["scan"] * 3
        assert all(f.path.is_file() for f in found.files)
        held = found.files[0].path
    assert not held.exists()


def test_no_name_of_a_patient_stands_in_the_facts() -> None:
    with taken({"scan": [upload(dicom(number=n)) for n in (1, 2)]}) as found:
        assert "Doe" not in str(found.facts)
        assert "4711" not in str(found.facts)


def test_two_series_are_told_apart() -> None:
    sent = [upload(dicom(number=n, series=s)) for s in ("1.2.3.4", "1.2.3.5") for n in (1, 2)]
    with taken({"scan": sent}) as found:
        assert [one["series"] for one in found.facts["scan"]["scans"]] == [1, 2]


def test_scans_by_role_and_a_zip_of_a_series() -> None:
    data = zipped(a_dcm=dicom(number=1), b_dcm=dicom(number=2))
    with taken({"ct": [upload(data, "a.zip")], "mri": [upload(dicom("MR"))]}) as found:
        assert found.facts["ct"]["scans"][0]["slices"] == 2
        assert found.facts["mri"]["scans"][0]["modality"] == "MR"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"hello, I am a text", "scan"),
        (dicom()[:600], "'a.dcm' holds"),
        (png()[:40], "'a.dcm' is no readable"),
        (gzip.compress(b"\0" * (1 << 20)), "'a.dcm' is gzip"),
        (zipped(a_dcm=b"\0" * (64 << 20)), "zip|inflate|scan|more than"),
    ],
    ids=["empty", "text", "cut", "cut-png", "zeros", "bomb"],
)
def test_rubbish_is_refused_with_its_reason_and_without_our_folder(data: bytes, said: str) -> None:
    with pytest.raises(InsulaError, match=said) as caught, taken({"scan": [upload(data)]}):
        raise AssertionError("nothing is taken")
    assert "/tmp" not in str(caught.value)
    assert "insula-" not in str(caught.value)


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
    with taken({"scan": [upload(dicom(), "../../../etc/passwd")]}) as found:
        assert found.files[0].name == "passwd"
        assert found.files[0].path.name == "upload-1"


def test_two_patients_are_not_one_study() -> None:
    with (
        pytest.raises(InsulaError, match="name 2 patients") as caught,
        taken({"ct": [upload(dicom())], "scan": [upload(dicom(number=2, patient="OTHER-7"))]}),
    ):
        raise AssertionError("nothing is taken")
    assert "OTHER-7" not in str(caught.value)


def test_the_series_of_a_zip_file_are_files_of_their_own() -> None:
    members = {f"s{s}_{n}": dicom(number=n, series=f"1.2.3.{s}") for s in (4, 5) for n in (1, 2)}
    with taken({"scan": [upload(zipped(**members, readme_txt=b"hello"), "a.zip")]}) as found:
        assert len(found.files) == 4
        assert [one["series"] for one in found.facts["scan"]["scans"]] == [1, 2]
