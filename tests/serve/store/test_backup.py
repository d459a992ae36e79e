"""Backups: what they hold, that they are verified byte for byte, and that nothing is written over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, insert, select, text
from tests.serve.store import made_old
from tests.serve.store.made_records import files_at, predicted, project, put, study
from tests.serve.store.made_rows import rows

from insula.core.errors import InsulaError, TrailError, UsageError
from insula.serve.store import backup, schema, studies
from insula.serve.store.backup_kept import COPIES, LIST, hash_of, place_of
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.copied import is_empty, put_back
from insula.serve.store.errors import RecordsError
from insula.serve.store.files import Files, Stored
from insula.serve.store.migrate import upgrade
from insula.serve.store.restore import restore
from insula.serve.trail.append import append
from insula.serve.trail.entries import Mark
from insula.serve.trail.heads import sign
from insula.serve.trail.keep import keep_head
from insula.serve.trail.keys import signing_key
from insula.serve.trail.places import add_head

pytestmark = pytest.mark.serve
KEY = b"k" * 40


@dataclass(frozen=True)
class Kept:
    """Records with a study, its file, and a file that only a job names."""

    engine: Engine
    files: Files
    folder: Path
    scan: str


@pytest.fixture
def kept(records_address: str, tmp_path: Path) -> Iterator[Kept]:
    engine, files = connect(records_address), files_at(tmp_path)
    made_old.empty(engine)
    upgrade(engine)
    with writing(engine) as connection:
        one = study(connection, project(connection, "Ulus"))
        scan = put(files, b"scan")
        studies.add_files(connection, files, one, "ct", [("a", scan)])
        predicted(connection, one)
        result = {"table": put(files, b"of a job").sha256, "bundle": "a" * 64}
        connection.execute(insert(schema.jobs).values(id="j", kind="export", result=result))
        for number in range(3):
            append(connection, KEY, actor="ada", action="study.read", subject=str(number))
    yield Kept(engine, files, tmp_path, scan.sha256)
    made_old.empty(engine)
    engine.dispose()


def anew(kept: Kept, folder: Path) -> tuple[Engine, Files]:
    """Where a backup may be restored to: an empty database of the same kind, and no files."""
    folder.mkdir()
    if kept.engine.dialect.name == "sqlite":
        return connect(f"sqlite:///{folder}/insula.db"), files_at(folder)
    made_old.empty(kept.engine)
    return kept.engine, files_at(folder)


def made(kept: Kept) -> Path:
    out = kept.folder / "backup"
    backup.make(kept.engine, kept.files, out, KEY)
    return out


def test_everything_comes_back_and_the_trail_tells(kept: Kept, tmp_path: Path) -> None:
    before, out = rows(kept.engine), made(kept)
    engine, files = anew(kept, tmp_path / "new")
    done = restore(engine, files, out, KEY, "local:ada")
    after = rows(engine)
    told = after["trail"].pop()
    assert after == before
    assert told[3] == "records.restore"
    assert {one.sha256 for one in files.all()} == {one.sha256 for one in kept.files.all()}
    assert files.get(kept.scan) == b"scan"
    assert (done.backup.entries, done.backup.lacking, sum(done.backup.rows.values())) == (
        3,
        (),
        sum(map(len, before.values())) - 1,  # but for the number of the migration
    )
    with writing(engine) as connection:  # what is counted up goes on
        study(connection, project(connection, "Bebek"), key="P2")
    engine.dispose()


def test_nothing_is_written_over(kept: Kept, tmp_path: Path) -> None:
    out = made(kept)
    with pytest.raises(UsageError, match="exists already"):
        backup.make(kept.engine, kept.files, out, KEY)
    before = rows(kept.engine)
    with pytest.raises(UsageError, match="has tables already"):
        restore(kept.engine, kept.files, out, KEY, "local:ada")
    assert rows(kept.engine) == before


def test_any_changed_or_missing_part_is_named_and_no_table_is_made(kept: Kept, tmp_path: Path) -> None:
    out = made(kept)
    engine, files = anew(kept, tmp_path / "new")

    def refused(match: str) -> None:
        with pytest.raises(RecordsError, match=match):
            restore(engine, files, out, KEY, "local:ada")
        with reading(engine) as connection:
            there = MetaData()
            there.reflect(connection)
            assert not there.tables

    for path in (place_of(out, kept.scan), next(out.glob("records.*"))):
        whole = path.read_bytes()
        for other in (whole[:-1], whole + b"\0", bytes([whole[0] ^ 1]) + whole[1:]):
            path.write_bytes(other)
            refused("is not as it was")
        path.write_bytes(whole)
    place_of(out, kept.scan).rename(out / "aside")
    refused("has no file")
    (out / "aside").rename(place_of(out, kept.scan))
    tables = out / COPIES[kept.engine.dialect.name]
    tables.rename(out / "aside")
    refused("is not as it was")
    (out / "aside").rename(tables)
    content = json.loads((out / LIST).read_text())
    for name, value in (("entries", 2), ("files", {}), ("mac", "0" * 64), ("lacking", ["a"])):
        (out / LIST).write_text(json.dumps(content | {name: value}))
        refused("does not hold under")
    (out / LIST).write_text("{")
    refused("cannot be read")
    (out / LIST).unlink()
    refused("broken off")
    (out / LIST).write_text(json.dumps(content))
    with pytest.raises(RecordsError, match="does not hold under"):
        restore(engine, files, out, b"o" * 40, "local:ada")
    restore(engine, files, out, KEY, "local:ada")
    engine.dispose()


def test_a_refused_restore_takes_away_what_it_put_and_nothing_that_was_there(kept: Kept, tmp_path: Path) -> None:
    more = [put(kept.files, f"scan {number}".encode()).sha256 for number in range(8)]
    with writing(kept.engine) as connection:
        one = study(connection, project(connection, "Moda"), key="P9")
        studies.add_files(connection, kept.files, one, "ct", [("b", Stored(name, 6)) for name in more])
    out = made(kept)
    last = max(more)
    whole = place_of(out, last).read_bytes()
    place_of(out, last).write_bytes(b"S" + whole[1:])
    engine, files = anew(kept, tmp_path / "new")
    before = {put(files, b"of somebody else").sha256, put(files, place_of(out, min(more)).read_bytes()).sha256}
    folders = set((tmp_path / "new" / "files").iterdir())
    with pytest.raises(RecordsError, match=r"is not as it was .* Nothing was restored, and nothing of it is left\.$"):
        restore(engine, files, out, KEY, "local:ada")
    assert {one.sha256 for one in files.all()} == before
    assert set((tmp_path / "new" / "files").iterdir()) == folders
    place_of(out, last).write_bytes(whole)
    restore(engine, files, out, KEY, "local:ada")
    assert files.get(last) == whole
    engine.dispose()


def test_what_somebody_else_put_while_a_restore_ran_stays(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = made(kept)
    engine, files = anew(kept, tmp_path / "new")

    def refused(*_: object) -> None:
        time.sleep(0.02)
        put(files, b"scan")
        raise RecordsError("refused.")

    monkeypatch.setattr("insula.serve.store.restore.put_back", refused)
    with pytest.raises(RecordsError, match="refused"):
        restore(engine, files, out, KEY, "local:ada")
    assert {one.sha256 for one in files.all()} == {kept.scan}
    engine.dispose()


def test_files_that_are_missing_or_changed_are_listed_and_the_rest_is_backed_up(kept: Kept, tmp_path: Path) -> None:
    place = kept.folder / "files" / kept.scan[:2] / kept.scan
    place.write_bytes(b"other bytes")
    found = backup.make(kept.engine, kept.files, kept.folder / "changed", KEY)
    assert found.lacking == (kept.scan,)
    place.unlink()
    found = backup.make(kept.engine, kept.files, kept.folder / "missing", KEY)
    assert (found.lacking, len(found.files)) == ((kept.scan,), 1)
    engine, files = anew(kept, tmp_path / "new")
    assert restore(engine, files, kept.folder / "missing", KEY, "local:ada").backup.lacking == (kept.scan,)
    engine.dispose()


def test_a_file_that_is_erased_while_the_backup_is_made_is_in_neither(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Files.fetch

    def erased(self: Files, sha256: str, target: Path) -> None:
        if sha256 == kept.scan:
            with writing(kept.engine) as connection:
                connection.execute(schema.files.delete())
            self.delete(sha256)
        fetch(self, sha256, target)

    monkeypatch.setattr(Files, "fetch", erased)
    out = kept.folder / "backup"
    found = backup.make(kept.engine, kept.files, out, KEY)
    assert (found.lacking, found.rows["files"], len(found.files)) == ((), 0, 1)
    assert not place_of(out, kept.scan).exists()


def test_a_damaged_database_and_a_broken_trail_are_not_backed_up(kept: Kept) -> None:
    with writing(kept.engine) as connection:
        connection.execute(text("UPDATE trail SET actor = 'eve' WHERE seq = 2"))
    out = kept.folder / "backup"
    with pytest.raises(TrailError, match="entry 2 is not as it was written"):
        backup.make(kept.engine, kept.files, out, KEY)
    assert not out.exists()


def test_a_restored_trail_is_held_against_the_heads(kept: Kept, tmp_path: Path) -> None:
    heads = str(tmp_path / "heads.jsonl")
    keep_head(kept.engine, KEY, heads)
    out = made(kept)
    with writing(kept.engine) as connection:
        append(connection, KEY, actor="ada", action="study.read")
    keep_head(kept.engine, KEY, heads)
    engine, files = anew(kept, tmp_path / "new")
    done = restore(engine, files, out, KEY, "local:ada", heads)
    assert (done.heads, done.later) == (1, 4)
    engine.dispose()


def test_tables_that_do_not_hold_never_come_to_their_place(kept: Kept, tmp_path: Path) -> None:
    heads, out = str(tmp_path / "heads.jsonl"), made(kept)
    add_head(heads, sign(Mark(3, "0" * 64), datetime.now(UTC), signing_key(KEY)))  # of another trail with this key
    engine, files = anew(kept, tmp_path / "new")
    with pytest.raises(TrailError, match="Nothing was restored"):
        restore(engine, files, out, KEY, "local:ada", heads)
    assert is_empty(engine)
    assert not list((tmp_path / "new").glob("*.restored*"))
    restore(engine, files, out, KEY, "local:ada")
    engine.dispose()


def test_the_list_of_a_backup_is_for_its_owner_alone(kept: Kept) -> None:
    assert (made(kept) / LIST).stat().st_mode & 0o777 == 0o600


def test_another_kind_of_database_or_a_newer_one_is_refused(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = made(kept)
    other = connect(f"sqlite:///{tmp_path}/other.db")
    if kept.engine.dialect.name != "sqlite":
        with pytest.raises(UsageError, match="of postgresql"):
            restore(other, kept.files, out, KEY, "local:ada")
    monkeypatch.setattr("insula.serve.store.migrate.knows", lambda _: False)
    with pytest.raises(InsulaError):
        restore(other, kept.files, out, KEY, "local:ada")
    other.dispose()


def test_old_records_are_backed_up_before_they_are_upgraded(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/old.db")
    made_old.make(engine)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM trail"))
        connection.execute(text("DELETE FROM files"))
        connection.execute(text("DELETE FROM artefacts"))
    before = rows(engine)
    found = backup.make(engine, files_at(tmp_path), tmp_path / "backup", KEY)
    assert found.migration == "0001"
    new = connect(f"sqlite:///{tmp_path}/new.db")
    restore(new, files_at(tmp_path), tmp_path / "backup", KEY, "local:ada")
    after = rows(new)
    assert [len(after.pop("trail")), before.pop("trail")] == [1, []]
    assert after == before
    upgrade(new)
    for one in (engine, new):
        one.dispose()


def test_a_restore_that_fails_leaves_no_copy_of_the_tables_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, modes = connect(f"sqlite:///{tmp_path}/insula.db"), []
    upgrade(engine)
    backup.make(engine, files_at(tmp_path), tmp_path / "backup", KEY)
    copyfile = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        copyfile(source, target)
        modes.append(target.stat().st_mode & 0o777)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(shutil, "copyfile", full)
    new = connect(f"sqlite:///{tmp_path}/new.db")
    (tmp_path / "new.db.restored").write_bytes(b"of a restore that was killed")
    with pytest.raises(OSError, match="no space"):
        restore(new, files_at(tmp_path), tmp_path / "backup", KEY, "local:ada")
    assert (modes, (tmp_path / "new.db.restored").exists()) == ([0o600], False)
    monkeypatch.undo()
    restore(new, files_at(tmp_path), tmp_path / "backup", KEY, "local:ada")
    for one in (engine, new):
        one.dispose()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    engine, out = connect(f"sqlite:///{tmp_path}/insula.db"), tmp_path / "before the move? 50%"
    upgrade(engine)
    assert backup.make(engine, files_at(tmp_path), out, KEY).rows["trail"] == 0
    assert sorted(path.name for path in out.iterdir()) == [LIST, "files", "records.sqlite"]
    engine.dispose()


def test_postgresqls_programs_get_no_password_as_an_argument_and_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_restore"
    program.write_text(
        f'#!/bin/sh\necho "$@ $PGPASSWORD" > {tmp_path}/asked\n'
        "printf 'pg_restore: error: COPY failed\\nCONTEXT:  COPY patients, line 1: \"Ada Lovelace\"\\n' >&2\nexit 1\n"
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for address in ("postgresql://me:secret@127.0.0.1/x", "postgresql://me@127.0.0.1/x?password=secret"):
        engine = connect(address)
        with pytest.raises(RecordsError) as caught:
            put_back(engine, tmp_path / "records.pgdump", lambda _: None)
        assert str(caught.value) == "pg_restore failed: COPY failed"
        arguments, _, password = (tmp_path / "asked").read_text().strip().rpartition(" ")
        assert (password, "secret" in arguments) == ("secret", False)
        engine.dispose()


def test_the_copy_is_one_sound_file_for_its_owner_alone(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/insula.db")
    upgrade(engine)
    out = tmp_path / "backup"
    found = backup.make(engine, files_at(tmp_path), out, KEY)
    assert sorted(path.name for path in out.iterdir()) == [LIST, "files", "records.sqlite"]
    assert hash_of(out / "records.sqlite")[0] == found.records
    assert {(out / name).stat().st_mode & 0o77 for name in ("files", "records.sqlite", ".")} == {0}
    with sqlite3.connect(out / "records.sqlite") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    with reading(engine) as connection:
        assert connection.execute(select(schema.trail)).all() == []
    engine.dispose()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_backup_on_a_failing_disk_leaves_nothing_and_is_made_again(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Wherever the disk fails: no folder is left that could be taken for a backup, or that forbids the next one."""
    out, real, calls = tmp_path / "backup", os.fsync, [0]

    def fails_at(nth: int) -> None:
        def fsync(descriptor: int) -> None:
            calls[0] += 1
            if calls[0] == nth:
                raise OSError(error, os.strerror(error))
            real(descriptor)

        calls[0] = 0
        monkeypatch.setattr(os, "fsync", fsync)

    fails_at(0)
    backup.make(kept.engine, kept.files, tmp_path / "whole", KEY)
    count = calls[0]
    assert count >= 4, "the tables, two files and the list are flushed to the disk"
    for nth in range(1, count + 1):
        fails_at(nth)
        with pytest.raises(OSError, match=os.strerror(error)):
            backup.make(kept.engine, kept.files, out, KEY)
        assert not out.exists(), f"call {nth} of {count}"
    made = backup.make(kept.engine, kept.files, out, KEY)
    assert kept.scan in made.files
    assert (out / LIST).is_file()
