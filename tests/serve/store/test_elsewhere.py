"""Object stores that are down or lie: trouble of a disk, and never taken for a file that is not there."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.made_s3_liar import KEEPS_NOTHING, Store, liar
from tests.serve.api.made import service

from insula.serve import trouble
from insula.serve.store import elsewhere
from insula.serve.store.errors import ChangedFileError
from insula.serve.store.files import Files, open_files

pytestmark = pytest.mark.serve
BYTES = bytes(range(256)) * 900
NAME = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with liar(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture
def files(store: Store) -> Files:
    made = open_files(store.address)
    made.put(io.BytesIO(BYTES), len(BYTES))
    return made


ASKED: dict[str, Callable[[Files], object]] = {
    "put": lambda files: files.put(io.BytesIO(b"other"), 10),
    "get": lambda files: files.get(NAME),
    "has": lambda files: files.has(NAME),
    "delete": lambda files: files.delete(NAME),
    "all": lambda files: list(files.all()),
}


@pytest.mark.parametrize("what", ASKED)
def test_whatever_a_store_raises_is_trouble_of_a_disk(store: Store, files: Files, what: str) -> None:
    """`has` and `delete` said that nothing was there, so that an erasure passed for done."""
    with store.doing("gives no access"), pytest.raises(OSError, match="PermissionError") as met:
        ASKED[what](files)
    assert (met.value.errno, "planted" in str(met.value)) == (errno.EIO, False)
    told = trouble.of(met.value)
    assert told is not None
    assert (told.status, told.fault_code) == (503, "storage")
    assert files.get(NAME) == BYTES


@pytest.mark.parametrize("mode", ["has lost the bucket", KEEPS_NOTHING])
def test_what_a_store_did_not_keep_was_not_put(store: Store, files: Files, mode: str) -> None:
    with store.doing(mode), pytest.raises(OSError, match="store of files"):
        files.put(io.BytesIO(b"not kept"), 10)
    assert not files.has(hashlib.sha256(b"not kept").hexdigest())


def test_a_store_that_gives_other_bytes_is_seen_before_the_first_is_passed_on(store: Store, files: Files) -> None:
    with store.doing("gives other bytes"), pytest.raises(ChangedFileError):
        files.blocks(NAME)
    assert b"".join(files.blocks(NAME)) == BYTES


def test_a_store_that_says_nothing_is_not_waited_for_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_CONFIG", {**elsewhere._CONFIG, "read_timeout": 0.05})
    monkeypatch.setattr(elsewhere, "_ROUNDS", 1)
    made, before = open_files(store.address), store.asked
    with store.doing("hangs"), pytest.raises(OSError, match="ReadTimeoutError"):
        made.has(NAME)
    assert store.asked - before == 2


@pytest.mark.parametrize("what", ASKED)
def test_a_store_that_drips_is_given_up(store: Store, files: Files, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte came in time, so that a question took as long as the store liked."""
    monkeypatch.setattr(elsewhere, "_LONGEST", 0.3)
    with store.doing("drips"), pytest.raises(OSError, match="FSTimeoutError"):
        ASKED[what](files)
    monkeypatch.undo()
    assert files.get(NAME) == BYTES


def test_a_file_of_several_blocks_is_read_whole(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_BLOCK", 100_000)
    assert files.get(NAME) == BYTES


def test_a_file_that_cannot_be_had_is_a_503_and_no_answer_without_its_bytes(store: Store, tmp_path: Path) -> None:
    """The answer had begun with 200 before the bytes were looked at, and broke off."""
    address = f"{store.address}/{tmp_path.name}"
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path, files=address) as made:
        client = made.client("reviewer")
        study = made.study()
        place = f"/api/v1/studies/{study['id']}/files/{study['files'][0]['id']}"
        sent = client.get(place)
        assert sent.status_code == 200
        assert len(sent.content) == study["files"][0]["size"]
        for mode, wanted in (("gives no access", (503, "storage")), ("gives other bytes", (500, "changed_file"))):
            with store.doing(mode):
                answer = client.get(place)
            assert (answer.status_code, answer.json()["code"]) == wanted
        assert client.get(place).content == sent.content
