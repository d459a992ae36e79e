"""The node as a whole: what a scanner sends is predicted, parts begin anew after an error, it ends when told."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import HEADS, node, slices

from insula.core.errors import MissingPartError, UsageError
from insula.serve.pacs import node as nodes
from insula.serve.pacs import whole
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.service import Service
from insula.serve.settings import Settings
from insula.serve.store import schema

pytestmark = pytest.mark.serve
NEAR: dict[str, Any] = {"port": 0, "allow": "SCANNER", "quiet_seconds": 0.2}


def send(port: int, objects: Sequence[bytes]) -> list[int]:
    """What a scanner does; the statuses of its C-STOREs."""
    scanner = AE("SCANNER")
    scanner.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = scanner.associate("127.0.0.1", port, ae_title="INSULA")
    assert association.is_established
    try:
        return [association.send_c_store(pydicom.dcmread(io.BytesIO(one))).Status for one in objects]
    finally:
        association.release()


def until(found: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    pause, end = threading.Event(), monotonic() + seconds
    while not found():
        assert monotonic() < end, "it did not come"
        pause.wait(0.02)


def test_what_a_scanner_sends_is_predicted(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, **NEAR) as quiet, nodes.running(made.service, quiet.settings, predict=1) as port:
        assert port != 0
        objects = slices(patient="P-node")
        assert send(port, objects) == [0, 0]
        uid = pydicom.dcmread(io.BytesIO(objects[0])).StudyInstanceUID
        until(lambda: quiet.rows(schema.pacs_studies, study_uid=uid)[0].state == "taken")
        study = quiet.rows(schema.pacs_studies, study_uid=uid)[0].study_id
        until(lambda: quiet.rows(schema.predictions, study_id=study))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pacs-")] == []
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", port)) != 0, "nobody listens any more"


def test_without_threads_that_predict_it_leaves_that_to_others(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, **NEAR) as quiet, nodes.running(made.service, quiet.settings) as port:
        objects = slices()
        send(port, objects)
        uid = pydicom.dcmread(io.BytesIO(objects[0])).StudyInstanceUID
        until(lambda: quiet.rows(schema.pacs_studies, study_uid=uid)[0].state == "taken")
    study = quiet.rows(schema.pacs_studies, study_uid=uid)[0].study_id
    assert [job.state for job in quiet.rows(schema.jobs, study_id=study, kind="predict")] == ["waiting"]
    quiet.worked()


def test_what_may_not_be_meant_stands_in_the_log_at_its_start(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSULA_PACS_ALOW", "SCANNER")
    near = {**NEAR, "identity_key": "k" * 40}
    rules = "rules: [{name: a, project: Insde, pseudonymise: true}]"
    with node(made, tmp_path, rules, **near) as quiet, nodes.running(made.service, quiet.settings):
        pass
    said = capsys.readouterr().err
    for told in ("INSULA_PACS_ALLOW", "'Insde', which is not made yet", "Secondary captures"):
        assert told in said


def test_a_port_that_is_taken_is_told_and_nothing_goes_on(made: Made, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        near = {**NEAR, "port": other.getsockname()[1]}
        with (
            node(made, tmp_path, **near) as quiet,
            pytest.raises(UsageError),
            nodes.running(made.service, quiet.settings),
        ):
            pass
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pacs-")] == []


def test_a_part_that_met_an_error_begins_anew(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nodes, "_AGAIN", 0.01)
    stop, tried = threading.Event(), []

    def part(service: Service, settings: PacsSettings, stop: threading.Event) -> None:
        tried.append(1)
        if len(tried) < 3:
            raise ValueError("Doe^Jane")
        stop.set()

    nodes.kept_going("part", part, made.service, read_pacs_settings(), stop)
    assert len(tried) == 3
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "Doe" not in said


def test_each_kind_of_job_has_one_lane_and_each_watch_is_asked_for(made: Made) -> None:
    settings = read_pacs_settings()
    kinds = [kind for lane in nodes.lanes(made.service, settings) for kind in lane.handlers]
    assert sorted(kinds) == ["pacs_commit", "pacs_pull", "pacs_send", whole.TAKE]
    assert set(nodes.beside(settings)) == {"whole", "retain"}
    more = read_pacs_settings(peers="a=https://h", orthanc="a", workitems="a")
    assert set(nodes.beside(more)) == {"whole", "retain", "orthanc", "workitems"}


def test_it_is_not_ready_without_records_rules_or_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(HEADS, encoding="utf-8")
    settings, records = read_pacs_settings(rules=path), Settings(database="sqlite:///x.db")
    nodes.ready(settings, records)
    with pytest.raises(UsageError, match="INSULA_DATABASE"):
        nodes.ready(settings, Settings())
    path.write_text("rules: [{name: a, project: P, model: m, send: [nobody]}]", encoding="utf-8")
    with pytest.raises(UsageError, match="nobody"):
        nodes.ready(settings, records)
    path.write_text("rules: [{name: a, project: P, pseudonymise: true}]", encoding="utf-8")
    with pytest.raises(UsageError, match="INSULA_PACS_IDENTITY_KEY"):
        nodes.ready(settings, records)
    monkeypatch.setattr(nodes, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match=r"insula\[pacs\]"):
        nodes.ready(settings, records)
