"""A patient goes from tables, files and what was kept of answers; or comes out as a zip."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, String, cast, insert, select
from tests.serve.store.made_records import came, files_at, predicted, project, put, study, user

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.store import patients, predictions, reviews, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.erase import erase_patient, export_patient, forget
from insula.serve.store.errors import ChangedFileError
from insula.serve.store.files import Files

pytestmark = pytest.mark.serve
T = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "Zübeyde Çalıkuşu"


def lay(connection: Connection, files: Files, project_id: str, reader: str, key: str, name: str = "") -> str:
    """A patient of whom every table knows; its id."""
    patient = patients.get_or_create(connection, project_id, key, name)
    one = study(connection, project_id, key, f"CT of {key}")
    scans = [(f"{key}-{i}.dcm", put(files, f"scan {key} {i}".encode())) for i in range(2)]
    added = studies.add_files(connection, files, one, "ct", [*scans, ("shared.dcm", put(files, b"the same in both"))])
    of = predicted(connection, one)
    predictions.add_sources(connection, of, {"ct": added})
    predictions.add_artefact(connection, files, of, "map", "ct", put(files, f"map {key}".encode()), "image/png")
    came(connection, files, one, of, key, scans[0][1])
    reviews.write(connection, one, reader, reviews.Said("answer", "agree", "Ada", comment=f"of {key}"), of)
    connection.execute(insert(schema.glass).values(user_id=reader, study_id=one, reason="night", ends_at=T))
    archive = put(files, f"zip {key}".encode())
    queue.put(connection, queue.Wanted("predict", {"study": one}, study_id=one), T)
    queue.put(connection, queue.Wanted("export", {"prediction": of, "file": archive.sha256}), T)
    for number, body in enumerate(({"id": one}, {"patient": {"key": key}})):
        values = {"caller": reader, "key": f"{key}{number}", "request_hash": "h", "status": 201, "body": body}
        connection.execute(insert(schema.idempotency).values(values))
    return patient


def rows(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table as text."""
    return {
        name: [" ".join(map(str, row)) for row in connection.execute(select(*(cast(c, String) for c in table.c)))]
        for name, table in schema.metadata.tables.items()
    }


def test_an_erased_patient_is_nowhere_and_another_is_whole(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, reader = project(connection), user(connection)
        kept = lay(connection, files, a, reader, "KEEP-1")
        before, stored = rows(connection), {one.sha256 for one in files.all()}
        patient = lay(connection, files, a, reader, "GONE-2", NAME)
    with writing(records) as connection:
        told = erase_patient(connection, files, patient)
    forget(records)
    assert told.rows == {"patients": 1, "studies": 1, "predictions": 1, "files": 3, "artefacts": 1, "reviews": 1,
                         "prediction_sources": 1, "jobs": 3, "glass": 1, "idempotency": 2, "pacs_studies": 1,
                         "pacs_series": 1, "pacs_instances": 2, "pacs_objects": 1, "pacs_deliveries": 1,
                         "workitems": 2}  # fmt: skip
    assert (told.stored, told.kept) == (6, 1)
    with writing(records) as connection:
        assert rows(connection) == before
        assert {one.sha256 for one in files.all()} == stored
        assert patients.get(connection, kept, None).key == "KEEP-1"
        with pytest.raises(RequestError, match="no such patient"):
            erase_patient(connection, files, patient)


def test_no_byte_of_an_erased_patient_is_left_in_sqlite(tmp_path: Path) -> None:
    from insula.serve.store.connect import connect

    engine, files = connect(f"sqlite:///{tmp_path}/insula.db"), files_at(tmp_path)
    schema.metadata.create_all(engine)

    def found() -> bool:
        return any(
            word in path.read_bytes() for path in tmp_path.glob("insula.db*") for word in (NAME.encode(), b"GONE-2")
        )

    with writing(engine) as connection:
        patient = lay(connection, files, project(connection), user(connection), "GONE-2", NAME)
    assert found()
    with writing(engine) as connection:
        erase_patient(connection, files, patient)
    forget(engine)
    assert not found()
    engine.dispose()


def test_what_cannot_be_erased_whole_is_still_there(
    records: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        patient = lay(connection, files, project(connection), user(connection), "GONE-2")
        before = rows(connection)

    def fails(self: Files, sha256: str) -> bool:
        raise OSError("store away")

    with monkeypatch.context() as patched:
        patched.setattr(Files, "delete", fails)
        with pytest.raises(OSError, match="away"), writing(records) as connection:
            erase_patient(connection, files, patient)
    with writing(records) as connection:
        assert rows(connection) == before
        assert erase_patient(connection, files, patient).stored == 7


def test_a_patient_comes_out_as_a_zip_with_everything(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, reader = project(connection), user(connection)
        lay(connection, files, a, reader, "OTHER-1")
        patient = lay(connection, files, a, reader, "MINE-2", NAME)
        counts = export_patient(connection, files, patient, tmp_path / "out.zip")
    several = {"files": 3, "pacs_instances": 2, "workitems": 2}
    assert {name: count for name, count in counts.items() if count != 1} == several
    assert set(counts) == {"patients", "studies", "predictions", "files", "artefacts", "reviews", "jobs", "glass",
                           "pacs_studies", "pacs_series", "pacs_instances", "pacs_objects", "pacs_deliveries",
                           "workitems", "prediction_sources"}  # fmt: skip
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        record = json.loads(archive.read("record.json"))
        assert record["patients"][0]["name"] == NAME
        assert record["predictions"][0]["answer"]["label"] == "stroke"
        assert {row["name"]: archive.read(row["path"]) for row in record["files"]} == {
            "MINE-2-0.dcm": b"scan MINE-2 0",
            "MINE-2-1.dcm": b"scan MINE-2 1",
            "shared.dcm": b"the same in both",
        }
        assert archive.read(record["artefacts"][0]["path"]) == b"map MINE-2"
        assert archive.read(record["pacs_objects"][0]["path"]) == b"report MINE-2"
        first, second = record["pacs_instances"]
        assert first["path"] == record["files"][0]["path"], "the same bytes are in it once"
        assert archive.read(second["path"]) == b"scout MINE-2"
        assert len(archive.namelist()) == 7
        assert "OTHER-1" not in archive.read("record.json").decode()


def test_a_zip_with_a_spoilt_file_is_not_left_behind(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        patient = lay(connection, files, project(connection), user(connection), "MINE-2")
        (tmp_path / "files").joinpath(*parts(put(files, b"scan MINE-2 1").sha256)).write_bytes(b"spoilt")
        with pytest.raises(ChangedFileError):
            export_patient(connection, files, patient, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def parts(sha256: str) -> tuple[str, str]:
    return sha256[:2], sha256
