"""Files that can be sent, found among others."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import MediaStorageDirectoryStorage
from tests.serve.pacs.made_peers import STUDY, folder_of, scan

from insula.core.errors import ScanError
from insula.serve.pacs.outcome import Outcome, files_of, ready, split_by


def test_dicom_files_among_others_in_order(tmp_path: Path) -> None:
    inside = folder_of(tmp_path / "b", [scan(1), scan(2)])
    (tmp_path / "a.txt").write_text("DICM")
    (tmp_path / "b" / "half.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    others: list[Path] = []
    assert list(files_of([tmp_path], others.append)) == [inside / "0.dcm", inside / "1.dcm"]
    assert others == [tmp_path / "a.txt", inside / "half.dcm"]
    assert list(files_of([inside / "1.dcm", inside])) == [inside / "1.dcm", inside / "0.dcm", inside / "1.dcm"]


def test_a_directory_of_a_medium_is_not_sent(tmp_path: Path) -> None:
    one = dcmread(BytesIO(scan()))
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    one.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert list(files_of([tmp_path])) == []


def test_what_is_known_of_a_file(tmp_path: Path) -> None:
    path = folder_of(tmp_path, [scan()]) / "0.dcm"
    found = ready(path)
    assert (found.path, found.study_uid, found.transfer_syntax_uid) == (path, STUDY, "1.2.840.10008.1.2.1")


@pytest.mark.parametrize("data", [b"", b"no", bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\xff" * 500])
def test_what_is_no_object(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ScanError, match="'x'"):
        ready(tmp_path / "x")


def test_a_file_that_is_missing_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ready(tmp_path / "none")


def test_groups(tmp_path: Path) -> None:
    objects = [
        ready(path) for path in files_of([folder_of(tmp_path, [scan(n, SOPInstanceUID=f"1.2.{n}") for n in range(5)])])
    ]
    length = objects[0].path.stat().st_size
    assert [len(group) for group in split_by(objects, 2, 1 << 30)] == [2, 2, 1]
    assert [len(group) for group in split_by(objects, 100, 3 * length)] == [3, 2]
    assert [len(group) for group in split_by(objects, 100, 1)] == [1] * 5
    assert list(split_by([], 1, 1)) == []


@pytest.mark.parametrize(("status", "taken"), [(0, True), (0xB000, True), (0xB007, True), (0xA700, False), (1, False)])
def test_what_counts_as_taken(status: int, taken: bool, tmp_path: Path) -> None:
    assert Outcome(ready(folder_of(tmp_path, [scan()]) / "0.dcm"), status).taken is taken
