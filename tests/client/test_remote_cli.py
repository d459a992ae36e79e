"""`insula remote` against the service: in this process, and once as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.client.live import Live, series

from insula.cli.remote import remote
from insula.client import Client, HistoryRow, JobFailedError, RemoteError, Waiting
from insula.core.errors import UsageError
from insula.serve.people.roles import Role

pytestmark = pytest.mark.serve


def run(server: Live, *words: object, role: Role = "reviewer") -> Result:
    environment = {"INSULA_REMOTE": server.address, "INSULA_REMOTE_KEY": server.key(role)}
    return CliRunner().invoke(remote, [str(word) for word in words], env=environment)


def told(server: Live, *words: object, role: Role = "reviewer") -> Any:
    got = run(server, *words, "--json", role=role)
    assert got.exit_code == 0, (got.output, got.exception)
    return json.loads(got.stdout)


def test_upload_predict_report_in_one_go_as_a_program(server: Live, scan: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out.pdf", server.key("reviewer")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INSULA_")}
    environment |= {"INSULA_REMOTE": server.address, "INSULA_REMOTE_KEY": key}
    start = [sys.executable, "-c", "from insula.cli.main import run; run()", "remote"]
    words = ["predict", str(scan), "--project", "Inside", "--patient", "CLI-1", "--report", str(out), "--json"]
    got = subprocess.run([*start, *words], capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert got.returncode == 0, got.stderr
    data = json.loads(got.stdout)
    assert out.read_bytes().startswith(b"%PDF-1.")
    assert data["report"] == str(out)
    rows = told(server, "history", "--patient", "CLI-1")["predictions"]
    assert [row["id"] for row in rows] == [data["prediction"]["id"]]
    assert key not in got.stdout + got.stderr

    environment["INSULA_REMOTE_KEY"] = f"ins_0123456789_{'x' * 43}"
    got = subprocess.run([*start, "models"], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert got.returncode == RemoteError.exit_code
    assert got.stderr.startswith("insula: The service answers 401 (unauthorised): ")
    assert got.stderr.strip().splitlines()[1:] == ["More: insula docs errors#remote"]


def test_health_and_models(server: Live) -> None:
    assert told(server, "health") == {"status": "ok", "model_loaded": True}
    assert "is up, with a model" in run(server, "health").stdout
    (model,) = told(server, "models")["models"]
    assert model["state"] == "active"
    assert model["bundle_id"] in run(server, "models").stdout
    got = CliRunner().invoke(remote, ["health", "--server", server.address], env={"INSULA_REMOTE": ""})
    assert got.exit_code == 0


def test_upload_then_predict_then_review(server: Live, scan: Path, tmp_path: Path) -> None:
    where = ("--project", server.made.inside, "--patient", "CLI-2", "--title", "Head", "--with", "age=63")
    study = told(server, "upload", "--scan", f"ct={scan}", *where)["study"]
    assert (study["title"], study["attributes"]) == ("Head", {"age": "63"})
    found = told(server, "predict", "--study", study["id"], "--uncertainty", "--with", "age=64")["prediction"]
    assert found["study_id"] == study["id"]
    assert found["id"] in {row["id"] for row in told(server, "queue")["waiting"]}
    assert found["id"] in run(server, "queue").stdout
    out = tmp_path / "r.fhir"
    told(server, "report", found["id"], "--out", out, "--format", "fhir", "--language", "tr")
    assert json.loads(out.read_text())["resourceType"] == "DiagnosticReport"
    said = ("--target", found["answer"]["target"], "--signature", "R. Viewer", "--prediction", found["id"])
    assert told(server, "review", study["id"], "--verdict", "agree", *said)["review"]["verdict"] == "agree"
    shown = run(server, "history", "--patient", "CLI-2", "--since", "2020-01-01").stdout
    assert shown.splitlines()[0].split() == [
        "made", "patient", "answer", "confidence", "decision", "read", "prediction",
    ]  # fmt: skip
    assert " yes " in shown
    assert told(server, "history", "--patient", "CLI-2", "--until", "2020-01-01") == {"predictions": []}


def test_the_answer_for_people(server: Live, scan: Path) -> None:
    got = run(server, "predict", scan, "--project", "Inside", "--patient", "CLI-3")
    assert got.exit_code == 0, got.output
    assert "  stroke: 0." in got.stdout
    assert "sending the scans" in got.stderr


def test_a_job_that_fails_ends_with_its_reason(server: Live, tmp_path: Path) -> None:
    scan = series(tmp_path / "mr", modality="MR")
    got = run(server, "predict", scan, "--project", "Inside", "--patient", "CLI-4")
    assert isinstance(got.exception, JobFailedError)
    assert "unsuitable_scan" in str(got.exception)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("predict", "SCAN", "--project", "Inside"), "--patient"),
        (("predict", "--project", "Inside", "--patient", "X"), "--scan"),
        (("predict", "SCAN", "--scan", "ct=SCAN", "--project", "Inside", "--patient", "X"), "Give either"),
        (("predict", "SCAN", "--study", "0" * 32), "--study"),
        (("predict", "SCAN", "--project", "Inside", "--patient", "X", "--report", "out.doc"), "out.doc"),
        (("predict", "SCAN", "--project", "Inside", "--patient", "X", "--report", "no/such/out.pdf"), "no folder"),
        (("predict", "SCAN", "--project", "Inside", "--patient", "X", "--series", "ct=one"), "ROLE=NUMBER"),
        (("upload", "SCAN", "--project", "Nowhere", "--patient", "X"), "Inside"),
        (("report", "0" * 32, "--out", "report"), ".pdf"),
        (("health", "--server", "http://insula.example.org"), "plain http"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_is_sent(
    server: Live, scan: Path, words: tuple[str, ...], rule: str
) -> None:
    got = run(server, *(word.replace("SCAN", str(scan)) for word in words))
    assert isinstance(got.exception, UsageError)
    assert rule in str(got.exception)


def test_a_rejected_scan_has_neither_answer_nor_confidence_in_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = {
        "study_id": "s" * 32,
        "created_at": datetime(2026, 1, 31, 8, tzinfo=UTC),
        "patient_key": "P-1",
    }
    facts |= {"title": "", "bundle_id": "b", "model_name": "m", "arm": "main"}
    reject: dict[str, Any] = {"action": "reject", "label": "", "confidence": 0.0, "reviewed": False, "disagreed": False}
    accept: dict[str, Any] = {
        "action": "accept",
        "label": "stroke",
        "confidence": 0.9,
        "reviewed": True,
        "disagreed": None,
    }
    rows: list[Any] = [HistoryRow("a" * 32, **facts, **reject), HistoryRow("b" * 32, **facts, **accept)]
    waiting = [Waiting(row.id, row.study_id, row.action, row.label, row.confidence) for row in rows]
    monkeypatch.setattr(Client, "history", lambda self, **asked: iter(rows))
    monkeypatch.setattr(Client, "queue", lambda self, second: iter(waiting))
    environment = {"INSULA_REMOTE": "http://127.0.0.1:9", "INSULA_REMOTE_KEY": f"ins_0123456789_{'x' * 43}"}
    got = CliRunner().invoke(remote, ["history"], env=environment)
    rejected, accepted = got.stdout.splitlines()[1:]
    assert rejected.split() == ["2026-01-31", "08:00", "P-1", "reject", "no", "a" * 32]
    assert accepted.split()[3:6] == ["stroke", "0.90", "accept"]
    assert "by another" in accepted, "what the other one said is not told before an own review"
    got = CliRunner().invoke(remote, ["queue"], env=environment)
    assert got.stdout.splitlines()[1].split() == ["reject", "s" * 32, "a" * 32]
