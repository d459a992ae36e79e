"""Which file of an upload was refused is said by its name, and by its place for programs."""

from __future__ import annotations

import gzip

import pytest
from tests.serve.client import dicom, png
from tests.serve.test_intake import upload, zipped

from insula.core.errors import InsulaError, ScanError
from insula.serve.blame import of_file
from insula.serve.faults import RequestError, status_of
from insula.serve.intake import taken

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("data", "code", "status", "said"),
    [
        (b"", "empty_file", 400, "'b (2).dcm' is empty"),
        (b"hello, I am a text", "unknown_kind", 415, "'b (2).dcm' is no scan"),
        (dicom(number=2)[:600], "unreadable_scan", 422, "'b (2).dcm' holds"),
        (dicom(number=2)[:-200], "unreadable_scan", 422, "'b (2).dcm' holds"),
        (b"PK\3\4" + b"x" * 200, "unknown_kind", 415, "'b (2).dcm' is a zip"),
        (zipped(a_dcm=dicom()[:600]), "unreadable_scan", 422, "'b (2).dcm, its file 1' holds"),
        (gzip.compress(b"\0" * (1 << 20)), "unknown_kind", 415, "'b (2).dcm'"),
    ],
    ids=["empty", "text", "cut", "cut-pixels", "zip", "in-zip", "zeros"],
)
def test_the_file_to_blame_is_named(data: bytes, code: str, status: int, said: str) -> None:
    sent = {
        "ct": [upload(dicom())],
        "scan": [
            upload(dicom(number=1), "a.dcm"),
            upload(data, "C:\\scans\\b (2).dcm"),
            upload(dicom(number=3), "c.dcm"),
        ],
    }
    with pytest.raises(RequestError) as caught, taken(sent):
        raise AssertionError("nothing is taken")
    assert str(caught.value).startswith(said)
    assert (caught.value.fault_code, status_of(caught.value)) == (code, status)
    assert caught.value.more == {"role": "scan", "file": 2}
    assert "upload-" not in str(caught.value)
    assert "insula-" not in str(caught.value)


def test_of_many_files_the_right_one_is_named() -> None:
    sent = [upload(dicom(number=n), f"{n}.dcm") for n in range(1, 12)]
    sent[9] = upload(dicom(number=10)[:600], "tenth.dcm")
    with pytest.raises(RequestError, match=r"'tenth\.dcm' holds") as caught, taken({"mri": sent}):
        raise AssertionError("nothing is taken")
    assert caught.value.more == {"role": "mri", "file": 10}


def test_where_all_are_to_blame_none_is() -> None:
    with (
        pytest.raises(ScanError, match="of several kinds") as caught,
        taken({"scan": [upload(dicom()), upload(png())]}),
    ):
        raise AssertionError("nothing is taken")
    assert not isinstance(caught.value, RequestError)


@pytest.mark.parametrize(
    "text", ["'upload-7' is cut short", "upload-0 is", "nothing of ours", "File 9 is empty (0 bytes)"]
)
def test_what_names_no_file_of_the_request_stays_as_it_is(text: str) -> None:
    error: InsulaError = ScanError(text)
    assert of_file(error, "scan", [upload(b"x", "x.dcm")]) is error


def test_a_file_without_a_name_has_its_number() -> None:
    found = of_file(ScanError("'upload-1' is cut short"), "scan", [upload(b"x", "\0")])
    assert str(found) == "'file 1' is cut short"
