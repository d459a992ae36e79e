"""Room is asked for before much is written, on the disks that it will lie on."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from insula.serve import room
from insula.serve.store.files import open_files

pytestmark = pytest.mark.serve


def test_what_is_laid_out_and_what_is_stored_have_to_find_room_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_files(str(tmp_path / "files"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # one disk
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    room.ask(files, 60, 30, 10)
    for laid, stored, spare in ((61, 30, 10), (60, 31, 10), (60, 30, 11)):
        with pytest.raises(OSError, match=r"\d+ bytes are wanted") as met:
            room.ask(files, laid, stored, spare)
        assert met.value.errno == errno.ENOSPC


def test_two_disks_are_asked_each_for_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(str(tmp_path / "files"))
    free = {str(tmp_path): 60, str(tmp_path / "files"): 40}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free[str(place)]))
    monkeypatch.setattr(Path, "stat", lambda place: SimpleNamespace(st_dev=hash(str(place))))
    room.ask(files, 60, 30, 10)
    for laid, stored, spare in ((61, 30, 10), (60, 31, 10), (60, 30, 11)):
        with pytest.raises(OSError, match="bytes are wanted"):
            room.ask(files, laid, stored, spare)


def test_a_disk_that_takes_nothing_is_met_and_nothing_is_left_of_the_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.tried([tmp_path])
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        room.tried([tmp_path, tmp_path / "gone"])
