"""Asking, fetching and sending with real peers: Orthanc over DICOM and DICOMweb, and dcmtk's programs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import get_args
from uuid import uuid4

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1, RLELossless
from tests.pacs.orthanc import Orthanc, free_port
from tests.report.dicom.made_result import made_of, result
from tests.scans.made_dicom import dataset

from insula.cli.main import main
from insula.report.dicom.result import Object
from insula.serve.pacs import find as asking
from insula.serve.pacs.outcome import Ready, ready
from insula.serve.pacs.peer_errors import PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.pull import fetch, move
from insula.serve.pacs.push import push
from insula.serve.pacs.query import Query
from insula.serve.pacs.settings import PacsSettings

pytestmark = pytest.mark.pacs
KINDS = ("dicom", "web")
PROGRAMS: dict[str, str] = {RLELossless: "dcmcrle", JPEGLosslessSV1: "dcmcjpeg"}


def new_uid() -> str:
    """A UID that leaves room for more behind it."""
    return f"2.25.{uuid4().int >> 32}"


def known(orthanc: Orthanc, **more: object) -> PacsSettings:
    return PacsSettings(peers=f"dicom=dicom://ORTHANC@127.0.0.1:{orthanc.dicom} web={orthanc.web}", **more)  # type: ignore[arg-type]


def study(folder: Path, uid: str, many: int = 4, **fields: object) -> list[Ready]:
    """A study of some slices with what an archive lists, in files."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = {"StudyDate": "20260102", "StudyTime": "101112", "StudyID": "1", "AccessionNumber": "A1",
              "PatientBirthDate": "19700101", "PatientSex": "O", "StudyDescription": "HEAD",
              "SeriesInstanceUID": f"{uid}.1", "SeriesNumber": 1}  # fmt: skip
    for number in range(many):
        made = dataset(
            np.full((16, 16), 1000 + number, np.int16),
            **{**listed, "StudyInstanceUID": uid, "PatientName": "Doe^Jane", "InstanceNumber": number + 1, **fields},
        )
        made.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return [ready(path) for path in sorted(folder.iterdir())]


def data_sets(files: list[bytes]) -> list[bytes]:
    """What the files hold behind their own heads."""
    return sorted(
        one[144 + int(dcmread(BytesIO(one), stop_before_pixels=True).file_meta[0x00020000].value) :] for one in files
    )


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_nothing_has_changed(kind: str, orthanc: Orthanc, tmp_path: Path) -> None:
    uid = new_uid()
    sent = study(tmp_path, uid)
    settings = known(orthanc)
    peer = settings.peer[kind]
    assert asking.echo(settings, peer) > 0
    assert [one.taken for one in push(settings, peer, sent)] == [True] * 4
    (found,) = asking.find(settings, peer, Query(patient_name="doe", modality="CT", description="EAD")).studies
    assert (found.study_uid, found.patient_name, found.instances) == (uid, "Doe^Jane", 4)
    assert (found.date, found.modalities, found.accession_number) == ("20260102", ("CT",), "A1")
    (series,) = asking.series(settings, peer, uid)
    assert (series.series_uid, series.modality, series.number, series.instances) == (f"{uid}.1", "CT", 1, 4)
    got: list[bytes] = []
    assert fetch(settings, peer, uid, got.append).completed == 4
    assert data_sets(got) == data_sets([one.path.read_bytes() for one in sent])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("syntax", list(PROGRAMS))
def test_what_is_compressed_stays_so(kind: str, syntax: str, orthanc: Orthanc, tmp_path: Path) -> None:
    uid = new_uid()
    (one,) = study(tmp_path, uid, 1)
    program = shutil.which(PROGRAMS[syntax])
    assert program, "dcmtk is missing; run scripts/system-packages pacs"
    subprocess.run([program, "+un", str(one.path), str(one.path)], check=True)
    (sent,) = [ready(one.path)]
    assert sent.transfer_syntax_uid == syntax
    settings = known(orthanc)
    assert [answer.taken for answer in push(settings, settings.peer[kind], [sent])] == [True]
    got: list[bytes] = []
    assert fetch(settings, settings.peer[kind], uid, got.append).completed == 1
    assert dcmread(BytesIO(got[0])).file_meta.TransferSyntaxUID == syntax
    assert data_sets(got) == data_sets([one.path.read_bytes()])


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_with_all_that_insula_makes_comes_whole(kind: str, orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc sends nothing more of a study by C-GET from the first object on whose class was not proposed."""
    made = [one.dataset for one in made_of(result(tmp_path / "in"), *get_args(Object))]
    for number, one in enumerate(made):
        one.save_as(tmp_path / "in" / f"made{number}.dcm", enforce_file_format=True)
    sent = [ready(path) for path in sorted((tmp_path / "in").iterdir())]
    settings = known(orthanc)
    assert all(one.taken for one in push(settings, settings.peer[kind], sent))
    got: list[bytes] = []
    assert fetch(settings, settings.peer[kind], sent[0].study_uid, got.append).completed == len(sent)
    classes = {str(dcmread(BytesIO(one), stop_before_pixels=True).SOPClassUID) for one in got}
    assert classes == {one.sop_class_uid for one in sent}
    assert len(classes) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there(kind: str, orthanc: Orthanc) -> None:
    settings = known(orthanc)
    peer = settings.peer[kind]
    assert asking.find(settings, peer, Query(patient_id="nobody")).studies == ()
    assert asking.series(settings, peer, "1.2.3") == ()
    with pytest.raises(PeerRefusedError, match="no such study") as refusal:
        fetch(settings, peer, "1.2.3", lambda data: None)
    assert refusal.value.status == 404
    with pytest.raises(PeerRefusedError, match="no such study"):
        move(settings, settings.peer["dicom"], "1.2.3", "INSULA")


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit(kind: str, orthanc: Orthanc, tmp_path: Path) -> None:
    settings = known(orthanc)
    for number in range(3):
        fields = {"StudyDate": f"2026010{number + 1}", "PatientID": f"P{number}"}
        sent = study(tmp_path / str(number), new_uid(), 1, **fields)
        push(settings, settings.peer["web"], sent)
    found = asking.find(settings, settings.peer[kind], Query(limit=2))
    assert (len(found.studies), found.more) == (2, True)
    found = asking.find(settings, settings.peer[kind], Query())
    assert [one.date for one in found.studies] == ["20260103", "20260102", "20260101"]
    assert not found.more


def test_umlauts(orthanc: Orthanc, tmp_path: Path) -> None:
    settings = known(orthanc)
    sent = study(tmp_path, new_uid(), 1, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 192")
    push(settings, settings.peer["dicom"], sent)
    (found,) = asking.find(settings, settings.peer["dicom"], Query(patient_name="Mül")).studies
    assert found.patient_name == "Müller^Jörg"
    (found,) = asking.find(settings, settings.peer["web"], Query()).studies
    assert found.patient_name == "Müller^Jörg"


def test_a_title_that_orthanc_does_not_know_is_told_why(orthanc: Orthanc) -> None:
    settings = known(orthanc, ae_title="STRANGER")
    with pytest.raises(PeerUnreachableError, match="knows this node"):  # it ends such an association
        asking.find(settings, settings.peer["dicom"], Query())
    settings = PacsSettings(peers=f"dicom=dicom://OTHER@127.0.0.1:{orthanc.dicom}")
    with pytest.raises(PeerRefusedError, match="Called AE title not recognised"):
        asking.echo(settings, settings.peer["dicom"])


@contextmanager
def storescp(folder: Path, port: int) -> Iterator[PacsSettings]:
    """dcmtk's storescp, as the one that Orthanc sends to and as the peer `node`."""
    program = shutil.which("storescp")
    assert program, "dcmtk is missing; run scripts/system-packages pacs"
    folder.mkdir(parents=True)
    settings = PacsSettings(peers=f"node=dicom://ANY@127.0.0.1:{port}")
    with (folder.parent / "storescp.log").open("wb") as log:
        process = subprocess.Popen([program, "-od", str(folder), "+B", str(port)], stdout=log, stderr=log)
        try:
            until = time.monotonic() + 30
            while not answers(settings):
                assert process.poll() is None
                assert time.monotonic() < until
            yield settings
        finally:
            process.terminate()
            process.wait(30)


def answers(settings: PacsSettings) -> bool:
    """Whether the node is up."""
    try:
        return asking.echo(settings, settings.peer["node"]) > 0
    except PeerUnreachableError:
        return False


def test_orthanc_sends_where_it_is_told(orthanc: Orthanc, node_port: int, tmp_path: Path) -> None:
    uid = new_uid()
    settings = known(orthanc)
    push(settings, settings.peer["web"], study(tmp_path / "in", uid))
    with storescp(tmp_path / "out", node_port):
        told: list[tuple[int, int | None]] = []
        came = move(settings, settings.peer["dicom"], uid, "INSULA", lambda *one: told.append(one))
        assert len(list((tmp_path / "out").iterdir())) == came.completed == 4
    with pytest.raises(PeerRefusedError):
        move(settings, settings.peer["dicom"], uid, "NOBODY")


def test_dcmtk_takes_what_is_pushed(tmp_path: Path) -> None:
    sent, port = study(tmp_path / "in", new_uid()), free_port()
    with storescp(tmp_path / "out", port) as settings:
        assert [one.taken for one in push(settings, settings.peer["node"], sent)] == [True] * 4
        stored = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    assert data_sets(stored) == data_sets([one.path.read_bytes() for one in sent])


@pytest.mark.parametrize("kind", KINDS)
def test_by_the_command_line(kind: str, orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom}" if kind == "dicom" else orthanc.web
    monkeypatch.setenv("INSULA_PACS_PEERS", f"archive={address}")
    uid = new_uid()
    sent = study(tmp_path / "in", uid)

    def run(*words: str) -> str:
        got = CliRunner().invoke(main, ["pacs", *words], prog_name="insula", catch_exceptions=False)
        assert got.exit_code == 0, got.output
        return got.stdout

    assert "archive answers in" in run("echo", "archive")
    assert "4 of 4 objects are at archive." in run("push", "archive", str(tmp_path / "in"))
    listed = run("find", "archive", "--patient-name", "Doe", "--since", "2026-01-01")
    assert uid in listed
    assert "Doe^Jane" in listed
    assert f"{uid}.1" in run("find", "archive", "--study", uid, "--series")
    assert "4 objects of 1 study are in" in run("pull", "archive", uid, "--out", str(tmp_path / "out"))
    written = [path.read_bytes() for path in (tmp_path / "out" / uid).iterdir()]
    assert data_sets(written) == data_sets([one.path.read_bytes() for one in sent])
