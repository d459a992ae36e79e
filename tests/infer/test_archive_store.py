"""Archives on a disk and in S3 (moto's server on loopback): the same directories, the same files at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.infer.made_s3 import bucket
from tests.tiny_cohort import make

from insula.core.errors import MissingPartError, ScanError
from insula.infer.archive_store import Directory, at_hand, directories, is_remote
from insula.scans.limits import LIMITS


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    make(root, patients=3)
    (root / "note.txt").write_text("no scan")
    (root / ".hidden").write_text("not looked at")
    (root / "0/deeper").mkdir()
    (root / "0/deeper/a.txt").write_text("a")
    (root / "empty").mkdir()
    return root


@pytest.fixture(scope="module")
def remote(archive: Path) -> Iterator[str]:
    with bucket(archive) as address:
        yield address


def test_a_store_has_the_directories_of_the_disk(archive: Path, remote: str) -> None:
    there = list(directories(str(archive)))
    assert there == [
        Directory(".", ("note.txt",)),
        Directory("0", ("0.dcm", "1.dcm")),
        Directory("0/deeper", ("a.txt",)),
        Directory("1", ("0.dcm", "1.dcm")),
        Directory("2", ("0.dcm", "1.dcm")),
    ]
    assert list(directories(remote)) == there


def test_files_of_a_store_are_copied_with_their_times_and_leave(archive: Path, remote: str) -> None:
    with at_hand(remote, ["0/1.dcm"]) as first, at_hand(remote, ["0/1.dcm"]) as second:
        one, two = first / "0/1.dcm", second / "0/1.dcm"
        assert one.read_bytes() == (archive / "0/1.dcm").read_bytes()
        assert one.stat().st_mtime_ns == two.stat().st_mtime_ns
        assert first != second
        assert os.listdir(first) == ["0"]
    assert not first.exists()


def test_a_folder_is_at_hand_itself(archive: Path) -> None:
    with at_hand(str(archive), ["0/1.dcm"]) as root:
        assert root == archive
    assert archive.exists()


def test_what_is_too_long_for_a_scan_is_not_fetched(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.infer.archive_store.LIMITS", replace(LIMITS, max_bytes=100))
    with at_hand(remote, ["0/1.dcm"]) as root:
        assert (root / "0/1.dcm").stat().st_size == 0


@pytest.mark.parametrize("name", ["../a.dcm", "0/../../a.dcm", "/etc/passwd"])
def test_a_name_that_leads_out_is_refused(remote: str, name: str) -> None:
    with pytest.raises(ScanError, match="leads out of the archive"), at_hand(remote, [name]):
        pass


def test_what_is_not_there_or_has_no_part_is_told(remote: str) -> None:
    with pytest.raises(ScanError, match="cannot be read"), at_hand(remote, ["0/9.dcm"]):
        pass
    with pytest.raises(ScanError, match="cannot be read"):
        list(directories(f"{remote}-none"))
    with pytest.raises((MissingPartError, ScanError)):
        list(directories("nosuchstore://bucket/x"))
    assert not is_remote("/data/scans")
