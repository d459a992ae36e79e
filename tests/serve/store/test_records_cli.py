"""`insula records` on a real database file and folder of files."""

from __future__ import annotations

import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, select
from tests.serve.store import made_old
from tests.serve.store.made_records import files_at, predicted, project, put, study

from insula.cli.main import main
from insula.core.errors import UsageError
from insula.serve.faults import RequestError
from insula.serve.store import schema, studies
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.errors import RecordsError

pytestmark = pytest.mark.serve


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("INSULA_DATABASE", f"sqlite:///{tmp_path}/insula.db")
    monkeypatch.setenv("INSULA_FILES", str(tmp_path / "files"))
    monkeypatch.setenv("INSULA_TRAIL_KEY", "k" * 40)
    return connect(f"sqlite:///{tmp_path}/insula.db")


def run(*words: str, code: int = 0) -> Any:
    got = CliRunner().invoke(main, ["records", *words, "--json"], catch_exceptions=code != 0)
    if got.exception is not None and not isinstance(got.exception, SystemExit):
        raise got.exception
    assert got.exit_code == code, got.output
    return json.loads(got.output)


def patient(engine: Engine, folder: Path) -> tuple[str, str]:
    files = files_at(folder)
    with writing(engine) as connection:
        one = study(connection, project(connection, "Ulus"))
        studies.add_files(connection, files, one, "ct", [("a", put(files, b"scan"))])
        predicted(connection, one)
        return studies.get(connection, one, None).patient_id, put(files, b"orphan").sha256


def entries(engine: Engine) -> list[tuple[str, str]]:
    with reading(engine) as connection:
        rows = connection.execute(select(schema.trail.c.action, schema.trail.c.subject).order_by(schema.trail.c.seq))
        return [(row.action, row.subject) for row in rows]


def test_check_and_upgrade(engine: Engine) -> None:
    made_old.make(engine)
    assert run("check", code=34) == {"found": "0001", "needed": "0004", "current": False}
    with pytest.raises(RecordsError, match="run: insula records upgrade"):
        run("sweep", code=24)
    assert run("upgrade") == {"before": "0001", "now": "0004"}
    assert run("check")["current"]
    assert run("upgrade")["before"] == "0004"


def test_a_patient_is_exported_and_erased_and_the_trail_tells(engine: Engine, tmp_path: Path) -> None:
    run("upgrade")
    name, _ = patient(engine, tmp_path)
    told = run("export", name, "--out", str(tmp_path / "out.zip"))
    assert told["rows"]["files"] == 1
    assert len(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == 2
    with pytest.raises(UsageError, match="exists already"):
        run("export", name, "--out", str(tmp_path / "out.zip"), code=11)
    assert run("erase", name) == {"erased": False, "patient": name}
    assert run("erase", name, "--yes")["rows"]["studies"] == 1
    for words in (("erase", name, "--yes"), ("export", name, "--out", str(tmp_path / "other.zip"))):
        with pytest.raises(RequestError, match="no such patient"):
            run(*words, code=11)
    assert not (tmp_path / "other.zip").exists()
    assert entries(engine) == [("patient.export", name), ("patient.erase", name)]


def test_without_the_trails_key_nobody_is_erased(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("upgrade")
    name, _ = patient(engine, tmp_path)
    monkeypatch.delenv("INSULA_TRAIL_KEY")
    with pytest.raises(UsageError, match="INSULA_TRAIL_KEY"):
        run("erase", name, "--yes", code=11)
    assert run("erase", name) == {"erased": False, "patient": name}


def test_sweep_counts_and_deletes_only_old_files(engine: Engine, tmp_path: Path) -> None:
    run("upgrade")
    _, orphan = patient(engine, tmp_path)
    assert run("sweep")["files"] == 0
    os.utime(tmp_path / "files" / orphan[:2] / orphan, (1_700_000_000, 1_700_000_000))
    assert run("sweep", "--dry-run") == {"dry_run": True, "files": 1, "bytes": 6, "unfinished": 0}
    assert run("sweep")["files"] == 1
    assert run("sweep")["files"] == 0
    with pytest.raises(UsageError, match="upload may still run"):
        run("sweep", "--older-than", "0.5", code=11)


def test_rules_are_set_shown_and_applied(engine: Engine, tmp_path: Path) -> None:
    run("upgrade")
    patient(engine, tmp_path)
    assert run("retention", "Ulus")["rules"] == {"files_days": None, "predictions_days": None}
    told = run("retention", "Ulus", "--files-days", "30", "--predictions-days", "60")
    assert (told["rules"], told["files"]) == ({"files_days": 30, "predictions_days": 60}, 0)
    with writing(engine) as connection:
        for table in (schema.files, schema.predictions):
            connection.execute(table.update().values(created_at=datetime(2020, 1, 1, tzinfo=UTC)))
    told = run("retention", "Ulus", "--predictions-days", "keep")
    assert (told["files"], told["predictions"], told["applied"]) == (1, 0, False)
    told = run("retention", "Ulus", "--apply")
    assert (told["files"], told["stored"], told["applied"]) == (1, 1, True)
    assert [action for action, _ in entries(engine)] == ["retention.set", "retention.set", "retention.apply"]
    for words, said in (("Bebek",), "no project"), (("Ulus", "--files-days", "x"), "no number of days"):
        with pytest.raises(UsageError, match=said):
            run("retention", *words, code=11)


@pytest.mark.parametrize("missing", ["INSULA_DATABASE", "INSULA_FILES"])
def test_a_missing_place_is_named(engine: Engine, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(UsageError, match=missing):
        run("sweep", code=11)


def test_a_refused_restore_leaves_no_file_and_no_folder_where_none_was(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("upgrade")
    patient(engine, tmp_path)
    engine.dispose()
    out, new = tmp_path / "backup", tmp_path / "new"
    run("backup", "--out", str(out))
    monkeypatch.setenv("INSULA_DATABASE", f"sqlite:///{new}/records/insula.db")
    monkeypatch.setenv("INSULA_FILES", str(new / "files"))
    tables = out / "records.sqlite"
    whole = tables.read_bytes()
    for changed in (tables, next(path for path in out.glob("files/*/*"))):
        good = changed.read_bytes()
        changed.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        with pytest.raises(RecordsError, match="nothing of it is left"):
            run("restore", str(out), code=24)
        assert not new.exists()
        changed.write_bytes(good)
    monkeypatch.setenv("INSULA_TRAIL_KEY", "w" * 40)
    with pytest.raises(RecordsError, match="another key"):
        run("restore", str(out), code=24)
    assert not new.exists()
    monkeypatch.setenv("INSULA_TRAIL_KEY", "k" * 40)
    (new / "files" / "mine").mkdir(parents=True)
    (new / "records").mkdir()
    tables.write_bytes(whole[:-1])
    with pytest.raises(RecordsError, match="is not as it was"):
        run("restore", str(out), code=24)
    assert sorted(path.relative_to(new).as_posix() for path in new.rglob("*")) == ["files", "files/mine", "records"]
    tables.write_bytes(whole)
    assert run("restore", str(out))["files"] == 1
    with pytest.raises(UsageError, match="has tables already"):
        run("restore", str(out), code=11)
    assert run("check", "--whole")["files"] == 1
