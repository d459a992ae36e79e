"""Migrations that are killed in their middle: the records are of the old release or of the new one, with every row."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.faults.tally import Tally, sizes
from tests.serve.store import made_old

from insula.serve.store import migrate, sound
from insula.serve.store.connect import connect, reading, writing

pytestmark = pytest.mark.serve
RELEASES = ("0001", "0002", "0003")
ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from insula.serve.store import migrate
from insula.serve.store.connect import connect
engine = connect(sys.argv[1])
migrate.check(engine)
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
migrate.upgrade(engine)
"""


def old(folder: Path, release: str, more: int) -> Path:
    """Records of a release with rows in every table, some of them many."""
    place = folder / f"{release}.db"
    engine = connect(f"sqlite:///{place}")
    made_old.make(engine)
    migrate.upgrade(engine, release)
    with writing(engine) as connection:
        for number in range(more):
            study = {"id": f"more-{number}", "at": made_old.AT}
            values = "(:id, :at, 'p1', 'a1', 'CT', 'n', '{}', '{}', 1)"
            names = "(id, created_at, project_id, patient_id, title, note, attributes, facts, version)"
            connection.execute(text(f"INSERT INTO studies {names} VALUES {values}"), study)
    engine.dispose()
    with sqlite3.connect(place) as plain:
        plain.execute("PRAGMA journal_mode=DELETE")
    plain.close()
    return place


def content(place: Path) -> tuple[str, dict[str, list[dict[str, Any]]], tuple[str, ...]]:
    """The release of records, their rows by the columns of the first release, and what is not sound."""
    engine = connect(f"sqlite:///{place}")
    try:
        rows = made_old.content(engine)
        rows["alerts"] = [row | {"closed_at": None} for row in rows["alerts"]]  # 0002 closes one of two open ones
        with reading(engine) as connection:
            return migrate.check(engine).found, rows, tuple(sound.damage(connection))
    finally:
        engine.dispose()


@sizes("count", 2, 60)
def test_a_kill_in_the_middle(tmp_path: Path, tally: Tally, count: int) -> None:
    """Kills at random moments of each release's upgrade; then it is done again, and every row is there."""
    g, full = random.Random(12), count > 10
    lost = failed = undone = 0
    for number in range(count):
        release = RELEASES[number % len(RELEASES)]
        source = tmp_path / f"{release}.db"
        if not source.exists():
            old(tmp_path, release, 3000 if full else 50)
        place = tmp_path / "tried.db"
        for one in tmp_path.glob("tried.db*"):
            one.unlink()
        shutil.copy(source, place)
        before = content(place)
        killed = _killed(place, g.random() * (0.5 if full else 0.05))
        after = content(place)
        undone += after[0] == release
        failed += after[0] not in (release, migrate.check(engine := connect(f"sqlite:///{place}")).needed)
        migrate.upgrade(engine)
        engine.dispose()
        again = content(place)
        lost += after[1] != before[1] or again[1] != before[1]
        failed += bool(after[2] or again[2] or not killed)
    tally.tried(
        "upgrades from an older release killed in their middle",
        count,
        lost=lost,
        failed=failed,
        figures={"of which had not ended": float(undone)},
    )


def _killed(place: Path, after: float) -> bool:
    command = [sys.executable, "-c", CHILD, f"sqlite:///{place}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        said = child.stdout.readline()
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(after)
        os.kill(child.pid, signal.SIGKILL)
    return said == "ready\n"


def test_each_older_release_keeps_every_row(tmp_path: Path, tally: Tally) -> None:
    lost = failed = 0
    for release in RELEASES:
        place = old(tmp_path, release, 20)
        before = content(place)
        engine = connect(f"sqlite:///{place}")
        migrate.upgrade(engine)
        engine.dispose()
        after = content(place)
        lost += after[1] != before[1]
        failed += bool(after[2])
        assert all(before[1].values()), "a table of the old release has no row"
    tally.tried("older releases upgraded with rows in every table", len(RELEASES), lost=lost, failed=failed)
