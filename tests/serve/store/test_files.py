"""Files by content, on a disk and in S3 (moto's server on loopback)."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.infer.made_s3 import bucket

from insula.core.errors import UsageError
from insula.serve.faults import RequestError
from insula.serve.store import files as files_module
from insula.serve.store.errors import ChangedFileError, MissingFileError
from insula.serve.store.files import Files, open_files

pytestmark = pytest.mark.serve
BYTES = bytes(range(256)) * 9000  # more than two blocks
NAME = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bucket(tmp_path_factory.mktemp("nothing")) as address:
        yield address


@pytest.fixture(params=["disk", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "files")
    return f"{request.getfixturevalue('remote')}/{tmp_path.name}"


@pytest.fixture
def files(address: str) -> Files:
    return open_files(address)


def spoil(address: str, sha256: str, content: bytes) -> None:
    import fsspec

    with fsspec.open(f"{address}/{sha256[:2]}/{sha256}", "wb") as stream:
        stream.write(content)


def test_what_is_put_comes_back_under_its_hash(files: Files, tmp_path: Path) -> None:
    stored = files.put(io.BytesIO(BYTES), len(BYTES))
    assert (stored.sha256, stored.size) == (NAME, len(BYTES))
    assert files.has(NAME)
    assert files.get(NAME) == BYTES
    with files.open(NAME) as stream:
        assert (stream.read(3), stream.read(1)) == (BYTES[:3], BYTES[3:4])
    files.fetch(NAME, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BYTES
    (found,) = files.all()
    assert (found.sha256, found.size) == (NAME, len(BYTES))
    assert abs(found.changed - datetime.now(UTC)) < timedelta(hours=1)


def test_the_same_bytes_are_one_file_and_no_bytes_are_one_too(files: Files) -> None:
    assert files.put(io.BytesIO(b"a"), 10) == files.put(io.BytesIO(b"a"), 10)
    assert files.put(io.BytesIO(b""), 10).size == 0
    assert len(list(files.all())) == 2


def test_a_stream_over_the_limit_leaves_nothing_and_is_not_read_to_its_end(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stream = io.BytesIO(BYTES)
    with pytest.raises(RequestError, match="longer than 1000000 bytes") as caught:
        files.put(stream, 1_000_000)
    assert caught.value.status == 413
    assert stream.tell() == 1_000_001
    assert list(files.all()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_stream_that_breaks_leaves_nothing(files: Files, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionError
            return super().read(size)

    with pytest.raises(ConnectionError):
        files.put(Broken(BYTES), len(BYTES))
    assert list(files.all()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_bytes_are_refused_before_any_is_given(files: Files, address: str, tmp_path: Path) -> None:
    files.put(io.BytesIO(BYTES), len(BYTES))
    spoil(address, NAME, BYTES[:-1] + b"x")
    with pytest.raises(ChangedFileError, match=NAME[:12]), files.open(NAME):
        pytest.fail("bytes were given")
    with pytest.raises(ChangedFileError):
        files.fetch(NAME, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    files.put(io.BytesIO(BYTES), len(BYTES))  # put again, it is mended
    assert files.get(NAME) == BYTES


def test_a_file_that_is_not_there_is_missing(files: Files) -> None:
    assert not files.has(NAME)
    assert not files.delete(NAME)
    with pytest.raises(MissingFileError, match="backup"):
        files.get(NAME)


def test_a_deleted_file_is_gone(files: Files) -> None:
    files.put(io.BytesIO(BYTES), len(BYTES))
    assert files.delete(NAME)
    assert not files.has(NAME)
    assert not files.delete(NAME)


def test_a_file_that_was_put_again_since_is_left(files: Files) -> None:
    files.put(io.BytesIO(b"a"), 10)
    (found,) = files.all()
    assert not files.delete(found.sha256, unless_put_since=found.changed - timedelta(hours=1))
    assert files.get(found.sha256) == b"a"
    assert files.delete(found.sha256, unless_put_since=found.changed + timedelta(hours=1))


@pytest.mark.parametrize("name", ["", "../../etc/passwd", NAME.upper(), NAME[:-1], f"{NAME}/x", f"{NAME}\n"])
def test_no_other_name_is_ever_a_path(files: Files, name: str) -> None:
    for call in (files.has, files.get, files.delete):
        with pytest.raises(ValueError, match="no SHA-256"):
            call(name)


def test_files_on_a_disk_are_for_their_owner_alone(tmp_path: Path) -> None:
    open_files(str(tmp_path / "files")).put(io.BytesIO(b"a"), 10)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "files").rglob("*")}
    assert modes == {0}
    assert (tmp_path / "files").stat().st_mode & 0o077 == 0


def test_what_a_killed_put_left_is_cleared(tmp_path: Path) -> None:
    files = open_files(str(tmp_path / "files"))
    files.put(io.BytesIO(b"a"), 10)
    (tmp_path / "files/unfinished/insula-left").write_bytes(b"x")
    (tmp_path / "files" / NAME[:2]).mkdir(exist_ok=True)
    (tmp_path / "files" / NAME[:2] / "left.gone").write_bytes(b"x")
    now = datetime.now(UTC)
    assert files.clear_unfinished(now - timedelta(days=1)) == 0
    assert files.clear_unfinished(now + timedelta(days=1)) == 2
    assert len(list(files.all())) == 1


@pytest.mark.parametrize("address", ["", "memory://a", "http://example.org/files", "sftp://host/files"])
def test_a_store_where_files_could_be_seen_half_written_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="local folder, or s3"):
        open_files(address)


def test_a_file_is_moved_to_its_place_and_never_written_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(str(tmp_path / "files"))
    seen: list[str] = []
    synced: list[int] = []
    replace, fsync = Path.replace, os.fsync

    def watched(self: Path, target: str) -> Path:
        seen.append(Path(target).name)
        assert self.read_bytes() == BYTES
        assert synced
        return replace(self, target)

    def flushed(handle: int) -> None:
        synced.append(handle)
        fsync(handle)

    monkeypatch.setattr(Path, "replace", watched)
    monkeypatch.setattr(os, "fsync", flushed)
    files.put(io.BytesIO(BYTES), len(BYTES))
    assert seen == [NAME]


def test_a_file_that_comes_in_pieces_is_there_once_it_is_settled(tmp_path: Path) -> None:
    files = open_files(str(tmp_path / "files"))
    files.prepare()
    with files.begin() as begun:
        for part in (b"one ", memoryview(b"two "), bytearray(b"three")):
            assert begun.write(part) == len(part)
        begun.flush()
        assert (begun.path.read_bytes(), begun.size) == (b"one two three", 13)
        assert list(files.all()) == []
        stored = begun.settle()
    assert stored == files.put(io.BytesIO(b"one two three"), 100)
    assert files.get(stored.sha256) == b"one two three"
    with files.begin() as begun:
        begun.write(b"never settled")
    assert [one.sha256 for one in files.all()] == [stored.sha256]
    assert list((tmp_path / "files" / "unfinished").iterdir()) == []


def test_the_room_that_is_left_is_told(tmp_path: Path) -> None:
    files = open_files(str(tmp_path / "files"))
    assert 0 < files.free() <= shutil.disk_usage(tmp_path).total


def test_of_a_file_that_a_full_disk_does_not_take_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_files(str(tmp_path / "files"))

    def full(**_: object) -> tuple[int, str]:
        (tmp_path / "spool").touch()
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "spool")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    with files.begin() as begun:  # what was written is held back, and fails once more when the file is closed
        begun.write(bytes(100))
        with pytest.raises(OSError, match="No space"):
            begun.settle()
    assert not (tmp_path / "spool").exists()
    assert list(files.all()) == []


def test_a_folder_that_another_writer_made_is_on_the_disk_before_a_file_of_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, synced = open_files(str(tmp_path / "files")), []
    (tmp_path / "files" / NAME[:2]).mkdir()
    monkeypatch.setattr(files_module, "sync", lambda folder: synced.append(folder))
    for _ in range(2):
        files.put(io.BytesIO(BYTES), len(BYTES))
    assert synced.count(tmp_path / "files") == 1
    assert synced.count(tmp_path / "files" / NAME[:2]) == 2
    prepared = open_files(str(tmp_path / "files"))
    prepared.prepare()
    synced.clear()
    prepared.put(io.BytesIO(BYTES), len(BYTES))
    assert synced == [tmp_path / "files" / NAME[:2]]
