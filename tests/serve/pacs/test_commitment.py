"""Storage commitment with pynetdicom on both sides: who asks, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.pacs.listening import CALLER, calling, node, settings_of, slice_of

from insula.serve.jobs import queue
from insula.serve.jobs.worker import work
from insula.serve.pacs import commitment
from insula.serve.pacs.server.agreed import COMMITMENT
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

RULES = "rules: [{name: heads, when: {study_description: Head}, project: Inside}]"
CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian]), (COMMITMENT, [ExplicitVRLittleEndian])]


@dataclass
class Scanner:
    """A caller that hears reports. status: how it answers them."""

    port: int = 0
    status: int = 0
    heard: list[tuple[int, Dataset]] = field(default_factory=list)

    @property
    def peers(self) -> str:
        return f"scanner=dicom://{CALLER}@127.0.0.1:{self.port}"


@contextmanager
def hearing() -> Iterator[Scanner]:
    found = Scanner()

    def report(event: Any) -> tuple[int, None]:
        found.heard.append((event.request.EventTypeID, event.event_information))
        return found.status, None

    entity = ApplicationEntity(CALLER)
    entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    assert server is not None
    assert server.socket is not None
    found.port = server.socket.getsockname()[1]
    try:
        yield found
    finally:
        server.shutdown()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Rules that take all that is sent here, but for what a test says."""
    found = tmp_path / "rules.yaml"
    found.write_text(RULES)
    return found


def asked(port: int, references: Sequence[tuple[str, str]], transaction: str, **more: Any) -> int:
    """The status with which a request for commitment was answered."""
    wanted = Dataset()
    wanted.TransactionUID = transaction
    wanted.ReferencedSOPSequence = [Dataset() for _ in references]
    for item, (kind, name) in zip(wanted.ReferencedSOPSequence, references, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, name
    told: dict[str, Any] = {"action": 1, "instance": commitment.INSTANCE} | more
    with calling(port, CONTEXTS) as caller:
        status, _ = caller.send_n_action(wanted, told["action"], COMMITMENT, told["instance"])
    return int(status.Status)


def stored(port: int, *numbers: int, study: str, **fields: Any) -> None:
    with calling(port, CONTEXTS) as caller:
        for number in numbers:
            assert caller.send_c_store(slice_of(number, study, **fields)).Status == 0x0000


def worked(service: Service, **settings: Any) -> None:
    done = {commitment.KIND: commitment.handler(service, settings_of(**settings))}
    work(service.records, done, "test", threading.Event(), until_idle=True)


def job_of(service: Service, transaction: str) -> Any:
    with reading(service.records) as connection:
        key = f"pacs-commit-scanner-{transaction}"
        return connection.execute(select(schema.jobs).where(schema.jobs.c.unique_key == key)).first()


def names(told: Dataset, keyword: str) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in told.get(keyword, [])]


def test_who_sent_objects_is_told_that_they_are_kept(made: Made, rules: Path) -> None:
    with hearing() as scanner, node(made.service, peers=scanner.peers) as port:
        stored(port, 1, 2, study="1.2.50")
        wanted = [(CTImageStorage, "1.2.50.1.1"), (CTImageStorage, "1.2.50.1.2")]
        assert asked(port, wanted, "1.2.3.50") == 0x0000
        assert scanner.heard == []
        worked(made.service, peers=scanner.peers, rules=rules)
    ((event, told),) = scanner.heard
    assert (event, told.TransactionUID) == (1, "1.2.3.50")
    assert names(told, "ReferencedSOPSequence") == ["1.2.50.1.1", "1.2.50.1.2"]
    assert "FailedSOPSequence" not in told
    job = job_of(made.service, "1.2.3.50")
    assert (job.state, job.payload) == ("done", {"peer": "scanner"}), "whose objects they were is forgotten"


def test_who_asks_for_what_is_not_kept_is_told_why(made: Made, rules: Path) -> None:
    with hearing() as scanner, node(made.service, peers=scanner.peers) as port:
        stored(port, 1, 2, 3, study="1.2.51")
        with reading(made.service.records) as connection:
            table = schema.pacs_instances.c
            lost = connection.execute(select(table.sha256).where(table.sop_instance_uid == "1.2.51.1.3")).scalar_one()
        made.service.files.delete(lost)
        wanted = [(CTImageStorage, "1.2.51.1.1"), (MRImageStorage, "1.2.51.1.2")]
        wanted += [(CTImageStorage, "1.2.51.1.3"), (CTImageStorage, "1.2.51.1.4")]
        assert asked(port, wanted, "1.2.3.51") == 0x0000
        worked(made.service, peers=scanner.peers, rules=rules)
    ((event, told),) = scanner.heard
    assert event == 2
    assert names(told, "ReferencedSOPSequence") == ["1.2.51.1.1"]
    reasons = {str(one.ReferencedSOPInstanceUID): one.FailureReason for one in told.FailedSOPSequence}
    assert reasons == {"1.2.51.1.2": 0x0119, "1.2.51.1.3": 0x0110, "1.2.51.1.4": 0x0112}


@pytest.mark.parametrize("down", [True, False])
def test_who_cannot_be_told_now_is_told_later(made: Made, down: bool) -> None:
    transaction = f"1.2.3.52.{int(down)}"
    with hearing() as scanner, node(made.service, peers=scanner.peers) as port:
        stored(port, 1, study=f"1.2.52.{int(down)}")
        assert asked(port, [(CTImageStorage, f"1.2.52.{int(down)}.1.1")], transaction) == 0x0000
        scanner.status = 0x0110
        there = replace(scanner, port=1).peers if down else scanner.peers
        worked(made.service, peers=there)
        job = job_of(made.service, transaction)
    with writing(made.service.records) as connection:
        queue.cancel(connection, job.id, schema.now())
    assert (job.state, job.attempts) == ("waiting", 1)
    assert job.error["code"] == ("peer_unreachable" if down else "peer_refused")


def test_requests_that_cannot_be_met_are_refused(made: Made) -> None:
    wanted = [(CTImageStorage, "1.2.53.1.1")]
    with hearing() as scanner, node(made.service, peers=scanner.peers) as port:
        assert asked(port, wanted, "1.2.3.53", action=2) == 0x0123
        assert asked(port, wanted, "1.2.3.53", instance="1.2.3") == 0x0112
        assert asked(port, [], "1.2.3.53") == 0x0115
        assert asked(port, [(CTImageStorage, "1")], "1.2.3.53") == 0x0115
    with node(made.service) as port:
        assert asked(port, wanted, "1.2.3.53") == 0x0124
    assert job_of(made.service, "1.2.3.53") is None


def test_what_no_rule_takes_is_not_promised(made: Made, rules: Path) -> None:
    with hearing() as scanner, node(made.service, peers=scanner.peers) as port:
        stored(port, 1, study="1.2.55", StudyDescription="Knee")
        assert asked(port, [(CTImageStorage, "1.2.55.1.1")], "1.2.3.55") == 0x0000
        worked(made.service, peers=scanner.peers, rules=rules)
    ((event, told),) = scanner.heard
    assert (event, [one.FailureReason for one in told.FailedSOPSequence]) == (2, [0x0110])


def test_what_is_kept_under_pseudonyms_alone_is_not_promised_and_its_names_are_nowhere(
    made: Made, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: a, project: Inside, pseudonymise: true}]")
    hidden: dict[str, Any] = {"rules": rules, "identity_key": "k" * 40}
    with hearing() as scanner, node(made.service, peers=scanner.peers, **hidden) as port:
        stored(port, 1, study="1.2.54")
        wanted = [(CTImageStorage, "1.2.54.1.1"), (CTImageStorage, "1.2.54.1.2")]
        assert asked(port, wanted, "1.2.3.54") == 0x0000
        assert "1.2.54" not in str(job_of(made.service, "1.2.3.54").payload)
        worked(made.service, peers=scanner.peers, **hidden)
    ((event, told),) = scanner.heard
    reasons = {str(one.ReferencedSOPInstanceUID): one.FailureReason for one in told.FailedSOPSequence}
    assert (event, reasons) == (2, {"1.2.54.1.1": 0x0110, "1.2.54.1.2": 0x0112})
