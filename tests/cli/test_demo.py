"""`insula demo --serve` where nothing has to be trained: a finished demo is taken as it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.cli.main import main
from insula.serve import run
from insula.serve.people.settings import read_people_settings
from insula.serve.settings import Settings
from insula.workflows import demo_records
from insula.workflows.demo_scans import Sent

pytestmark = pytest.mark.serve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished demo, and a service that only says where it would listen."""
    make(tmp_path, unit="series")
    (tmp_path / "demo.json").write_text('{"recipe": "haemorrhage-ct"}')
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "scan.dcm").write_bytes(dicom())
    monkeypatch.setattr(demo_records, "scans_of", lambda *_: [Sent("PH-0", "Phantom", (tmp_path / "scan.dcm",))])

    def listen(settings: Settings, say: Any) -> None:
        assert not read_people_settings(settings.host).secure_cookies
        say(f"http://{settings.host}:{settings.port}")
        say(run.ENDED)

    monkeypatch.setattr(run, "listen", listen)
    monkeypatch.setenv("INSULA_SECURE_COOKIES", "true")  # what the verb sets is undone after the test
    return tmp_path


def test_a_finished_demo_is_served_at_once_without_the_training_wing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insula.cli import training

    def missing() -> None:
        raise AssertionError("nothing is trained")

    monkeypatch.setattr(training, "needs_torch", missing)
    result = CliRunner().invoke(main, ["demo", "--serve", "--out", str(folder), "--port", "8123"])
    assert result.exit_code == 0, result.output
    assert "taken as it is" in result.output
    assert "The dashboard: http://127.0.0.1:8123 (Ctrl-C ends it)" in result.output
    assert result.output.endswith("The dashboard has ended.\n")
    assert "ada (admin), ben (reviewer), cleo (reader), each with the password " in result.output
    password = result.output.partition("password ")[2].split()[0]
    assert password not in (folder / "service" / "made.json").read_text()
    again = CliRunner().invoke(main, ["demo", "--serve", "--out", str(folder)])
    assert again.exit_code == 0, again.output
    assert "http://127.0.0.1:8000" in again.output
    assert "set-password ada" in again.output
    assert password not in again.output


def test_json_stays_json_and_the_password_is_told_beside_it(folder: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--serve", "--json", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["made"] is False
    assert "password" not in result.stdout
    assert "each with the password" in result.stderr


def test_what_is_asked_to_be_otherwise_is_made_anew_and_needs_the_training_wing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insula.cli import training
    from insula.core.errors import MissingPartError

    def missing() -> None:
        raise MissingPartError("Training is missing here.")

    monkeypatch.setattr(training, "needs_torch", missing)
    for more in (["--patients", "30"], ["--set", "train.epochs=1"], ["--recipe", "stroke-ct"]):
        result = CliRunner().invoke(main, ["demo", "--serve", "--out", str(folder), *more])
        assert "Training is missing here." in str(result.exception), more


def test_a_port_without_a_service_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path), "--port", "8123"])
    assert "add --serve" in str(result.exception)


def test_a_demo_says_what_it_is_before_the_training_wing_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insula.cli import training

    monkeypatch.setattr(training, "needs_torch", lambda: None)
    monkeypatch.setitem(sys.modules, "insula.workflows.demo", None)  # its import ends the verb
    for more, place in ([], "stdout"), (["--json"], "stderr"):
        result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path), *more])
        assert isinstance(result.exception, ModuleNotFoundError)
        assert getattr(result, place).startswith("Insula demo: made patients, a trained network, its report.")
