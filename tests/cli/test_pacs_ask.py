"""`insula pacs echo`, `find`, `pull` and `push` on the command line, with peers on this machine's loopback."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom.uid import CTImageStorage
from tests.serve.pacs.made_peers import STUDY, Answer, Archive, archive, content, folder_of, found, scan, web

from insula.cli.main import main, run

pytestmark = pytest.mark.serve


def set_peer(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("INSULA_PACS_PEERS", f"archive={address}")


def said(*words: str, code: int = 0) -> str:
    got = CliRunner().invoke(main, ["pacs", *words], prog_name="insula")
    assert got.exit_code == code, got.output
    return got.stdout


def told(*words: str, code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(said(*words, "--json", code=code))
    return answer


def ended(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the program as a whole."""
    monkeypatch.setattr(sys, "argv", ["insula", "pacs", *words])
    with pytest.raises(SystemExit) as end:
        run()
    return int(end.value.code or 0)


def test_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    with archive() as there:
        set_peer(monkeypatch, there.address)
        assert said("echo", "archive").startswith("archive answers in ")
        assert told("echo", "archive")["milliseconds"] > 0


def test_each_kind_of_trouble_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with archive() as there:
        set_peer(monkeypatch, there.address.replace("ARCHIVE", "OTHER"))
        assert ended(["echo", "archive"], monkeypatch) == 36
    assert ended(["echo", "archive"], monkeypatch) == 35
    with web(lambda said: Answer(200, b"<html>")) as (address, _):
        set_peer(monkeypatch, address)
        assert ended(["echo", "archive"], monkeypatch) == 37
    assert ended(["echo", "nobody"], monkeypatch) == 11


def test_an_error_is_json_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_peer(monkeypatch, "dicom://ARCHIVE@127.0.0.1:1")
    assert ended(["echo", "archive", "--json"], monkeypatch) == 35
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "peer_unreachable"


def listed(there: Archive) -> None:
    there.answers = [
        found(1, PatientID="P1", PatientName="Doe^Jane", ModalitiesInStudy="CT", NumberOfStudyRelatedInstances=30,
              StudyDescription="Head\x1b[31m"),
        found(2),
    ]  # fmt: skip


def test_find_lists_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with archive() as there:
        listed(there)
        set_peer(monkeypatch, there.address)
        options = ["--patient-name", "Doe", "--since", "2026-01-01", "--until", "2026-01-31", "--modality", "CT"]
        lines = said("find", "archive", *options).splitlines()
        data = told("find", "archive", "--limit", "1")
    assert lines[0].split() == ["date", "patient", "name", "modalities", "description", "series", "objects", "study"]
    assert lines[1].split() == ["20260102", "1.2.3.2"]
    assert lines[2].split() == ["20260101", "P1", "Doe^Jane", "CT", "Head[31m", "30", "1.2.3.1"]
    assert (there.asked[0].StudyDate, str(there.asked[0].PatientName)) == ("20260101-20260131", "Doe*")
    assert data["more"]
    assert [row["study_uid"] for row in data["studies"]] == ["1.2.3.1"]


def test_find_says_when_there_is_more_and_when_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with archive() as there:
        set_peer(monkeypatch, there.address)
        assert said("find", "archive") == "No study fits.\n"
        listed(there)
        assert "There are more than 1;" in said("find", "archive", "--limit", "1")


def test_find_lists_the_series_of_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"0020000E": {"Value": ["1.2.9"]}, "00080060": {"Value": ["CT"]}, "00200011": {"Value": [4]}}]
    with web(lambda said: Answer(200, json.dumps(rows).encode())) as (address, _):
        set_peer(monkeypatch, address)
        assert said("find", "archive", "--study", STUDY, "--series").splitlines()[1].split() == ["4", "CT", "1.2.9"]
        assert told("find", "archive", "--study", STUDY, "--series")["series"][0]["number"] == 4
        assert ended(["find", "archive", "--series"], monkeypatch) == 11


@pytest.mark.parametrize("kind", ["dicom", "web"])
def test_pull_writes_files(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = [scan(1, SOPInstanceUID="1.2.1"), scan(2, SOPInstanceUID="1.2.2")]
    body = b"".join(b"\r\n--b\r\n\r\n" + one for one in sent) + b"\r\n--b--"
    related = Answer(200, body, {"Content-Type": "multipart/related; boundary=b"})
    with archive(sent) as there, web(lambda said: related) as (address, _):
        set_peer(monkeypatch, there.address if kind == "dicom" else address)
        text = said("pull", "archive", STUDY, "--out", str(tmp_path))
        data = told("pull", "archive", STUDY, "--out", str(tmp_path))
    assert text == f"2 objects of 1 study are in {tmp_path}.\n"
    assert data == {"peer": "archive", "studies": [{"study_uid": STUDY, "objects": 2, "failed": 0, "refused": 0}]}
    written = {path.name: content(path.read_bytes()) for path in (tmp_path / STUDY).iterdir()}
    assert written == {"1.2.1.dcm": content(sent[0]), "1.2.2.dcm": content(sent[1])}


def test_pull_ends_otherwise_where_not_all_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = b"--b\r\n\r\n" + scan() + b"\r\n--b\r\n\r\nno object\r\n--b--"
    with web(lambda said: Answer(200, body, {"Content-Type": "multipart/related; boundary=b"})) as (address, _):
        set_peer(monkeypatch, address)
        assert "1 did not come through" in said("pull", "archive", STUDY, "--out", str(tmp_path), code=38)


def test_pull_lets_the_archive_send_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PACS_AE_TITLE", "ARCHIVE")
    with archive(does=(CTImageStorage,)) as node, archive([scan(1), scan(2)], node=node.port) as there:
        set_peer(monkeypatch, there.address)
        assert said("pull", "archive", STUDY) == "2 objects of 1 study are sent to ARCHIVE.\n"
        assert told("pull", "archive", STUDY, "--to", "ARCHIVE")["studies"][0]["objects"] == 2
    assert (there.moved_to, len(node.stored)) == (["ARCHIVE"] * 2, 4)


def test_pull_of_a_study_that_is_not_there_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive([scan()]) as there:  # it refuses to send to a node that it cannot reach
        set_peer(monkeypatch, there.address)
        assert ended(["pull", "archive", "1.2.3"], monkeypatch) == 36
        assert "has no such study" in capsys.readouterr().err
        listed(there)
        assert ended(["pull", "archive", "1.2.3"], monkeypatch) == 36
        assert "let it know that AE title" in capsys.readouterr().err


def test_pull_says_what_came_before_it_was_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive([scan()], then=0xC000) as there:
        there.answers = [found(1)]
        set_peer(monkeypatch, there.address)
        assert ended(["pull", "archive", STUDY, "--out", str(tmp_path)], monkeypatch) == 36
    told = capsys.readouterr().err
    assert f"1 object of the study came before, and are in {tmp_path / STUDY}" in told
    assert "--to" in told
    assert len(list((tmp_path / STUDY).iterdir())) == 1


def test_pull_refuses_what_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_peer(monkeypatch, "http://127.0.0.1:1")
    assert ended(["pull", "archive", STUDY], monkeypatch) == 11
    assert ended(["pull", "archive", "x", "--out", str(tmp_path)], monkeypatch) == 11
    assert ended(["pull", "archive", STUDY, "--out", str(tmp_path), "--to", "X"], monkeypatch) == 11
    assert list(tmp_path.iterdir()) == []


def test_push_sends_files_and_says_what_was_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [scan(n) for n in range(3)])
    (folder / "readme.txt").write_text("no object")
    with archive(does=(CTImageStorage,)) as there:
        set_peer(monkeypatch, there.address)
        text = said("push", "archive", str(folder))
        assert text == "3 of 3 objects are at archive.\nPassed over: 1 file that is no scan.\n"
        there.store_status = lambda number: 0xA700 if number == 5 else 0
        text = said("push", "archive", str(folder), code=38)
        there.store_status = lambda number: 0xA700
        data = told("push", "archive", str(folder / "0.dcm"), code=38)
    assert text.startswith("2 of 3 objects are at archive; 1 did not come through.\n")
    assert f"  {folder}/1.dcm: 0xA700" in text
    assert (data["objects"], data["others"]) == (0, 0)
    assert (data["failed"][0]["file"], data["failed"][0]["status"]) == (str(folder / "0.dcm"), "0xA700")


def test_push_of_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_peer(monkeypatch, "dicom://ARCHIVE@127.0.0.1:1")
    (tmp_path / "x.txt").write_text("no object")
    assert ended(["push", "archive", str(tmp_path)], monkeypatch) == 12
    assert ended(["push", "archive", str(tmp_path / "x.txt")], monkeypatch) == 12
