"""A file that is longer than it says is refused, or says so in a warning: never taken as if nothing was."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.scans.made_dicom import write
from tests.scans.mutations import DICOM, sound_files

from insula.core.errors import ScanError
from insula.scans import behind
from insula.scans.behind import LONGER
from insula.scans.read import read

SOUND = sound_files()
MORE = [b"\0", bytes(7), bytes(8), bytes(64), b"\x07", b"PK\x03\x04" + bytes(range(50)), b"\xff\xd8\xff\xd9"]


def outcome(path: Path, data: bytes) -> tuple[str, ...]:
    path.write_bytes(data)
    try:
        return read(path).warnings
    except ScanError:
        return ("refused",)


@pytest.mark.parametrize("number", [n for n, (kind, _) in enumerate(SOUND) if kind != "tiff"])
def test_bytes_behind_the_end_of_a_file_are_not_passed_over(number: int, tmp_path: Path) -> None:
    path, data = tmp_path / "x", SOUND[number][1]
    before = outcome(path, data)
    assert before != ("refused",)
    for more in (*MORE, data):
        found = outcome(path, data + more)
        assert found == ("refused",) or LONGER in found, more[:8]


@pytest.mark.parametrize("number", [n for n, (kind, _) in enumerate(SOUND) if kind in ("dicom", "png", "jpeg")])
def test_a_sound_file_is_not_said_to_be_longer(number: int, tmp_path: Path) -> None:
    path, data = tmp_path / "x", SOUND[number][1]
    if data != (DICOM / "image_dfl.dcm").read_bytes():  # which has a checksum and a length behind what is deflated
        assert LONGER not in outcome(path, data)


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_bigendian.dcm", "SC_ybr_full_422_uncompressed.dcm"])
def test_more_pixels_than_the_header_promises_are_said(name: str, tmp_path: Path) -> None:
    one = pydicom.dcmread(DICOM / name)
    for more in (2, 100):
        one.PixelData += bytes(more)
        one.save_as(tmp_path / "x", enforce_file_format=True)
        assert any("more bytes of pixels" in note for note in read(tmp_path / "x").warnings)


def test_the_one_byte_that_makes_a_length_even_is_none_too_many(tmp_path: Path) -> None:
    pixels = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    path = write(tmp_path / "x", np.zeros((3, 3), np.int16), PixelData=bytes(10), **pixels)
    assert not any("more bytes" in note for note in read(path).warnings)


def test_the_one_byte_that_makes_a_deflated_file_even_is_none_too_many(tmp_path: Path) -> None:
    one = pydicom.dcmread(DICOM / "CT_small.dcm")
    one.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    data = stream.getvalue().rstrip(b"\0")
    assert LONGER not in outcome(tmp_path / "x", data + b"\0" * (len(stream.getvalue()) - len(data)))
    assert LONGER in outcome(tmp_path / "x", stream.getvalue() + b"more")


def test_a_gzipped_dicom_file_with_bytes_behind_it_is_refused(tmp_path: Path) -> None:
    data = gzip.compress((DICOM / "MR_small.dcm").read_bytes())
    assert "refused" not in outcome(tmp_path / "x", data)
    path = tmp_path / "x"
    path.write_bytes(data + b"more")
    with pytest.raises(ScanError, match="goes on behind the end"):
        read(path)


def test_a_zip_file_within_others_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(DICOM / "MR_small.dcm", "a/b.dcm")
        archive.comment = b"a comment is no fault"
    whole = packed.getvalue()
    assert "refused" not in outcome(tmp_path / "x", whole)
    for data in (whole + b"more", whole + whole, whole[:30] + whole):
        assert outcome(tmp_path / "x", data) == ("refused",)


def test_a_long_run_of_fill_bytes_is_looked_through_at_once(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xd8" + b"\xff" * 1_000_000 + b"\0" + b"\xff" * 9 + b"\xd9" + b"more")
    begun = time.process_time()
    assert behind.picture(tmp_path / "x", "JPEG") == (LONGER,)
    assert time.process_time() - begun < 5
