"""Packed files that Python's own modules would unpack without a bound: refused by what they say of themselves."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.faults import made_more_bombs as bombs
from tests.scans import made_dicom

from insula.core.errors import LimitError, ScanError
from insula.scans import archive, arrays, header, items, limits, read
from insula.scans.limits import LIMITS, Limits


def test_a_zip_is_judged_by_its_record_in_64_bits_too(tmp_path: Path) -> None:
    bombs.zip_whose_second_end_counts(tmp_path / "a.zip")
    with pytest.raises(LimitError, match="claims 120000 members"):
        limits.zip_directory(tmp_path / "a.zip")


def test_a_zip_is_judged_by_the_entries_that_are_there_not_by_their_count(tmp_path: Path) -> None:
    bombs.zip_whose_directory_goes_on(tmp_path / "a.zip")
    with pytest.raises(LimitError, match="claims 90000 members"):
        limits.zip_directory(tmp_path / "a.zip")


def test_an_honest_zip_in_64_bits_is_read(tmp_path: Path) -> None:
    made = made_dicom.write(tmp_path / "a.dcm", np.zeros((4, 4), np.int16))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, packed.open("a.dcm", "w", force_zip64=True) as member:
        member.write(made.read_bytes())
    raw = (tmp_path / "a.zip").read_bytes()
    end = raw.rindex(b"PK\x05\x06")
    length, start = (int.from_bytes(raw[end + k : end + k + 4], "little") for k in (12, 16))
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\0\x2d\0" + bytes(8)
    record += b"".join(n.to_bytes(8, "little") for n in (1, 1, length, start))
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + b"\1\0\0\0"
    (tmp_path / "b.zip").write_bytes(raw[:end] + record + locator + raw[end:])
    assert read.read(tmp_path / "b.zip").array.shape == (1, 1, 4, 4)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_a_bound_are_refused(tmp_path: Path, method: int) -> None:
    made = made_dicom.write(tmp_path / "a.dcm", np.zeros((4, 4), np.int16)).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as packed:
        packed.writestr("a.dcm", made)
    with pytest.raises(ScanError, match="another method than deflate"):
        read.sniff(tmp_path / "a.zip")
    with pytest.raises(ScanError, match="another method"), archive.unpacked(tmp_path / "a.zip"):
        pass
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 4)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as packed:
        packed.writestr("array.npy", stream.getvalue())
    with pytest.raises(ScanError, match="another method"):
        arrays.read(tmp_path / "a.npz")


def test_a_long_array_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + b" " * 100)
    with pytest.raises(ScanError, match="has a header of 1073741824 bytes"):
        arrays.read(tmp_path / "a.npy")


def test_thousands_of_empty_gzip_members_are_refused_and_a_few_are_read(tmp_path: Path) -> None:
    made = made_dicom.write(tmp_path / "a.dcm", np.zeros((4, 4), np.int16)).read_bytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(made) + gzip.compress(b"") * 3)
    assert read.read(tmp_path / "a.gz").array.shape == (1, 1, 4, 4)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"") * 5000 + gzip.compress(made))
    with (tmp_path / "b.gz").open("rb") as stream, pytest.raises(ScanError, match="empty pieces"):
        list(limits.inflate(stream, 132))


@pytest.mark.parametrize("undefined", [False, True])
def test_items_are_counted_before_they_are_made(tmp_path: Path, undefined: bool) -> None:
    few = Limits(max_items=1000)
    bombs.with_items(tmp_path / "a.dcm", b"\xfe\xff\x00\xe0\0\0\0\0" * 900, undefined)
    assert header.read(tmp_path / "a.dcm", few).rows == 4
    bombs.with_items(tmp_path / "b.dcm", b"\xfe\xff\x00\xe0\0\0\0\0" * 1100, undefined)
    with pytest.raises(LimitError, match="more than 1000 items"):
        header.read(tmp_path / "b.dcm", few)


def test_items_across_blocks_and_in_big_endian_are_counted() -> None:
    counted = items.Counted("a", Limits(max_items=2))
    counted.add(b"\xfe\xff")
    counted.add(b"\x00\xe0 \xff\xfe\xe0\x00")
    with pytest.raises(LimitError):
        counted.add(b"\xfe\xff\x00\xe0")


def test_items_that_are_deflated_are_counted(tmp_path: Path) -> None:
    bombs.dicom_of_items_deflated(tmp_path / "a.dcm")
    with pytest.raises(LimitError, match=f"more than {LIMITS.max_items} items"):
        header.read(tmp_path / "a.dcm")
