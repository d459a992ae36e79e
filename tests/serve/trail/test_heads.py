"""Heads: signed, kept where the database is not, and due in time."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.infer.made_s3 import bucket
from tests.serve.trail.filled import FIRST, KEY, OTHER, chain

from insula.core.errors import MissingPartError, TrailError, UsageError
from insula.serve.trail.entries import Mark, encoded, mark_of
from insula.serve.trail.heads import Head, due, genuine, read, sign, written
from insula.serve.trail.keys import public_key, signing_key
from insula.serve.trail.places import add_head, newest_head, read_heads

pytestmark = pytest.mark.serve

PUBLIC = public_key(KEY)


def head(seq: int, key: bytes = KEY) -> Head:
    return sign(Mark(seq, f"{seq:064x}"), FIRST + timedelta(hours=seq), signing_key(key))


@pytest.fixture(params=["file", "url of a file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    places = {
        "file": f"{tmp_path}/new/heads.jsonl",
        "url of a file": f"file://{tmp_path}/heads.jsonl",
        "memory": f"memory://{tmp_path.name}/heads",
    }
    if request.param in places:
        yield places[request.param]
        return
    with bucket(tmp_path) as address:
        yield address


def test_a_signature_is_checked_with_the_public_key_alone() -> None:
    made = sign(mark_of(chain(3)[2]), FIRST, signing_key(KEY))
    message = encoded("insula-trail-head-1", (3, made.digest, "2026-03-01T08:00:00.000000Z"))
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(PUBLIC)).verify(bytes.fromhex(made.signature), message)
    assert genuine(made, PUBLIC)
    assert not genuine(made, public_key(OTHER))
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        genuine(made, "abc")


def test_a_head_with_any_byte_changed_is_no_head_of_ours() -> None:
    line = written(head(12345))
    assert read(line) == head(12345)
    for i in range(len(line) - 1):
        for bit in range(8):
            changed = line[:i] + bytes([line[i] ^ (1 << bit)]) + line[i + 1 :]
            found = read(changed)
            assert found is None or not genuine(found, PUBLIC) or found == head(12345), changed


@pytest.mark.parametrize("line", [b"", b"\n", b"{}", b"[]", b"1", b"\xff", b'{"seq":"1"}', b"[" * 5000])
def test_what_is_no_head_is_none(line: bytes) -> None:
    assert read(line) is None


@pytest.mark.parametrize(
    ("seq", "minutes", "expected"),
    [(5, 600, False), (6, 59, False), (6, 60, True), (1004, 0, False), (1005, 0, True), (4, 0, True), (6, -1, True)],
)
def test_a_head_is_due_by_entries_by_time_and_when_the_trail_shrank(seq: int, minutes: int, expected: bool) -> None:
    last = head(5)
    assert due(last, seq, FIRST + timedelta(hours=5, minutes=minutes)) is expected


def test_the_first_head_is_due_at_the_first_entry() -> None:
    assert due(None, 1, FIRST)
    assert not due(None, 0, FIRST)


def test_kept_heads_come_back(place: str) -> None:
    assert newest_head(place, PUBLIC) is None
    assert read_heads(place, PUBLIC).count == 0
    for seq in (1, 9, 30, 11):  # two who keep heads may overtake one another
        add_head(place, head(seq))
    assert newest_head(place, PUBLIC) == head(30)
    found = read_heads(place, PUBLIC)
    assert (found.count, found.spoilt) == (4, 0)
    assert found.signed == {seq: frozenset({f"{seq:064x}"}) for seq in (1, 9, 30, 11)}
    assert read_heads(place, public_key(OTHER)).spoilt == 4
    with pytest.raises(TrailError, match="head of entry 30"):
        newest_head(place, public_key(OTHER))


def test_two_heads_of_one_entry_are_both_kept(place: str) -> None:
    other = sign(Mark(1, "f" * 64), FIRST, signing_key(KEY))
    for each in (head(1), other, head(1)):
        add_head(place, each)
    assert read_heads(place, PUBLIC).signed == {1: frozenset({head(1).digest, other.digest})}


def test_a_line_that_was_not_finished_spoils_no_other(tmp_path: Path) -> None:
    place = tmp_path / "heads.jsonl"
    place.write_bytes(written(head(1)) + written(head(2))[:100])
    add_head(str(place), head(3))
    assert place.read_bytes().startswith(written(head(1)) + written(head(2))[:100] + b"\n")
    found = read_heads(str(place), PUBLIC)
    assert (set(found.signed), found.spoilt) == ({1, 3}, 1)
    assert newest_head(str(place), PUBLIC) == head(3)


def test_the_newest_of_a_long_file_is_found_at_its_end(tmp_path: Path) -> None:
    place = tmp_path / "heads.jsonl"
    place.write_bytes(b"".join(written(replace(head(1), seq=seq)) for seq in range(1, 400)) + written(head(400)))
    assert place.stat().st_size > 1 << 16
    assert newest_head(str(place), PUBLIC) == head(400)


def test_a_line_without_end_is_not_read_whole(tmp_path: Path) -> None:
    place = tmp_path / "heads.jsonl"
    place.write_bytes(written(head(1)) + b"x" * 10_000)
    assert read_heads(str(place), PUBLIC).spoilt == 5  # pieces of 2000 bytes


def test_a_file_on_the_disk_is_synchronised_before_the_head_counts(tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[bytes] = []
    place = tmp_path / "heads.jsonl"
    monkeypatch.setattr("insula.serve.trail.places.os.fsync", lambda _: seen.append(place.read_bytes()))
    add_head(str(place), head(1))
    add_head(str(place), head(2))
    assert seen == [written(head(1))] * 2 + [written(head(1)) + written(head(2))]  # the first time the folder as well


def test_many_at_once_write_whole_lines(tmp_path: Path) -> None:
    place = str(tmp_path / "heads.jsonl")
    threads = [threading.Thread(target=add_head, args=(place, head(seq))) for seq in range(1, 41)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_heads(place, PUBLIC).count == 40


def test_foreign_files_in_a_store_are_seen_and_do_not_hide_the_newest(tmp_path: Path) -> None:
    from fsspec import filesystem

    place = f"memory://{tmp_path.name}/foreign"
    add_head(place, head(7))
    filesystem("memory").pipe_file(f"/{tmp_path.name}/foreign/zzz.json", json.dumps({"seq": 1}).encode())
    assert newest_head(place, PUBLIC) == head(7)
    assert read_heads(place, PUBLIC).spoilt == 1


def test_a_store_of_an_unknown_kind_is_told_without_its_address() -> None:
    with pytest.raises((TrailError, MissingPartError)) as error:
        read_heads("nosuch://user:secret@host/heads", PUBLIC)
    assert "nosuch://" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_no_half_of_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    place = tmp_path / "heads.jsonl"
    add_head(str(place), head(1))
    before = place.read_bytes()

    class Full(io.FileIO):
        """Takes ten bytes, and then no more."""

        taken = 0

        def write(self, data: Any) -> int:
            if self.taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.taken = super().write(bytes(data)[:10])
            return self.taken

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if call == "write":
            patched.setattr(Path, "open", lambda path, *_, **__: Full(path, "a+"))
        else:
            patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            add_head(str(place), head(2))
    assert place.read_bytes() == before
    add_head(str(place), head(2))
    found = read_heads(str(place), PUBLIC)
    assert (found.count, found.spoilt) == (2, 0)
