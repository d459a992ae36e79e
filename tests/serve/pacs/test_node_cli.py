"""`insula pacs listen`, `status` and `rules`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydicom.uid import generate_uid
from tests.serve.api.made import KEY
from tests.serve.pacs.made_arrived import arrived
from tests.serve.pacs.made_studies import HEADS, slices
from tests.serve.pacs.test_node import send, until
from tests.serve.store.made_records import predicted, project, study
from tests.tiny_bundle import make

from insula.cli.main import main
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.migrate import upgrade

pytestmark = pytest.mark.serve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rules and the settings of records in the environment."""
    (tmp_path / "rules.yaml").write_text(HEADS, encoding="utf-8")
    told = {
        "INSULA_DATABASE": f"sqlite:///{tmp_path}/insula.db",
        "INSULA_FILES": str(tmp_path / "files"),
        "INSULA_TRAIL_KEY": KEY,
        "INSULA_PACS_RULES": str(tmp_path / "rules.yaml"),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["pacs", *words])


def put(folder: Path, objects: Sequence[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for one in objects:
        (folder / f"{len(list(folder.iterdir()))}.dcm").write_bytes(one)


@contextmanager
def listening(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A node in a process of its own, and what it says of itself."""
    near = {"INSULA_PACS_ALLOW": "SCANNER", "INSULA_PACS_QUIET_SECONDS": "0.2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "insula", "pacs", "listen", *words, "--port", "0", "--json"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env={**os.environ, **near}, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            yield process, json.loads(line)["listening"]
        finally:
            process.kill()


def test_one_process_listens_and_predicts_and_ends_well(folder: Path) -> None:
    bundle = make(folder, unit="series").path
    engine = connect(os.environ["INSULA_DATABASE"])
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(schema.projects.insert().values(name="Inside"))

    def predicted() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with reading(engine) as connection:
            return connection.execute(schema.predictions.select()).first() is not None

    with listening(folder, str(bundle)) as (process, told):
        assert (told["host"], told["ae_title"]) == ("127.0.0.1", "INSULA")
        assert send(told["port"], slices(patient="P-secret", PatientName="Secret^Name")) == [0, 0]
        until(predicted)
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0
    engine.dispose()
    said = (folder / "log").read_text()
    assert "P-secret" not in said
    assert "Secret" not in said


def test_listening_without_records_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSULA_DATABASE")
    got = run("listen", "--port", "0")
    assert got.exit_code != 0
    assert "INSULA_DATABASE" in str(got.exception)


def test_status_tells_what_waits(folder: Path) -> None:
    engine = connect(os.environ["INSULA_DATABASE"])
    upgrade(engine)
    with writing(engine) as connection:
        arrived(connection, "1.2.1", "receiving")
        arrived(connection, "1.2.3", "taken")
        at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
        told = {"code": "x", "message": "It broke."}
        name = arrived(connection, "1.2.2", "failed", last_at=at, error=told, study_date="20251231")
        inside = project(connection)
        one = study(connection, inside, "P-secret")
        payload = {"prediction": predicted(connection, one), "peer": "his", "objects": ["report"]}
        queue.put(connection, Wanted("pacs_send", payload, study_id=one), schema.now())
        values = {"attempts": 8, "error": {"code": "x", "message": "'his' does not answer."}}
        connection.execute(schema.jobs.update().values(values))
    engine.dispose()
    got = run("status")
    assert got.exit_code == 0, got.output
    assert "1 receiving, 0 whole, 0 unrouted, 1 failed, 1 taken" in got.output
    assert "Sendings: 0 sent, 0 waiting, 0 running, 1 tried again, 0 failed" in got.output
    assert f"{name}  failed  2025-12-31 'Head' from SCANNER, 2026-01-02 03:04 UTC: It broke." in got.output
    assert f"{one}  sending to his is tried again (attempt 9): 'his' does not answer." in got.output
    assert "P-secret" not in got.output
    assert "1.2.2" not in got.output, "a study's UID tells who it is"
    told = json.loads(run("status", "--json").output)
    assert told["studies"]["failed"] == 1
    assert (told["backlog"], told["jobs"], told["troubled"][0]["id"]) == (1, {"pacs_send": {"waiting": 1}}, name)
    assert (told["studies"]["taken"], told["sendings"]["again"], told["unsent"][0]["study"]) == (1, 1, one)


def test_status_of_records_that_are_not_of_this_version_is_refused(folder: Path) -> None:
    got = run("status")
    assert got.exit_code != 0
    assert "insula records upgrade" in str(got.exception)


def test_rules_are_checked_and_tried_on_scans(folder: Path) -> None:
    scans = folder / "scans"
    study = generate_uid()
    put(scans, slices(study, SeriesDescription="axial"))
    put(scans, slices(study, numbers=(1,), BodyPartExamined="FOOT"))
    (scans / "notes.txt").write_text("no scan")
    got = run("rules", str(scans))
    assert got.exit_code == 0, got.output
    assert "1 rule, sound.\nProjects and models were not looked up; set INSULA_DATABASE" in got.output
    taken = "CT 'axial' of 'Head' (2 objects): rule 'heads', project 'Inside', tiny-ct, sent nowhere"
    assert taken in got.output
    assert "(1 object): no rule takes it" in got.output
    told = json.loads(run("rules", str(scans), "--json").output)
    assert [one["rule"] for one in told["series"]] == ["heads", None]


def test_rules_that_can_be_read_and_may_not_be_what_was_meant(folder: Path) -> None:
    engine = connect(os.environ["INSULA_DATABASE"])
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(schema.projects.insert().values(name="Insides"))
    engine.dispose()
    told = json.loads(run("rules", "--json").output)
    assert told["records"]
    project, model = told["doubts"]
    assert "'heads' names the project 'Inside', which is not made yet ('Insides' may be meant)." in project
    assert "'heads' names the model 'tiny-ct', of which none is registered." in model
    (folder / "rules.yaml").write_text("", encoding="utf-8")
    assert "0 rules, with something to look at:\n  There is no rule: whatever comes" in run("rules").output
    (folder / "rules.yaml").write_text("rules: [{name: a, project: Insides, pseudonymise: true}]", encoding="utf-8")
    said = run("rules").output
    assert "1 rule, with something to look at:\n  Rules ask for pseudonyms, and INSULA_PACS_IDENTITY_KEY" in said
    assert "Secondary captures and encapsulated documents are not stored under pseudonyms" in said


def test_rules_may_go_by_who_sends(folder: Path) -> None:
    (folder / "rules.yaml").write_text("rules: [{name: mine, when: {source: 'CT?'}, project: A}]", encoding="utf-8")
    put(folder / "scans", slices())
    scan = str(folder / "scans" / "0.dcm")
    for source, rule in (("CT1", "mine"), ("MR1", None)):
        told = json.loads(run("rules", scan, "--source", source, "--json").output)
        assert told["series"][0]["rule"] == rule


def test_wrong_rules_and_scans_that_are_none_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "note.txt").write_text("no scan")
    assert run("rules", str(folder / "note.txt")).exit_code != 0
    empty = folder / "empty"
    empty.mkdir()
    assert "no DICOM object" in str(run("rules", str(empty)).exception)
    (folder / "rules.yaml").write_text("rules: [{name: a}]", encoding="utf-8")
    assert "rules.0.project" in str(run("rules").exception)
    monkeypatch.delenv("INSULA_PACS_RULES")
    assert "INSULA_PACS_RULES" in str(run("rules").exception)
