"""Damage of records and files, and how it is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine
from tests.serve.api.made import KEY
from tests.serve.store.made_records import files_at, predicted, project, put, study

from insula.cli.main import main
from insula.serve.store import schema, sound, studies
from insula.serve.store.connect import connect, writing
from insula.serve.store.errors import RecordsError
from insula.serve.store.files import Files
from insula.serve.store.migrate import upgrade

pytestmark = pytest.mark.serve


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Engine, Files, Path]]:
    """Records, files, and where the one file lies."""
    engine, files = connect(f"sqlite:///{tmp_path}/insula.db"), files_at(tmp_path)
    upgrade(engine)
    with writing(engine) as connection:
        one = study(connection, project(connection, "Ulus"))
        scan = put(files, b"scan")
        studies.add_files(connection, files, one, "ct", [("a", scan)])
        predicted(connection, one)
    yield engine, files, tmp_path / "files" / scan.sha256[:2] / scan.sha256
    engine.dispose()


def test_what_is_whole_is_sound(kept: tuple[Engine, Files, Path]) -> None:
    found = sound.look(*kept[:2])
    assert (found.faults, found.files) == ((), 1)
    assert found.rows >= 5


def test_a_missing_and_a_changed_file_are_named(kept: tuple[Engine, Files, Path]) -> None:
    engine, files, place = kept
    place.write_bytes(b"other")
    assert sound.look(engine, files).faults == (f"the file {place.name[:12]}… holds other bytes than were stored",)
    place.unlink()
    assert sound.look(engine, files).faults == (f"the file {place.name[:12]}… is missing",)
    assert sound.look(engine, None).faults == ()


def test_a_file_that_is_erased_while_it_is_looked_for_is_no_damage(
    kept: tuple[Engine, Files, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, files, _ = kept
    look = sound.bad_file

    def late(where: Files, sha256: str) -> str:
        with writing(engine) as connection:
            connection.execute(schema.files.delete())
        where.delete(sha256)
        return look(where, sha256)

    monkeypatch.setattr(sound, "bad_file", late)
    assert sound.look(engine, files).faults == ()


def test_a_row_that_points_at_nothing_is_named(kept: tuple[Engine, Files, Path]) -> None:
    engine, files, _ = kept
    with closing(sqlite3.connect(str(engine.url.database))) as plain:
        plain.execute("DELETE FROM projects")
        plain.commit()
    assert "a row of 'patients' points at nothing in 'projects'" in sound.look(engine, files).faults


def test_damaged_pages_are_named_and_the_verb_says_so(
    kept: tuple[Engine, Files, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, files, _ = kept
    monkeypatch.setenv("INSULA_DATABASE", f"sqlite:///{tmp_path}/insula.db")
    monkeypatch.setenv("INSULA_FILES", str(tmp_path / "files"))
    done = CliRunner().invoke(main, ["records", "check", "--whole", "--json"])
    assert (done.exit_code, json.loads(done.output)["faults"], json.loads(done.output)["current"]) == (0, [], True)
    engine.dispose()
    place = tmp_path / "insula.db"
    whole = bytearray(place.read_bytes())
    for page in range(2, len(whole) // 4096):
        whole[4096 * page : 4096 * page + 512] = b"\xff" * 512
    place.write_bytes(whole)
    assert sound.look(engine, files).faults
    done = CliRunner().invoke(main, ["records", "check", "--whole", "--json"])
    assert done.exit_code == 24
    assert json.loads(done.output)["faults"]


@pytest.mark.parametrize("page", range(1, 8))
def test_a_backup_of_damaged_records_says_so_and_shows_no_traceback(
    kept: tuple[Engine, Files, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    engine, _, _ = kept
    for name, value in (("DATABASE", f"sqlite:///{tmp_path}/insula.db"), ("FILES", str(tmp_path / "files"))):
        monkeypatch.setenv(f"INSULA_{name}", value)
    monkeypatch.setenv("INSULA_TRAIL_KEY", KEY)
    engine.dispose()
    place = tmp_path / "insula.db"
    whole = bytearray(place.read_bytes())
    whole[4096 * page : 4096 * (page + 1)] = bytes(4096)
    place.write_bytes(whole)
    done = CliRunner().invoke(main, ["records", "backup", "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, RecordsError), done.exception
    assert "damaged" in str(done.exception)
    assert not (tmp_path / "out").exists()
