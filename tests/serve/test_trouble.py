"""Errors of disks and databases, as the service says them."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, event, exc, text
from sqlalchemy.exc import InterfaceError, OperationalError
from tests.serve.api.made import Made, service
from tests.serve.client import dicom

from insula.serve import full, trouble, watch
from insula.serve.store import files
from insula.serve.store.connect import connect, reading

pytestmark = pytest.mark.serve


class PostgresError(Exception):
    """As the driver's errors are, with a SQLSTATE."""

    def __init__(self, state: str | None) -> None:
        super().__init__("postgresql://alice:secret@host")
        self.sqlstate = state


def said(error: BaseException) -> tuple[int, str] | None:
    found = trouble.of(error)
    if found is None:
        return None
    assert "secret" not in str(found)
    return found.status, found.fault_code


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (errno.ENOSPC, (507, "no_space")),
        (errno.EDQUOT, (507, "no_space")),
        (errno.EIO, (503, "storage")),
        (errno.EROFS, (503, "storage")),
        (errno.EMFILE, (503, "storage")),
        (errno.EPIPE, None),
        (errno.ENOENT, None),
        (None, None),
    ],
)
def test_disks(number: int | None, wanted: tuple[int, str] | None) -> None:
    assert said(OSError(number, "x") if number else OSError("x")) == wanted


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("53100", (507, "no_space")),
        ("53300", (503, "records_busy")),
        ("40P01", (503, "records_busy")),
        ("55P03", (503, "records_busy")),
        ("57P01", (503, "records_silent")),
        ("57P03", (503, "records_silent")),
        ("08006", (503, "records_silent")),
        ("25006", (503, "records_silent")),
        ("XX001", (503, "records_damaged")),
        ("23505", None),
        ("42601", None),
    ],
)
def test_postgresql(state: str, wanted: tuple[int, str] | None) -> None:
    assert said(OperationalError("SELECT", {}, PostgresError(state))) == wanted


def test_a_connection_that_was_cut_or_never_made() -> None:
    never = type("OperationalError", (PostgresError,), {})(None)
    late = type("ConnectionTimeout", (type(never),), {})(None)
    assert said(OperationalError("SELECT", {}, never)) == (503, "records_silent")
    assert said(OperationalError("SELECT", {}, late)) == (503, "records_silent")
    assert said(OperationalError("SELECT", {}, sqlite3.OperationalError("no text"))) == (503, "records_damaged")
    assert said(OperationalError("SELECT", {}, sqlite3.ProgrammingError("closed"))) is None
    assert said(InterfaceError("SELECT", {}, PostgresError(None), connection_invalidated=True)) == (
        503,
        "records_silent",
    )
    assert said(InterfaceError("SELECT", {}, PostgresError(None))) is None
    assert said(exc.TimeoutError()) == (503, "records_busy")
    assert said(ValueError()) is None


def failed(engine: Engine, statement: str) -> tuple[int, str] | None:
    with pytest.raises(Exception, match="sqlite3") as met, engine.begin() as connection:
        connection.execute(text(statement))
    return said(met.value)


def test_sqlite_that_is_full_locked_read_only_or_damaged(tmp_path: Path) -> None:
    place = tmp_path / "insula.db"
    engine = connect(f"sqlite:///{place}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))

    @event.listens_for(engine, "connect")
    def small(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count=2")
        connection.execute("PRAGMA busy_timeout=1")

    engine.dispose()
    assert failed(engine, "INSERT INTO t VALUES (zeroblob(100000))") == (507, "no_space")
    assert failed(engine, "INSERT INTO none VALUES (1)") is None
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert failed(engine, "INSERT INTO t VALUES (1)") == (503, "records_busy")
    other.execute("ROLLBACK")
    other.close()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
        with pytest.raises(OperationalError) as met:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        assert said(met.value) == (503, "records_silent")
    engine.dispose()
    place.write_bytes(b"no database at all " * 1000)
    with pytest.raises(Exception, match="sqlite3") as broken, connect(f"sqlite:///{place}").connect():
        pass
    assert said(broken.value) == (503, "records_damaged")


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def upload(made: Made, patient: str) -> Any:
    sent = [("files", ("1.dcm", dicom(), "application/dicom"))]
    form = {"project": made.inside, "patient": patient}
    return made.client("reviewer").post("/api/v1/studies", data=form, files=sent)


@pytest.fixture
def made(tmp_path: Path) -> Any:
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path) as one:
        yield one


def test_damaged_records_about_which_sqlite_speaks_in_bytes_that_are_no_text(tmp_path: Path) -> None:
    place = tmp_path / "insula.db"
    plain = sqlite3.connect(place)
    plain.execute("CREATE TABLE studies (id TEXT)")
    plain.close()
    whole = place.read_bytes()
    place.write_bytes(whole.replace(b"studiesstudies", b"stud\xccesstudies"))  # a name, which the error repeats
    engine = connect(f"sqlite:///{place}")
    with pytest.raises(exc.DBAPIError) as met, reading(engine) as connection:
        connection.exec_driver_sql("SELECT * FROM studies")
    engine.dispose()
    found = trouble.of(met.value)
    assert found is not None
    assert found.fault_code == "records_damaged"


def test_a_full_disk_is_said_and_nothing_is_left(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", no_room)  # type: ignore[attr-defined]
        answer = upload(made, "A")
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert answer.headers["content-type"] == "application/problem+json"
    assert list((tmp_path / "files" / "unfinished").iterdir()) == []
    assert upload(made, "A").status_code == 201
    assert made.client("reviewer").get("/api/v1/studies").json()["items"] != []


def test_a_job_waits_for_the_disk_and_uses_no_attempt_up(
    tmp_path: Path, tiny_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tiny_bundle(unit="series"), f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        study = made.study()
        asked = made.client("reviewer").post(f"/api/v1/studies/{study['id']}/predictions", json={}).json()
        with monkeypatch.context() as patched:
            patched.setattr(files.os, "fsync", no_room)  # type: ignore[attr-defined]
            assert made.worked() == 0
        job = made.client("reviewer").get(f"/api/v1/jobs/{asked['id']}").json()
        assert (job["state"], job["attempts"], job["error"]["code"]) == ("waiting", 0, "no_space")


def test_health_says_that_the_records_do_not_answer(made: Made, tmp_path: Path) -> None:
    client = made.fresh()
    assert client.get("/health").json() == {"status": "ok", "model_loaded": False}
    made.service.records.dispose()
    place = tmp_path / "insula.db"
    whole = place.read_bytes()
    for name in ("insula.db-wal", "insula.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    place.write_bytes(b"no database at all " * 1000)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "records_damaged")
    made.service.records.dispose()
    place.write_bytes(whole)
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "no_space"), (errno.EROFS, "storage")])
def test_health_says_that_nothing_can_be_kept_where_a_disk_takes_nothing(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    client, real = made.fresh(), tempfile.TemporaryFile
    for place in (tmp_path, made.service.files.folder, Path(tempfile.gettempdir())):

        def refuses(*args: Any, dir: Path, place: Path | None = place, **more: Any) -> Any:  # noqa: A002
            if dir == place:
                raise OSError(number, os.strerror(number))
            return real(*args, dir=dir, **more)

        monkeypatch.setattr(tempfile, "TemporaryFile", refuses)
        for ask in (client.get, client.head):
            assert ask("/health").status_code == 503
        assert client.get("/health").json()["error"]["code"] == code
        assert client.get("/about").status_code == 200
        monkeypatch.undo()
    answer = client.head("/health")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_an_error_that_is_no_trouble_of_a_disk_stays_an_error_of_the_program(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    made.client("reviewer")
    monkeypatch.setattr(files.os, "fsync", broken)  # type: ignore[attr-defined]
    assert upload(made, "A").status_code == 500


def test_a_refusal_for_silent_records_waits_for_no_entry_of_the_trail(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> None:
        raise OperationalError("SELECT", {}, PostgresError("57P03"))

    def hangs(*_: object) -> None:
        raise AssertionError("the trail was to be told by records that do not answer")

    monkeypatch.setattr(full, "_in_charge", silent)
    monkeypatch.setattr(watch, "writing", hangs)
    errors: list[str] = []
    monkeypatch.setattr(watch, "get", lambda _: SimpleNamespace(error=lambda *said, **more: errors.append(str(more))))
    answer = made.fresh().get("/health")
    assert (answer.status_code, answer.json()["error"]["code"], errors) == (503, "records_silent", [])
