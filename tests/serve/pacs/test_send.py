"""Sending a prediction: to an archive by DIMSE and by web, as a message, as a resource; and when a peer says no."""

from __future__ import annotations

import base64
import io
import json
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from hl7apy.parser import parse_message
from pydicom.dataset import Dataset
from pydicom.uid import UID
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.pacs.made_certificate import certificate
from tests.serve.pacs.made_peers import Answer, Said, acks, archive, line, web
from tests.serve.pacs.sending import (
    ACCESSION,
    NAME,
    SOON,
    TAKES,
    ask,
    deliveries,
    job,
    parsed,
    predicted,
    rejecting,
    reviewed,
    settings_of,
    worked,
)

from insula.core.errors import InsulaError
from insula.report.case.hl7 import Order
from insula.scans.write import made_uid
from insula.serve.faults import RequestError
from insula.serve.pacs import hl7, outbox, send
from insula.serve.pacs.messages import order_in
from insula.serve.pacs.outcome import Outcome, Ready
from insula.serve.pacs.peer_errors import PartlyDoneError, PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.send import check
from insula.serve.pacs.settings import read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = [pytest.mark.serve, pytest.mark.usefixtures("settled")]


def told(made: Made, prediction: str) -> list[dict[str, Any]]:
    """What the trail has of sendings of a prediction."""
    trail = schema.trail.c
    these = (trail.action == "pacs.send", trail.subject == prediction)
    with reading(made.service.records) as connection:
        rows = connection.execute(select(trail.actor, trail.detail).where(*these).order_by(trail.seq)).all()
    return [{"actor": row.actor, **json.loads(row.detail)} for row in rows]


def test_an_archive_gets_every_object_in_the_patients_study(made: Made) -> None:
    answer = predicted(made, "SEND-1")
    with archive(does=TAKES) as there:
        name = ask(made, answer, "archive", ["report", "capture", "map"])
        assert worked(made, settings_of(archive=there.address)) == 1
    found = job(made, name)
    assert found.state == "done", found.error
    assert found.result == {"objects": len(there.stored)}
    sent = [parsed(data) for data in there.stored]
    assert {str(one.StudyInstanceUID) for one in sent} == {made_uid("study of", "SEND-1")}
    assert {(str(one.PatientName), one.PatientID, one.AccessionNumber) for one in sent} == {(NAME, "SEND-1", ACCESSION)}
    assert {one.Modality for one in sent} >= {"SR", "OT"}
    assert deliveries(made, answer["id"]) == [("archive", len(sent), None)]
    assert told(made, answer["id"]) == [{"actor": "pacs", "peer": "archive", "objects": len(sent), "review": None}]


def test_a_prediction_that_is_to_be_sent_is_put_once_for_each_peer(made: Made) -> None:
    answer = predicted(made, "SEND-2", send={"peers": ["down", "archive", "down"], "objects": ["report"]})
    jobs = schema.jobs.c
    keys = [f"pacs-send-{answer['id']}-{peer}" for peer in ("archive", "down")]
    with reading(made.service.records) as connection:
        rows = connection.execute(select(schema.jobs).where(jobs.unique_key.in_(keys)).order_by(jobs.unique_key)).all()
    assert [row.payload for row in rows] == [
        {"prediction": answer["id"], "peer": peer, "objects": ["report"]} for peer in ("archive", "down")
    ]
    assert {(row.kind, row.project_id, row.study_id, row.most_attempts) for row in rows} == {
        ("pacs_send", made.inside, answer["study_id"], outbox.MOST_ATTEMPTS)
    }
    with archive(does=TAKES) as there:  # and one that is down holds up no other
        worked(made, settings_of(archive=there.address, down="dicom://NOBODY@127.0.0.1:9"))
    assert [peer for peer, _, _ in deliveries(made, answer["id"])] == ["archive"]
    waiting = job(made, rows[1].id)
    assert (waiting.state, waiting.attempts, waiting.error["code"]) == ("waiting", 1, "peer_unreachable")
    with archive(does=TAKES) as there:
        worked(made, settings_of(archive=there.address, down=there.address), SOON)
    assert [peer for peer, _, _ in deliveries(made, answer["id"])] == ["archive", "down"]


def test_a_prediction_by_hand_is_sent_nowhere(made: Made) -> None:
    answer = predicted(made, "SEND-3")
    with reading(made.service.records) as connection:
        kinds = connection.scalars(select(schema.jobs.c.kind).where(schema.jobs.c.study_id == answer["study_id"]))
        assert set(kinds) == {"predict"}


def test_an_archive_that_is_full_is_tried_again_and_takes_the_same_objects(made: Made) -> None:
    answer = predicted(made, "SEND-4")
    with archive(does=TAKES) as there:
        name = ask(made, answer, "archive", ["report", "capture"])
        there.store_status = lambda number: 0xA702 if number == 2 else 0x0000
        assert worked(made, settings_of(archive=there.address)) == 0
        waiting = job(made, name)
        assert (waiting.state, waiting.error["code"]) == ("waiting", "partly_done")
        assert "0xA702" in waiting.error["message"]
        assert deliveries(made, answer["id"]) == []
        first = [parsed(data).SOPInstanceUID for data in there.stored]
        there.store_status = lambda number: 0x0111  # it has them, by their UIDs
        there.stored.clear()
        assert worked(made, settings_of(archive=there.address), SOON) == 1
    assert [parsed(data).SOPInstanceUID for data in there.stored] == first
    assert job(made, name).state == "done"


@pytest.mark.parametrize("does", [TAKES[1:], TAKES])
def test_what_an_archive_refuses_for_good_fails_and_says_so(made: Made, does: list[UID]) -> None:
    answer = predicted(made, f"SEND-5-{len(does)}")
    with archive(does=does) as there:
        there.store_status = lambda number: 0xC001
        name = ask(made, answer, "archive", ["report", "capture"])
        assert worked(made, settings_of(archive=there.address)) == 1
    failed = job(made, name)
    assert (failed.state, failed.error["code"]) == ("failed", "object_refused")
    assert "'archive' took 0 of" in failed.error["message"]
    assert deliveries(made, answer["id"]) == []


def test_objects_go_by_web(made: Made) -> None:
    answer = predicted(made, "SEND-6")
    refused: list[str] = []

    def takes(said: Said) -> Answer:
        boundary = said.headers["Content-Type"].split('boundary="')[1].rstrip('"').encode()
        parts = said.body.split(b"--" + boundary)[1:-1]
        files = [pydicom.dcmread(io.BytesIO(part.split(b"\r\n\r\n", 1)[1][:-2])) for part in parts]
        rows = [
            {"00081155": {"vr": "UI", "Value": [str(one.SOPInstanceUID)]}}
            | ({"00081197": {"vr": "US", "Value": [0xA700]}} if refused else {})
            for one in files
        ]
        body = {("00081198" if refused else "00081199"): {"vr": "SQ", "Value": rows}}
        return Answer(409 if refused else 200, json.dumps(body).encode(), {"Content-Type": "application/dicom+json"})

    with web(takes) as (address, got):
        refused.append("all")
        name = ask(made, answer, "archive", ["report", "map"])
        assert worked(made, settings_of(archive=address)) == 0
        assert job(made, name).error["code"] == "partly_done"
        refused.clear()
        assert worked(made, settings_of(archive=address), SOON) == 1
    assert {said.path for said in got} == {"/dicom-web/studies"}
    assert job(made, name).result == {"objects": 2}


def test_a_message_names_the_patient_as_the_study_does(made: Made) -> None:
    answer = predicted(made, "SEND-7")
    got: list[bytes] = []
    with line(acks(got=got)) as port:
        name = ask(made, answer, "ris", ["report", "capture", "pdf"])
        assert worked(made, settings_of(ris=f"mllp://127.0.0.1:{port}")) == 1
    assert job(made, name).state == "done", job(made, name).error
    text = got[0][1:-2].decode()
    found = parse_message(text, find_groups=True)
    assert found.msh.msh_5.value == "RIS"
    rows = [line.split("|") for line in text.split("\r")]
    (pid,) = (row for row in rows if row[0] == "PID")
    assert (pid[3], pid[5], pid[7], pid[8]) == ("SEND-7", "Öztürk^Işıl^^^^^L^A", "19700131", "F")
    (obr,) = (row for row in rows if row[0] == "OBR")
    assert (obr[3], obr[25]) == (ACCESSION, "P")
    assert next(row[5] for row in rows if row[0] == "OBX") == made_uid("study of", "SEND-7")
    paper = next(row[5] for row in rows if row[0] == "OBX" and row[2] == "ED")
    assert base64.b64decode(paper.split("^")[4]).startswith(b"%PDF")


def test_a_message_needs_a_patient_number(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = predicted(made, "SEND-27")
    monkeypatch.setattr(send, "order_of", lambda *_: Order("1.2.3", ""))
    got: list[bytes] = []
    with line(acks(got=got)) as port:
        name = ask(made, answer, "ris", ["report"])
        worked(made, settings_of(ris=f"mllp://127.0.0.1:{port}"))
    found = job(made, name)
    assert (found.state, found.error["code"], got) == ("failed", "no_patient_id", [])
    assert "1.2.3" not in found.error["message"]


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ({"StudyDate": "20260131", "StudyTime": "1402"}, "202601311402"),
        ({"SeriesDate": "20260131", "StudyTime": "1402"}, "20260131"),
        ({"StudyDate": "", "AcquisitionDateTime": "20260131140203"}, "20260131140203"),
        ({}, ""),
    ],
)
def test_a_message_says_when_the_study_was_made(told: dict[str, str], taken: str) -> None:
    header = Dataset()
    for keyword, value in told.items():
        setattr(header, keyword, value)
    assert order_in(header).taken == taken


@pytest.mark.parametrize(
    ("code", "state", "said"), [("AR", "waiting", "peer_refused"), ("AE", "failed", "message_refused")]
)
def test_a_message_that_is_not_taken(made: Made, code: str, state: str, said: str) -> None:
    answer = predicted(made, f"SEND-8-{code}")
    with line(acks(code)) as port:
        name = ask(made, answer, "ris", ["report"])
        worked(made, settings_of(ris=f"mllp://127.0.0.1:{port}"))
    found = job(made, name)
    assert (found.state, found.error["code"]) == (state, said)
    assert NAME.split("^", maxsplit=1)[0] not in str(found.error)


def test_a_message_has_the_same_number_at_each_try_and_another_one_when_it_is_asked_for_again(made: Made) -> None:
    answer = predicted(made, "SEND-25")
    got: list[bytes] = []
    codes = ["AR", "AA", "AA"]

    def speak(called: socket.socket) -> None:
        acks(codes[len(got)], got=got)(called)

    with line(speak) as port:
        known = settings_of(ris=f"mllp://127.0.0.1:{port}")
        ask(made, answer, "ris", ["report"])
        assert worked(made, known) == 0
        assert worked(made, known, SOON) == 1
        ask(made, answer, "ris", ["report"])
        assert worked(made, known) == 1
    first, second, third = (one.split(b"|")[9] for one in got)
    assert first == second != third


def test_a_resource_is_made_or_renewed_by_its_identifier(made: Made) -> None:
    answer = predicted(made, "SEND-10")
    with web(lambda said: Answer(201)) as (address, got):
        known = settings_of(fhir=f"fhir+{address}")
        ask(made, answer, "fhir", ["report"])
        assert worked(made, known) == 1
        ask(made, answer, "fhir", ["report", "pdf"], review=reviewed(made, answer))
        assert worked(made, known) == 1
    first, second = (json.loads(said.body) for said in got)
    assert {said.method for said in got} == {"PUT"}
    wanted = {tuple(parse_qs(urlsplit(said.path).query)["identifier"]) for said in got}
    (identifier,) = first["identifier"]
    assert wanted == {(f"{identifier['system']}|{identifier['value']}",)}
    for resource in (first, second):
        DiagnosticReport.model_validate(resource)
        assert resource["subject"]["identifier"] == {"value": "SEND-10"}
        assert resource["effectiveDateTime"] == "2026-11-25"
        uid = f"urn:oid:{made_uid('study of', 'SEND-10')}"
        assert resource["imagingStudy"][0]["identifier"] == {"system": "urn:dicom:uid", "value": uid}
        assert resource["basedOn"][0]["identifier"]["value"] == ACCESSION
    assert (first["status"], second["status"]) == ("preliminary", "final")
    assert "presentedForm" not in first
    assert base64.b64decode(second["presentedForm"][0]["data"]).startswith(b"%PDF")


@pytest.mark.parametrize(("status", "state"), [(422, "failed"), (503, "waiting"), (401, "waiting"), (302, "waiting")])
def test_a_resource_that_is_not_taken(made: Made, status: int, state: str) -> None:
    answer = predicted(made, f"SEND-11-{status}")
    with web(lambda said: Answer(status, headers={"Location": "http://127.0.0.1:1/elsewhere"})) as (address, got):
        name = ask(made, answer, "fhir", ["report"])
        worked(made, settings_of(fhir=f"fhir+{address}"))
    assert job(made, name).state == state
    assert len(got) == 1


def test_a_rejected_case_is_told_as_one(made: Made) -> None:
    answer = predicted(made, "SEND-12")
    got: list[bytes] = []
    with rejecting(made, answer["id"]), archive(does=TAKES) as there, line(acks(got=got)) as port:
        ask(made, answer, "archive", ["report", "capture", "map", "region"])
        ask(made, answer, "ris", ["report"])
        worked(made, settings_of(archive=there.address, ris=f"mllp://127.0.0.1:{port}"))
    assert [parsed(data).Modality for data in there.stored] == ["SR"]
    text = got[0].decode()
    assert "|reject|" in text
    assert "the scan is no head" in text
    assert all(name not in text for name in answer["answer"]["probabilities"])


def test_a_peer_that_is_not_set_fails_at_once(made: Made) -> None:
    answer = predicted(made, "SEND-13")
    name = ask(made, answer, "gone", ["report"])
    with archive(does=TAKES) as there:
        assert worked(made, settings_of(archive=there.address)) == 1
    assert job(made, name).state == "failed"
    assert "INSULA_PACS_PEERS" in job(made, name).error["message"]


PEER = Peer("ris", "hl7", False, "127.0.0.1", 1)
OBJECT = Ready(Path("object.dcm"), "1.2", TAKES[0], "1.2.3", "1.2.840.10008.1.2.1")


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        ([0, 0], None),
        ([0, 0xB000], None),  # a warning
        ([0, 0x0111], None),
        ([0], PartlyDoneError),
        ([0, 0xA7FF], PartlyDoneError),
        ([0x0110, 0x0213], PartlyDoneError),
        ([0, 0xA900], RequestError),
        ([0xA700, 0xC000], RequestError),
    ],
)
def test_what_the_answers_of_an_archive_mean(statuses: list[int], error: type[InsulaError] | None) -> None:
    outcomes = [Outcome(OBJECT, status) for status in statuses]
    if error is None:
        check(PEER, 2, outcomes)
        return
    with pytest.raises(error):
        check(PEER, 2, outcomes)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", PeerAnswerError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + hl7.END, PeerAnswerError),
        (hl7.START + b"MSH|^~\\&|" + hl7.END, PeerAnswerError),
        (hl7.START + b"MSH|^~\\&|\rMSA|AA|another\r" + hl7.END, PeerAnswerError),
        (hl7.START + b"\xff\xfe" * 40_000, PeerAnswerError),
        (hl7.START + b"MSH|^~\\&|\rMSA|AR|7\r" + hl7.END, PeerRefusedError),
        (hl7.START + b"MSH|^~\\&|\rMSA|A\x1bE|7\r" + hl7.END, RequestError),
        (hl7.START + b"MSH#^~\\&#\nMSA#CA#7\n" + hl7.END, None),
    ],
)
def test_what_a_receiver_of_messages_answers(answer: bytes, error: type[InsulaError] | None) -> None:
    def speak(called: socket.socket) -> None:
        called.recv(65536)
        called.sendall(answer)

    with line(speak) as port:
        known = settings_of(ris=f"mllp://127.0.0.1:{port}")
        if error is None:
            hl7.deliver(known, known.peer["ris"], "MSH|", "7")
            return
        with pytest.raises(error) as refused:
            hl7.deliver(known, known.peer["ris"], "MSH|", "7")
    assert "\x1b" not in str(refused.value)


def test_a_receiver_that_is_away_is_unreachable() -> None:
    known = settings_of(ris="mllp://127.0.0.1:9", sealed="mllps://127.0.0.1:9")
    for name in ("ris", "sealed"):
        with pytest.raises(PeerUnreachableError):
            hl7.deliver(known, known.peer[name], "MSH|", "7")


def test_a_receiver_without_tls_gets_no_message_that_should_be_sealed() -> None:
    got: list[bytes] = []

    def speak(called: socket.socket) -> None:
        got.append(called.recv(65536))

    with line(speak) as port:
        known = settings_of(ris=f"mllps://127.0.0.1:{port}")
        with pytest.raises(PeerUnreachableError):
            hl7.deliver(known, known.peer["ris"], "MSH|secret", "7")
    assert b"secret" not in b"".join(got)


def test_a_message_is_sealed_for_the_receiver_whose_certificate_is_believed(tmp_path: Path) -> None:
    theirs, others = certificate(tmp_path, "ris"), certificate(tmp_path, "others")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.cert, theirs.key)
    got: list[bytes] = []

    def speak(called: socket.socket) -> None:
        with context.wrap_socket(called, server_side=True) as sealed:
            acks(got=got)(sealed)

    message = "MSH|^~\\&|INSULA||RIS||20261126||ORU^R01^ORU_R01|7|P|2.5.1\r"
    with line(speak) as port:
        address = f"ris=mllps://localhost:{port}"
        known = read_pacs_settings(peers=address, tls_ca=theirs.cert)
        hl7.deliver(known, known.peer["ris"], message, "7")
        assert got == [hl7.START + message.encode() + hl7.END]
        with pytest.raises(PeerUnreachableError, match="INSULA_PACS_TLS_CA"):
            hl7.deliver(read_pacs_settings(peers=address, tls_ca=others.cert), known.peer["ris"], message, "7")
    assert len(got) == 1
