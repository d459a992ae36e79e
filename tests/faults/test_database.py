"""SQLite that is locked, killed in the middle of writing, cut short or damaged: nothing torn, and damage is named."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from tests.faults.made_writers import KEY
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import service
from tests.serve.client import dicom

from insula.core.errors import InsulaError
from insula.serve import trouble
from insula.serve.people import projects
from insula.serve.store import schema, sound, studies
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.files import open_files
from insula.serve.store.migrate import upgrade
from insula.serve.trail.keep import keep_head
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve
ROOT = Path(__file__).parents[2]
PAGE = 4096


@dataclass(frozen=True)
class Kept:
    """Records, what was acknowledged of them, and what may be there or not."""

    folder: Path
    acknowledged: set[str]
    maybe: set[str]

    @property
    def place(self) -> Path:
        return self.folder / "insula.db"

    def engine(self) -> Engine:
        return connect(f"sqlite:///{self.place}")


def written(folder: Path, seed: int, least: int) -> Kept:
    """Records that a process wrote, and in the middle of which it was killed."""
    folder.mkdir()
    engine = connect(f"sqlite:///{folder}/insula.db")
    upgrade(engine)
    with writing(engine) as connection:
        project = projects.create(connection, "Inside", schema.now()).id
    engine.dispose()
    module = ["-m", "tests.faults.made_writers", f"sqlite:///{folder}/insula.db", str(folder / "files")]
    acknowledged: set[str] = set()
    maybe: set[str] = set()
    with subprocess.Popen(
        [sys.executable, *module, project, str(seed)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            name = line[1:].strip()
            if line[0] != "-":
                (acknowledged if line[0] == "+" else maybe).add(name)
            if number == least:
                child.send_signal(signal.SIGKILL)  # the lines that it wrote meanwhile still come
    return Kept(folder, acknowledged, maybe)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Records whose writer was killed, with its log beside them; to be copied, not opened."""
    return written(tmp_path_factory.mktemp("killed") / "made", 2, 50)


def there(engine: Engine) -> Counter[str]:
    with reading(engine) as connection:
        return Counter(connection.scalars(select(schema.studies.c.id)))


@sizes("count", 1, 50)
def test_a_writer_that_is_killed(tmp_path: Path, tally: Tally, count: int) -> None:
    """Each acknowledged study is there once, with its file and its entry; what was not is there whole or not at all."""
    g = random.Random(1)
    lost = doubled = failed = acknowledged = 0
    for number in range(count):
        kept = written(tmp_path / str(number), number, g.randint(3, 60))
        engine = kept.engine()
        found = there(engine)
        lost += len(kept.acknowledged - kept.maybe - found.keys())
        doubled += found.total() - len(found)
        with reading(engine) as connection:
            entries = Counter(
                connection.scalars(select(schema.trail.c.subject).where(schema.trail.c.action == "study.create"))
            )
            named = Counter(connection.scalars(select(schema.files.c.study_id)))
        failed += sum(entries[name] != 1 or named[name] != 1 for name in found)
        seen = sound.look(engine, open_files(str(kept.folder / "files")))
        failed += len(seen.faults) + (not verify(engine, KEY).holds)
        acknowledged += len(kept.acknowledged)
        engine.dispose()
        shutil.rmtree(kept.folder)
    tally.tried(
        "a process that writes studies killed at random moments",
        count,
        lost=lost,
        doubled=doubled,
        failed=failed,
        figures={"studies acknowledged": float(acknowledged)},
    )


@sizes("count", 4, 1000)
def test_a_log_that_is_cut_or_damaged(tmp_path: Path, killed: Kept, tally: Tally, count: int) -> None:
    """SQLite's log loses its end: whole transactions may be lost, none is torn, and the head of the trail tells."""
    g, failed, shorter = random.Random(2), 0, 0
    heads = str(tmp_path / "heads.jsonl")
    for name in ("insula.db", "insula.db-wal"):
        shutil.copy(killed.folder / name, tmp_path / name)
    whole = (tmp_path / "insula.db-wal").read_bytes()
    (tmp_path / "read").mkdir()
    shutil.copytree(killed.folder, tmp_path / "read", dirs_exist_ok=True)
    engine = Kept(tmp_path / "read", set(), set()).engine()
    keep_head(engine, KEY, heads)
    before = verify(engine, KEY, heads).entries
    engine.dispose()
    place = tmp_path / "tried" / "insula.db"
    for _ in range(count):
        shutil.rmtree(place.parent, ignore_errors=True)
        place.parent.mkdir()
        shutil.copy(tmp_path / "insula.db", place)
        cut = bytearray(whole[: g.randrange(len(whole))] if g.random() < 0.5 else whole)
        if cut and g.random() < 0.6:
            cut[g.randrange(len(cut))] ^= 1 << g.randrange(8)
        place.with_name("insula.db-wal").write_bytes(cut)
        engine = connect(f"sqlite:///{place}")
        try:
            with reading(engine) as connection:
                faults = sound.damage(connection)
                names = set(connection.scalars(select(schema.studies.c.id)))
                named = Counter(connection.scalars(select(schema.files.c.study_id)))
            verdict = verify(engine, KEY, heads)
            failed += bool(faults) or any(named[name] != 1 for name in names)
            shorter += verdict.entries < before
            failed += verdict.entries < before and verdict.holds
        except SQLAlchemyError as error:
            failed += trouble.of(error) is None and "no such table" not in str(error)
        engine.dispose()
    tally.tried(
        "SQLite's log cut short or with a bit changed",
        count,
        failed=failed,
        figures={"entries lost, and told by the head": float(shorter)},
    )


def damaged(kept: Kept, place: Path, how: str, g: random.Random) -> None:
    """A copy of the records with one page, sector or bit that is not as it was."""
    shutil.copy(kept.place, place)
    pages = place.stat().st_size // PAGE
    with place.open("r+b") as file:
        size = {"page": PAGE, "sector": 512, "bit": 1}[how]
        at = g.randrange(1, pages) * PAGE + (g.randrange(PAGE // size) * size)
        file.seek(at)
        had = file.read(size)
        file.seek(at)
        other = bytes([had[0] ^ (1 << g.randrange(8))]) if how == "bit" else g.choice((b"\0" * size, g.randbytes(size)))
        file.write(other)


@sizes("count", 3, 400)
def test_damage_is_named(tmp_path: Path, killed: Kept, tally: Tally, count: int) -> None:
    """A page, sector or bit that the disk gives back wrongly: what `records check --whole` and the trail say of it."""
    kept = Kept(tmp_path / "made", set(), set())
    shutil.copytree(killed.folder, kept.folder)
    plain = sqlite3.connect(kept.place)
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    plain.close()
    engine = kept.engine()
    files, rows = open_files(str(kept.folder / "files")), _rows(kept.place)
    assert sound.look(engine, files).faults == ()
    engine.dispose()
    wrong = 0
    for how in ("page", "sector", "bit"):
        g, named, same, taken = random.Random(how), 0, 0, 0
        for number in range(count):
            place = tmp_path / f"{how}-{number}.db"
            damaged(kept, place, how, g)
            one = connect(f"sqlite:///{place}")
            told = bool(sound.look(one, files).faults)
            try:
                told = told or not verify(one, KEY).holds
                with reading(one) as connection:
                    studies.page(connection, None)
            except (SQLAlchemyError, InsulaError) as error:
                told = True
                wrong += isinstance(error, SQLAlchemyError) and trouble.of(error) is None
            one.dispose()
            unchanged = not told and _rows(place) == rows
            named, same, taken = named + told, same + unchanged, taken + (not told and not unchanged)
            for left in tmp_path.glob(f"{place.name}*"):
                left.unlink()
        goal = "none" if how == "page" else "no goal: SQLite keeps no sums of its pages, and a backup is the remedy"
        found = tally.rates(f"damage of one {how} of the database: named (refused), in free room (flagged)", count,
                            refused=named, flagged=same, taken=taken, goal=goal)  # fmt: skip
        assert how != "page" or found.taken == 0, found
    tally.tried("records with one page, sector or bit damaged, asked for studies", 3 * count, failed=wrong)


def _rows(place: Path) -> Any:
    plain = sqlite3.connect(f"file:{place}?mode=ro", uri=True)
    try:
        return {name: plain.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(schema.metadata.tables)}
    finally:
        plain.close()


@sizes("count", 1, 100)
def test_records_that_another_process_has_locked(tmp_path: Path, tally: Tally, count: int) -> None:
    """Uploads and questions meet a lock: 503 with a reason, and the service lives and goes on."""
    failed = 0
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        made.client("reviewer")
        engine = made.service.records

        @event.listens_for(engine, "connect")
        def hurried(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA busy_timeout=5")

        engine.dispose()
        other = sqlite3.connect(tmp_path / "insula.db", isolation_level=None, check_same_thread=False)
        for number in range(count):
            form = {"project": made.inside, "patient": f"P-{number}"}
            sent = [("files", ("1.dcm", dicom(), "application/dicom"))]
            other.execute("BEGIN IMMEDIATE")
            answers = [made.client("reviewer").post("/api/v1/studies", data=form, files=sent)]
            answers += [made.client("reviewer").get("/api/v1/studies")]
            failed += made.fresh().get("/health").status_code != 200
            other.execute("ROLLBACK")
            failed += sum((one.status_code, one.json().get("code")) != (503, "records_busy") for one in answers)
            failed += made.client("reviewer").post("/api/v1/studies", data=form, files=sent).status_code != 201
        other.close()
        listed = made.client("reviewer").get("/api/v1/studies", params={"limit": 100}).json()["items"]
    tally.tried("records locked by another process", count, failed=failed, doubled=len(listed) - count)
