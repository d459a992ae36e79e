"""Fetching a study, and the job that does it."""

from __future__ import annotations

import threading

import pytest
from pydicom.uid import CTImageStorage
from sqlalchemy import delete, select
from tests.serve.api.made import Made
from tests.serve.pacs.made_peers import STUDY, Answer, archive, found, scan, settings, web

from insula.core.errors import UsageError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, Wanted
from insula.serve.jobs.worker import GivenUpError, work
from insula.serve.pacs import dimse, pull
from insula.serve.pacs.peer_errors import PeerRefusedError
from insula.serve.pacs.received import NoRoomError
from insula.serve.pacs.settings import PacsSettings
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now


@pytest.fixture(autouse=True)
def empty(made: Made) -> None:
    """Nothing was received yet."""
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_studies))


def put(made: Made, peer: str = "archive", study: str = STUDY) -> str:
    with writing(made.service.records) as connection:
        wanted = Wanted(pull.KIND, {"peer": peer, "study_uid": study}, created_by=made.ids["reviewer"], most_attempts=2)
        return queue.put(connection, wanted, now()).id


def worked(made: Made, known: PacsSettings, name: str) -> Job:
    handlers = {pull.KIND: pull.handler(made.service, known)}
    work(made.service.records, handlers, "test", threading.Event(), until_idle=True)
    with reading(made.service.records) as connection:
        return queue.get(connection, name, None)


def sources(made: Made) -> list[str]:
    with reading(made.service.records) as connection:
        return list(connection.execute(select(schema.pacs_studies.c.source)).scalars())


def instances(made: Made) -> int:
    with reading(made.service.records) as connection:
        return len(connection.execute(select(schema.pacs_instances.c.id)).all())


def test_a_study_comes_into_the_records_as_if_it_had_been_sent(made: Made) -> None:
    with archive([scan(n) for n in range(1, 4)]) as there:
        job = worked(made, settings(there.address), put(made))
    assert (job.state, job.result) == ("done", {"peer": "archive", "objects": 3, "refused": 0})
    assert (instances(made), sources(made)) == (3, ["ARCHIVE"])
    assert job.payload == {"peer": "archive"}, "whose study it was is forgotten once it is here"
    with reading(made.service.records) as connection:
        last = connection.execute(select(schema.trail).order_by(schema.trail.c.seq.desc())).first()
    assert last is not None
    assert (last.actor, last.action, last.subject) == ("reviewer", "pacs.pulled", job.id)
    assert STUDY not in str(last.detail)


def test_from_a_web_server_its_source_is_the_peers_name(made: Made) -> None:
    body = b"--b\r\n\r\n" + scan() + b"\r\n--b\r\n\r\nno object\r\n--b--"
    with web(lambda said: Answer(200, body, {"Content-Type": "multipart/related; boundary=b"})) as (address, _):
        job = worked(made, settings(address), put(made))
    assert job.result == {"peer": "archive", "objects": 1, "refused": 1}
    assert (instances(made), sources(made)) == (1, ["archive"])


@pytest.mark.parametrize("kind", ["dicom", "web"])
def test_a_study_that_finds_no_room_is_pulled_again(made: Made, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise NoRoomError("The disk is full.")

    body = b"--b\r\n\r\n" + scan() + b"\r\n--b--"
    monkeypatch.setattr(pull, "receive", full)
    with (
        archive([scan()]) as there,
        web(lambda said: Answer(200, body, {"Content-Type": "multipart/related; boundary=b"})) as (address, _),
    ):
        job = worked(made, settings(address if kind == "web" else there.address), put(made))
    assert (job.state, instances(made)) == ("waiting", 0)
    assert job.error is not None
    assert job.error["code"] == "partly_done"
    assert job.payload["study_uid"] == STUDY
    with writing(made.service.records) as connection:
        queue.cancel(connection, job.id, now())


def test_an_archive_without_c_get_is_asked_to_send_to_the_node(made: Made) -> None:
    with (
        archive(does=(CTImageStorage,)) as node,
        archive([scan(1), scan(2)], does=(dimse.FIND, dimse.MOVE), node=node.port) as there,
    ):
        there.answers = [found(1)]
        job = worked(made, settings(there.address, ae_title="ARCHIVE"), put(made))
    assert (job.state, job.result) == ("done", {"peer": "archive", "objects": 2, "refused": 0})
    assert there.moved_to == ["ARCHIVE"]
    assert len(node.stored) == 2


def test_a_study_that_the_archive_does_not_have(made: Made) -> None:
    with archive() as there:
        there.get_status = 0xA702
        there.answers = []
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match="no such study") as refusal:
            pull.fetch(known, known.peer["archive"], STUDY, lambda data: None)
    assert refusal.value.status == 404
    assert there.moved_to == []


def test_an_archive_that_sends_nowhere(made: Made) -> None:
    with archive([], does=(dimse.FIND, dimse.MOVE)) as there:
        there.answers = [found(1)]
        job = worked(made, settings(there.address), put(made))
    assert job.state == "waiting"  # it is tried again later
    assert job.error is not None
    assert (job.error["code"], STUDY in job.error["message"]) == ("peer_refused", False)


@pytest.mark.parametrize(("peer", "study"), [("nobody", STUDY), ("archive", "1.2.x")])
def test_a_job_that_cannot_be_done_is_tried_once(peer: str, study: str, made: Made) -> None:
    job = worked(made, settings("dicom://ARCHIVE@127.0.0.1:1"), put(made, peer, study))
    assert (job.state, job.attempts) == ("failed", 1)


def test_a_job_that_is_cancelled_is_given_up_and_what_came_stays(made: Made) -> None:
    sent = [scan(n) for n in range(1, 30)]
    with reading(made.service.records) as connection:
        job = queue.get(connection, put(made), None)
    with archive(sent) as there, pytest.raises(GivenUpError):
        pull.handler(made.service, settings(there.address))(job, lambda done, step: None, lambda: instances(made) > 0)
    with writing(made.service.records) as connection:
        queue.cancel(connection, job.id, now())
    assert 0 < instances(made) < len(sent)
    assert there.moved_to == []


def test_what_is_no_uid_is_not_asked_for() -> None:
    known = settings("dicom://ARCHIVE@127.0.0.1:1")
    with pytest.raises(UsageError):
        pull.fetch(known, known.peer["archive"], "*", lambda data: None)
