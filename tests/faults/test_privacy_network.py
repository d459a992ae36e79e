"""Whom an object from the network is of stands in no log of the node or the service, and in no answer to a refusal."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from tests.faults.made_canaries import NAME, PATIENT, STUDY, hidden_in, planted, values_of
from tests.faults.made_watched import Watched, watching
from tests.faults.tally import Tally, sizes
from tests.pacs.fuzz import mutate
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import message, with_rules, workitem
from tests.serve.pacs.listening import calling, node

from insula.serve.jobs.worker import work
from insula.serve.pacs import take, whole
from insula.serve.pacs.rules import read_rules
from insula.serve.pacs.settings import read_pacs_settings
from insula.serve.store import schema
from insula.serve.work import handlers

pytestmark = pytest.mark.serve
CONTEXT = [(CTImageStorage, [ExplicitVRLittleEndian])]
PLACE = "/dicom-web/studies"
# of the sender, in the same process; what pydicom logs goes nowhere in a service (`log.hush`)
_LIBRARIES = ("pynetdicom", "pydicom")


def objects() -> tuple[list[bytes], dict[str, bytes]]:
    """A slice each of two studies (all that tells of a patient differs), and all that is planted in them."""
    made = [planted(number) for number in (1, 2)]
    (one, _), (two, _) = made
    return [one, two.replace(STUDY.encode(), f"{STUDY[:-1]}8".encode())], values_of(*(known for _, known in made))


def wrong(data: bytes) -> list[bytes]:
    """Objects that are refused, each for another reason, and that tell of somebody."""
    one = pydicom.dcmread(io.BytesIO(data))
    one.PatientName = f"{NAME} of another"  # under the UID of an object that is there
    other = io.BytesIO()
    one.save_as(other)
    del one.StudyInstanceUID
    without = io.BytesIO()
    one.save_as(without)
    uid = str(one.SOPInstanceUID).encode()
    hostile = data.replace(uid, PATIENT.encode().ljust(len(uid), b"\0"))
    return [other.getvalue(), without.getvalue(), hostile, data[: len(data) // 3], data[:140] + NAME.encode() * 50]


def by_stow(made: Made, data: list[bytes], found: Watched) -> int:
    """Everything by HTTP; how many requests. Refusals go to what was written."""
    caller = made.client("reviewer")
    good = caller.post(PLACE, **message(data))
    assert good.status_code == 200, good.text
    answers: list[Any] = [caller.post(PLACE, **message([one])) for one in wrong(data[0])]
    answers += [
        caller.post(f"{PLACE}/{STUDY}9", **message(data)),
        caller.post(f"{PLACE}/{PATIENT}", **message(data)),
        caller.post(PLACE, content=data[0], headers={"Content-Type": "application/dicom"}),
        caller.post(PLACE, content=data[0], headers={"Content-Type": f'multipart/related; boundary="{PATIENT}"'}),
        caller.post(f"/dicom-web/workitems?workitem={PATIENT}", json=[workitem()]),
        caller.post("/dicom-web/workitems?workitem=1.2.3", json=[workitem(t00741000={"vr": PATIENT})]),
        caller.get(PLACE, params={"PatientID": PATIENT, "PatientName": NAME, "limit": NAME}),
        caller.get(f"{PLACE}/{PATIENT}/metadata"),
    ]
    for one in answers:
        if one.status_code >= 400 or "00081198" in one.text:
            found.keep("refusals", str(dict(one.headers)) + one.text)
    assert all(one.status_code < 500 for one in answers), [one.status_code for one in answers]
    return len(answers) + 1


def by_c_store(port: int, data: list[bytes]) -> int:
    """Everything by C-STORE, and by whom the node does not know; how many messages."""
    statuses = []
    for number, one in enumerate([wrong(data[0])[1], *data, *wrong(data[0])[:2], *data]):
        with calling(port, CONTEXT) as association:
            try:
                sent = pydicom.dcmread(io.BytesIO(one))
                statuses.append(association.send_c_store(sent, number + 1).get("Status"))
            except (ValueError, AttributeError):  # the sender's own library refuses to send it
                continue
    assert 0 in statuses
    assert any(statuses)
    with calling(port, CONTEXT, calling="STRANGER") as stranger:
        assert not stranger.is_established
    return len(statuses) + 1


def worked(made: Made) -> None:
    """Let whole studies be taken and predicted."""
    settings = read_pacs_settings()
    whole.round_of(made.service, read_rules(settings.rules), timedelta(), schema.now() - timedelta(hours=1))
    done = {take.KIND: take.handler(made.service, settings), **handlers(made.service)}
    work(made.service.records, done, "node", threading.Event(), until_idle=True)


@contextmanager
def only_of_ours() -> Iterator[None]:
    """What the sender's libraries log is not the node's."""
    named = [logging.getLogger(name) for name in _LIBRARIES]
    before = [one.disabled for one in named]
    for one in named:
        one.disabled = True
    yield
    for one, was in zip(named, before, strict=True):
        one.disabled = was


@sizes("mutants", 0, 300)
def test_nobody_stands_in_what_the_node_writes(
    mutants: int, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data, values = objects()
    monkeypatch.setenv("INSULA_PACS_LEAST_FREE_MB", "0")
    with (
        only_of_ours(),
        watching(monkeypatch, tmp_path / "temporary", json_lines=True) as found,
        with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made,
    ):
        count = by_stow(made, data, found)
        with node(made.service) as port:
            count += by_c_store(port, data)
        caller = made.client("reviewer")
        for number in range(mutants):
            answer = caller.post(PLACE, **message([mutate.changed(Random(number), data[number % 2])]))
            found.keep("refusals", answer.text if "00081198" in answer.text or answer.status_code >= 400 else "")
            count += 1
        worked(made)
        studies = made.client("reviewer").get("/api/v1/studies").json()["items"]
        found.keep("metrics", made.client("admin").get("/metrics").content)
        left = found.left_behind()
    assert studies, found.logs.getvalue()[-1500:]
    out = capfd.readouterr()
    found.keep("standard output and error", out.out + out.err)
    written = {where: b"\n".join(parts) for where, parts in found.kept.items()}
    assert b"object refused" in written["logs"]
    told = {name: value for name, value in values.items() if not value.startswith(b"1.2.")}
    hidden = {
        where: sorted(names)[:9]
        for where, text in written.items()
        if (names := hidden_in(text, told if where == "refusals" else values))  # a refusal names the object by its UID
    }
    assert not hidden, hidden
    assert left == []
    size = sum(map(len, written.values()))
    tally.tried(
        "objects of planted patients by C-STORE and STOW-RS, good, wrong and damaged: logs, metrics, traces, refusals",
        count,
        figures={"values": len(values), "bytes searched": size},
    )
