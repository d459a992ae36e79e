"""Backups made while others write and erase, killed in their middle, and restored: every hash is as it was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, select
from tests.faults.made_writers import KEY, write
from tests.faults.tally import Tally, sizes
from tests.postgresql import server
from tests.serve.store import made_old
from tests.serve.store.made_rows import rows

from insula.serve.people import projects
from insula.serve.store import backup, schema, sound
from insula.serve.store.backup_kept import LIST, hash_of, place_of
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.files import Files, open_files
from insula.serve.store.migrate import upgrade
from insula.serve.store.restore import restore
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve
ROOT = Path(__file__).parents[2]


@contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """An empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/insula.db"
        return
    with server() as address:
        yield address


@contextmanager
def writers(address: str, folder: Path, project: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that write and erase studies as long as the block runs."""
    command = [sys.executable, "-m", "tests.faults.made_writers", address, str(folder / "files"), project]
    running: list[subprocess.Popen[str]] = []
    try:
        for seed in range(count):
            log = (folder / f"writer-{seed}").open("w")
            running.append(subprocess.Popen([*command, str(seed)], cwd=ROOT, stdout=log, text=True))
            log.close()
        yield running
        assert all(one.poll() is None for one in running), "a writer ended by itself"
    finally:
        for one in running:
            one.kill()
            one.wait()


def filled(address: str, folder: Path, studies: int) -> tuple[Engine, Files, str]:
    """Records with some studies."""
    engine, files = connect(address), open_files(str(folder / "files"))
    upgrade(engine)
    with writing(engine) as connection:
        project = projects.create(connection, "Inside", schema.now()).id
    for number in range(studies):
        write(engine, files, project, number, random.Random(1000 + number))
    return engine, files, project


FULL = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("kind", "count", "studies"),
    [
        pytest.param("sqlite", 1, 5, id="short"),
        pytest.param("sqlite", 15, 200, id="full", marks=FULL),
        pytest.param("postgresql", 10, 200, id="postgresql", marks=FULL),
    ],
)
def test_under_load(tmp_path: Path, tally: Tally, kind: str, count: int, studies: int) -> None:
    """Each backup is of one moment: its rows, its files and its trail fit together, and come back as they are."""
    lost = failed = size = 0
    took, again = [], []
    with address_of(kind, tmp_path) as address, ExitStack() as stack:
        engine, files, project = filled(address, tmp_path, studies)
        running = stack.enter_context(writers(address, tmp_path, project, 2 if count > 1 else 1))
        seen = _acknowledged(tmp_path, len(running))
        while count > 1 and len(seen) < 5:
            time.sleep(0.02)
            seen = _acknowledged(tmp_path, len(running))
        made = []
        for number in range(count):
            before = _acknowledged(tmp_path, len(running)) - _erased(tmp_path, len(running))
            out, at = tmp_path / f"backup-{number}", time.perf_counter()
            found = backup.make(engine, files, out, KEY)
            took.append(time.perf_counter() - at)
            gone = _erased(tmp_path, len(running))
            failed += len(found.lacking)
            made.append((out, before - gone))
            size = found.size
        stack.close()
        engine.dispose()
        for number, (out, wanted) in enumerate(made):
            with _anew(kind, address, tmp_path / f"new-{number}") as (new, place):
                at = time.perf_counter()
                done = restore(new, place, out, KEY, "local:test")
                again.append(time.perf_counter() - at)
                with reading(new) as connection:
                    there = set(connection.scalars(select(schema.studies.c.id)))
                lost += len(wanted - there)
                whole = {one.sha256: one.size for one in place.all()}
                failed += whole != dict(done.backup.files) or bool(sound.look(new, place).faults)
                failed += not verify(new, KEY).holds
    tally.tried(
        f"backups of {kind} made while 2 processes write and erase, each restored and compared",
        count,
        lost=lost,
        failed=failed,
        figures={
            "backup, median s": sorted(took)[count // 2],
            "restore, median s": sorted(again)[count // 2],
            "files, MB": size / 1e6,
        },
    )


@sizes("count", 1, 40)
def test_killed_in_the_middle(tmp_path: Path, tally: Tally, count: int) -> None:
    """A backup or restore that is killed leaves none that is taken for whole, and can be done again."""
    g, leaked, failed, lost = random.Random(4), 0, 0, 0
    engine, files, _ = filled(f"sqlite:///{tmp_path}/insula.db", tmp_path, studies := 300 if count > 2 else 20)
    before = rows(engine)
    source = tmp_path / "whole"
    backup.make(engine, files, source, KEY)
    unfinished = 0
    for number in range(count):
        out = tmp_path / f"out-{number}"
        verb = ("restore", "backup")[number % 2]
        home = out if verb == "restore" else tmp_path
        words = ["backup", "--out", str(out / "backup")] if verb == "backup" else ["restore", str(source)]
        out.mkdir()
        ended = _killed(["records", *words], home, out, 1 + int(g.random() * 0.9 * studies), verb)
        unfinished += not ended
        if verb == "backup" and not ended and (out / "backup" / LIST).exists():
            new = connect(f"sqlite:///{out}/checked.db")  # it was killed after its end: it has to be whole
            restore(new, open_files(str(out / "checked")), out / "backup", KEY, "local:test")
            new.dispose()
        if verb == "restore":
            new, place = connect(f"sqlite:///{out}/insula.db"), open_files(str(out / "files"))
            with reading(new) as connection:
                tables = MetaData()
                tables.reflect(connection)
            if not tables.tables:
                restore(new, place, source, KEY, "local:test")
            after = rows(new)
            leaked += len(after["trail"]) > len(before["trail"]) + 2
            lost += {**after, "trail": 0} != {**before, "trail": 0}
            failed += bool(sound.look(new, place).faults) or not verify(new, KEY).holds
            new.dispose()
    after = rows(engine)
    lost += {**after, "trail": 0} != {**before, "trail": 0}
    engine.dispose()
    tally.tried(
        "backups and restores killed in their middle, and done again",
        count,
        lost=lost,
        leaked=leaked,
        failed=failed,
        figures={"of which had not ended": float(unfinished)},
    )


@sizes("count", 10, 1000)
def test_any_byte_changed(tmp_path: Path, tally: Tally, count: int) -> None:
    """A backup of which one byte was changed, added or cut off anywhere makes no records."""
    g, failed = random.Random(5), 0
    engine, files, _ = filled(f"sqlite:///{tmp_path}/insula.db", tmp_path, 4)
    out = tmp_path / "backup"
    backup.make(engine, files, out, KEY)
    engine.dispose()
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    new = connect(f"sqlite:///{tmp_path}/new.db")
    place = open_files(str(tmp_path / "new"))
    for number in range(count):
        path = paths[number % len(paths)]
        whole = path.read_bytes()
        at = g.randrange(len(whole))
        bit = bytes([whole[at] ^ (1 << g.randrange(8))])
        other = g.choice((whole[:at] + bit + whole[at + 1 :], whole[:at], whole + bit, whole[:at] + whole[at + 1 :]))
        path.write_bytes(other)
        same = path.name == LIST and _means(other) == _means(whole)  # a blank more or less between two words
        try:
            restore(new, place, out, KEY, "local:test")
            failed += not same
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be one of ours
            failed += not hasattr(error, "exit_code")
        path.write_bytes(whole)
        if not sound_and_empty(new):
            made_old.empty(new)
    new.dispose()
    tally.tried("backups with a byte changed, added or cut off", count, failed=failed)


def sound_and_empty(engine: Engine) -> bool:
    there = MetaData()
    there.reflect(engine)
    return not there.tables


def _means(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _killed(words: list[str], home: Path, out: Path, wanted: int, verb: str) -> bool:
    """Kill a verb when it has copied so many files; whether it had ended before."""
    env = os.environ | {
        "INSULA_DATABASE": f"sqlite:///{home}/insula.db",
        "INSULA_FILES": str(home / "files"),
        "INSULA_TRAIL_KEY": KEY.decode(),
        "OMP_NUM_THREADS": "1",
    }
    watched = out / ("backup/files" if verb == "backup" else "files")
    with subprocess.Popen(
        [sys.executable, "-m", "insula", *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        while child.poll() is None:
            if sum(1 for _ in watched.glob("[0-9a-f][0-9a-f]/*")) >= wanted:
                break
            time.sleep(0.002)
        ended = child.poll() is not None
        child.send_signal(signal.SIGKILL)
        child.communicate()
    return ended


@contextmanager
def _anew(kind: str, address: str, folder: Path) -> Iterator[tuple[Engine, Files]]:
    folder.mkdir()
    engine = connect(f"sqlite:///{folder}/insula.db" if kind == "sqlite" else address)
    if kind != "sqlite":
        made_old.empty(engine)
    yield engine, open_files(str(folder / "files"))
    engine.dispose()


def _acknowledged(folder: Path, count: int) -> set[str]:
    return {line[1:] for line in _lines(folder, count) if line.startswith("+")}


def _erased(folder: Path, count: int) -> set[str]:
    return {line[1:] for line in _lines(folder, count) if line.startswith(("?", "-"))}


def _lines(folder: Path, count: int) -> list[str]:
    texts = [(folder / f"writer-{seed}").read_text() for seed in range(count)]
    return [line for one in texts for line in one.splitlines(keepends=False) if len(line) == 33]


def test_files_lie_under_their_hashes(tmp_path: Path) -> None:
    engine, files, _ = filled(f"sqlite:///{tmp_path}/insula.db", tmp_path, 2)
    found = backup.make(engine, files, tmp_path / "backup", KEY)
    assert {name: hash_of(place_of(tmp_path / "backup", name))[0] for name in found.files} == {
        name: name for name in found.files
    }
    engine.dispose()
