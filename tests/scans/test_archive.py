from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scans.made_dicom import series, write

from insula.core.errors import LimitError, ScanError
from insula.scans import archive, catalogue
from insula.scans.limits import LIMITS, Limits
from insula.scans.read import read, read_files, sniff


def zipped(path: Path, members: dict[str, bytes], **info: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(entry, key, value)
            out.writestr(entry, content)
    return path


def slices(folder: Path, count: int = 4, **fields: Any) -> dict[str, bytes]:
    paths = series(folder, [(0, 0, 5.0 * k) for k in range(count)], **fields)
    return {f"{folder.name}/{p.name}": p.read_bytes() for p in paths}


def test_a_zip_of_one_series_is_that_series(tmp_path: Path) -> None:
    members = slices(tmp_path / "s") | {"__MACOSX/._x": b"Mac", "readme.txt": b"hello", ".hidden": b"x"}
    path = zipped(tmp_path / "scan.zip", members)
    volume = read(path)
    assert sniff(path) == "zip"
    assert (volume.array == read(tmp_path / "s").array).all()
    assert volume.source == str(path)
    assert volume.warnings == ("1 file set aside: no scan",)
    assert (read_files([path]).array == volume.array).all()


def test_one_of_several_series_is_chosen(tmp_path: Path) -> None:
    members = slices(tmp_path / "a") | slices(tmp_path / "b", 3, SeriesInstanceUID="9.9")
    path = zipped(tmp_path / "two.zip", members)
    with pytest.raises(ScanError, match=r"'two' holds 2 series \(1: CT, 4 slices of 4x6 5.0 mm apart, axial; 2: CT, 3"):
        read(path)
    assert read(path, series="2").array.shape[1] == read(path, series="9.9").array.shape[1] == 3
    assert [e.uid for e in catalogue.of(path)] == ["1.2.3.4", "9.9"]
    with pytest.raises(ScanError, match=r"'two' holds no series '3', but 1: CT"):
        read(path, series="3")
    with pytest.raises(ScanError, match=r"'two' holds no series of the given UID, but 1: CT"):
        read(path, series="9.8")


def test_a_gzipped_dicom_file_is_that_file(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.dcm", np.arange(9, dtype=np.int16).reshape(3, 3))
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert (read(tmp_path / "a.dcm.gz").array == read(plain).array).all()


def test_zeros_behind_a_data_set_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.dcm", np.arange(9, dtype=np.int16).reshape(3, 3)).read_bytes()
    (tmp_path / "b.dcm").write_bytes(plain + bytes(8 * LIMITS.max_elements + 80))
    (tmp_path / "b.dcm.gz").write_bytes(gzip.compress((tmp_path / "b.dcm").read_bytes()))
    for name in ("b.dcm", "b.dcm.gz"):
        with pytest.raises(LimitError, match=r"holds more than 50000 elements"):
            read(tmp_path / name)
    (tmp_path / "c.dcm").write_bytes(plain + bytes(8))
    assert read(tmp_path / "c.dcm").array.shape == (1, 1, 3, 3)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:\\x", "..\\x", "\\\\host\\x"])
def test_names_that_lead_out_are_refused_before_anything_is_unpacked(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "evil.zip", slices(tmp_path / "s", 1) | {name: b"x"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ScanError, match="leads out of the archive"):
        read(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_nested_archives_and_twins_are_refused(tmp_path: Path) -> None:
    one = slices(tmp_path / "s", 1)
    link = zipped(tmp_path / "link.zip", one, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(ScanError, match="a link or a device"):
        read(link)
    inner = zipped(tmp_path / "inner.zip", one).read_bytes()
    with pytest.raises(ScanError, match="another archive"):
        read(zipped(tmp_path / "outer.zip", one | {"more.dcm": inner}))
    with pytest.raises(ScanError, match="another archive"):
        read(zipped(tmp_path / "gz.zip", one | {"more": gzip.compress(b"x")}))
    with pytest.raises(ScanError, match="two members of one name"):
        read(zipped(tmp_path / "twins.zip", one | {"a/b": b"1", "a//b": b"2"}))


def test_bombs_are_refused_by_their_directory(tmp_path: Path) -> None:
    one = slices(tmp_path / "s", 1)
    path = zipped(tmp_path / "bomb.zip", one | {"zeros": bytes(400 << 20)})
    with pytest.raises(LimitError, match="would inflate"):
        read(path)
    with pytest.raises(LimitError, match="unpacks to"):
        read(path, Limits(max_bytes=100 << 20))
    many = zipped(tmp_path / "many.zip", one | {f"{k}": b"x" for k in range(30)})
    with pytest.raises(LimitError, match="members"):
        read(many, Limits(max_files=20))


def test_a_member_longer_than_its_entry_is_stopped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "liar.zip", slices(tmp_path / "s", 1))
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = (200).to_bytes(4, "little")  # the size that the directory gives
    path.write_bytes(bytes(raw))
    with pytest.raises(ScanError), archive.unpacked(path):
        pass


def refusal(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        sniff(path)
    return str(caught.value)


def test_a_zip_without_dicom_is_told_what_zip_files_are_read_for(tmp_path: Path) -> None:
    path = zipped(tmp_path / "letter.docx", {"word/document.xml": b"<x/>" * 100})
    assert "is a zip file without a DICOM file" in refusal(path)


def encrypted(path: Path, members: dict[str, bytes]) -> Path:
    """A zip whose entries say that they are encrypted, in their own headers and in the directory."""
    raw = bytearray(zipped(path, members).read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(magic)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(magic, at + 4)
    path.write_bytes(raw)
    return path


def test_each_zip_that_is_no_scan_is_told_its_own_reason_and_a_way_out(tmp_path: Path) -> None:
    one = slices(tmp_path / "s", 1)
    whole = zipped(tmp_path / "whole.zip", one)
    assert refusal(encrypted(tmp_path / "locked.zip", one)) == (
        "'locked.zip' is encrypted; unpack it with its password and give its files."
    )
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-200])
    assert refusal(tmp_path / "cut.zip") == (
        "'cut.zip' is a zip file without the directory at its end; it is cut short, copy it again."
    )
    nested = zipped(tmp_path / "nested.zip", {"inner.zip": whole.read_bytes()})
    assert "holds another archive, and only one level is opened; unpack it" in refusal(nested)
    link = zipped(tmp_path / "link.zip", {"a.dcm": b"../../etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    assert "holds a link or a device instead of a file and is refused whole" in refusal(link)
    assert "without any file in it" in refusal(zipped(tmp_path / "empty.zip", {}))
    (tmp_path / "broken.zip").write_bytes(whole.read_bytes().replace(b"PK\x01\x02", b"PK\x09\x09"))
    assert "is a damaged zip file" in refusal(tmp_path / "broken.zip")


def test_other_archives_are_named_and_zip_stands_among_the_kinds_that_are_known(tmp_path: Path) -> None:
    for start, kind in (
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"BZh9", "a bzip2"),
    ):
        (tmp_path / "x").write_bytes(start + bytes(400))
        assert f"'x' is {kind}" in refusal(tmp_path / "x")
        assert "unpack it" in refusal(tmp_path / "x")
    with tarfile.open(tmp_path / "x.tar", "w") as out:
        out.add(write(tmp_path / "a.dcm", np.arange(9, dtype=np.int16).reshape(3, 3)), "a.dcm")
    assert "'x.tar' is a tar archive" in refusal(tmp_path / "x.tar")
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"plain words" * 100))
    assert "is gzip-compressed and holds neither NIfTI nor DICOM" in refusal(tmp_path / "x.gz")
    (tmp_path / "x.txt").write_bytes(b"plain words" * 100)
    assert "no scan by its content; known are DICOM, NIfTI, " in refusal(tmp_path / "x.txt")
    assert "zip files of one DICOM series" in refusal(tmp_path / "x.txt")
