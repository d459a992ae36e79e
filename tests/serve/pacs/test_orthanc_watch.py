"""Watching an Orthanc: what is new comes once, whatever happens in between."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import dcmread
from sqlalchemy import delete, select
from tests.serve.api.made import Made
from tests.serve.pacs.made_peers import Answer, Said, scan, settings, web

from insula.core.errors import UsageError
from insula.serve.pacs import orthanc_watch, received
from insula.serve.pacs.orthanc import reached
from insula.serve.pacs.orthanc_watch import Round, watch
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError
from insula.serve.pacs.pseudonymise import pseudonyms_of
from insula.serve.pacs.received import NoRoomError, Receipt
from insula.serve.pacs.settings import PacsSettings, check
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing


def name(number: int) -> str:
    """An id as Orthanc gives them."""
    return "-".join(f"{number:08x}" for _ in range(5))


@dataclass
class Fake:
    """An Orthanc: its changes, studies by id with instances by id, and files; fails: instances it cannot give."""

    changes: list[dict[str, object]] = field(default_factory=list)
    studies: dict[str, dict[str, bytes]] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    odd: dict[str, bytes] = field(default_factory=dict)

    def stable(self, study: str, *files: bytes) -> None:
        """A study that has become stable with these files more."""
        held = self.studies.setdefault(study, {})
        for data in files:
            held[name(1000 * int(study[:8], 16) + len(held) + 1)] = data
        for kind in ("NewInstance", "StableStudy"):
            self.changes.append({"ChangeType": kind, "ID": study, "Seq": len(self.changes) + 1})

    def answer(self, said: Said) -> Answer:
        """Its REST interface."""
        path = urlsplit(said.path)
        self.asked[path.path] += 1
        if path.path in self.odd:
            return Answer(200, self.odd[path.path])
        parts = path.path.strip("/").split("/")
        if parts == ["changes"]:
            query = parse_qs(path.query, keep_blank_values=True)
            last = len(self.changes)
            if "last" in query:
                return Answer(200, json.dumps({"Changes": self.changes[-1:], "Done": True, "Last": last}).encode())
            since, limit = int(query["since"][0]), int(query["limit"][0])
            given = self.changes[since : since + min(limit, 3)]
            reach = since + len(given)
            return Answer(200, json.dumps({"Changes": given, "Done": reach == last, "Last": reach}).encode())
        if parts[0] == "studies" and parts[1] in self.studies:
            listed = [
                {"ID": key, "MainDicomTags": {"SOPInstanceUID": str(dcmread(BytesIO(data)).SOPInstanceUID)}}
                for key, data in self.studies[parts[1]].items()
            ]
            return Answer(200, json.dumps(listed).encode())
        held = {key: data for study in self.studies.values() for key, data in study.items()}
        if parts[0] == "instances" and parts[1] in self.fails:
            return Answer(500)
        if parts[0] == "instances" and parts[1] in held:
            return Answer(200, held[parts[1]])
        return Answer(404)


@pytest.fixture(autouse=True)
def empty(made: Made) -> None:
    """Nothing was received yet."""
    with writing(made.service.records) as connection:
        for table in (schema.pacs_studies, schema.pacs_watched, schema.pacs_objects):
            connection.execute(delete(table))


def go(made: Made, known: PacsSettings, troubles: Counter[str] | None = None) -> int:
    """One look."""
    peer = known.peer["archive"]
    with reached(known, peer) as orthanc:
        these = (pseudonyms_of(known), threading.Event(), Counter() if troubles is None else troubles)
        return Round(made.service, known, peer, orthanc, *these).go()


def uids(made: Made) -> list[str]:
    with reading(made.service.records) as connection:
        return list(connection.execute(select(schema.pacs_instances.c.sop_instance_uid)).scalars())


def last(made: Made) -> int:
    with reading(made.service.records) as connection:
        return int(connection.execute(select(schema.pacs_watched.c.last)).scalar_one())


def test_what_becomes_stable_comes_once(made: Made) -> None:
    there = Fake()
    there.stable(name(1), scan(1))
    with web(there.answer) as (address, _):
        known = settings(address)
        assert go(made, known) == 0  # what was there before is nobody's news
        there.stable(name(2), scan(1), scan(2))
        there.stable(name(3), scan(3))
        assert go(made, known) == 2
        assert (len(uids(made)), last(made)) == (3, 6)
        assert go(made, known) == 0
        there.stable(name(2), scan(4))
        assert go(made, known) == 1
    assert len(uids(made)) == 4
    files = {path: many for path, many in there.asked.items() if path.endswith("/file")}
    assert set(files.values()) == {1}  # what is here already is not fetched again
    with reading(made.service.records) as connection:
        assert set(connection.execute(select(schema.pacs_studies.c.source)).scalars()) == {"archive"}


def test_what_is_gone_meanwhile_is_passed_over(made: Made) -> None:
    there = Fake()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1))
        there.stable(name(2), scan(2), scan(3))
        del there.studies[name(1)]
        gone = next(iter(there.studies[name(2)]))
        there.odd[f"/studies/{name(2)}/instances"] = json.dumps(
            [{"ID": gone, "MainDicomTags": {}}, {"ID": name(9), "MainDicomTags": {"SOPInstanceUID": "1.9"}}]
        ).encode()
        assert go(made, known) == 2
    assert (len(uids(made)), last(made)) == (1, 4)


def test_an_object_that_is_refused_holds_up_no_other(made: Made) -> None:
    there = Fake()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1, SOPInstanceUID="1.2.3"), scan(2))
        go(made, known)
        there.studies[name(2)] = {name(7): scan(9, SOPInstanceUID="1.2.3"), name(8): scan(3)}
        listed = [{"ID": one, "MainDicomTags": {}} for one in (name(7), name(8))]
        there.odd[f"/studies/{name(2)}/instances"] = json.dumps(listed).encode()
        there.stable(name(2))
        assert go(made, known) == 1
    assert (len(uids(made)), last(made)) == (3, 4)


def test_an_object_that_cannot_be_given_is_tried_some_times_and_then_passed_over(made: Made) -> None:
    there = Fake()
    troubles: Counter[str] = Counter()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1), scan(2))
        there.fails = {next(iter(there.studies[name(1)]))}
        for _ in range(4):
            with pytest.raises(PeerRefusedError):
                go(made, known, troubles)
            assert last(made) == 0
        assert go(made, known, troubles) == 1
    assert (len(uids(made)), last(made)) == (1, 2)


def test_a_store_that_begins_anew_is_taken_from_its_beginning(made: Made) -> None:
    there = Fake()
    for number in range(5):
        there.stable(name(number + 1))
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        assert last(made) == 10
        there.changes.clear()
        there.studies.clear()
        there.stable(name(1), scan(1))
        assert go(made, known) == 1
    assert (len(uids(made)), last(made)) == (1, 2)


@pytest.mark.parametrize("uids_of_it", [("1.2.3.99", None), ("1.2.3.98", "1.2.3.99")], ids=["as stored", "as sent"])
def test_what_was_made_here_is_not_fetched_back(made: Made, uids_of_it: tuple[str, str | None]) -> None:
    ours = scan(1, SOPInstanceUID="1.2.3.99")
    prediction = made.predicted()["id"]
    with writing(made.service.records) as connection:
        connection.execute(
            schema.pacs_objects.insert().values(
                prediction_id=prediction, kind="report", study_uid="1.2.3", series_uid="1.2.4",
                sop_instance_uid=uids_of_it[0], sent_uid=uids_of_it[1], sop_class_uid="1.2", modality="SR",
                sha256="0" * 64, size=1,
            )
        )  # fmt: skip
    there = Fake()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), ours)
        assert go(made, known) == 1
    assert uids(made) == []
    assert not any(path.endswith("/file") for path in there.asked)


@pytest.mark.parametrize("limit", [{"most_waiting": 1}, {"least_free_mb": 1 << 40}])
def test_nothing_is_fetched_while_there_is_no_room(limit: dict[str, int], made: Made) -> None:
    there = Fake()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1, "1.2.1"))
        there.stable(name(2), scan(2, "1.2.2"))
        tight = settings(address, **limit)
        fetched = go(made, tight)
        assert fetched == (1 if "most_waiting" in limit else 0)
        assert last(made) < 4
        assert go(made, known) == 2 - fetched
    assert len(uids(made)) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/changes", b"[]"),
        ("/changes", b"<html>"),
        ("/changes", b'{"Changes": 1, "Last": 2}'),
        ("/changes", b'{"Changes": [], "Last": "2"}'),
        ("/changes", b'{"Changes": [], "Last": true}'),
        ("/changes", b'{"Changes": [{"Seq": 2, "ID": "../..", "ChangeType": "StableStudy"}], "Last": 2}'),
        ("/changes", b'{"Changes": [{"Seq": 2}, {"Seq": 2}], "Last": 2}'),
        ("/changes", b'{"Changes": ["x"], "Last": 2}'),
        ("/changes", b"[" * 100_000),
        (f"/studies/{name(1)}/instances", b"{}"),
        (f"/studies/{name(1)}/instances", b'[{"ID": "../../shutdown"}]'),
        (f"/studies/{name(1)}/instances", b"[1]"),
    ],
)
def test_what_is_no_orthanc(path: str, body: bytes, made: Made) -> None:
    there = Fake()
    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1))
        there.odd[path] = body
        with pytest.raises(PeerAnswerError):
            go(made, known)
    assert uids(made) == []


def test_the_watch_goes_on_after_an_orthanc_was_away(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    there, away, came, stop = Fake(), threading.Event(), threading.Event(), threading.Event()
    away.set()
    refused = threading.Event()

    def answer(said: Said) -> Answer:
        if away.is_set():
            refused.set()
            return Answer(503)
        return there.answer(said)

    def receive(*given: Any) -> Receipt:
        kept = received.receive(*given)
        came.set()
        return kept

    monkeypatch.setattr(orthanc_watch, "receive", receive)
    with web(answer) as (address, _):
        known = settings(address, orthanc="archive")
        with writing(made.service.records) as connection:
            connection.execute(schema.pacs_watched.insert().values(peer="archive", last=0))
        there.stable(name(1), scan(1))
        thread = threading.Thread(target=watch, args=(made.service, known, stop, 0.02))
        thread.start()
        try:
            assert refused.wait(30)
            away.clear()
            assert came.wait(30)
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()
    assert len(uids(made)) == 1


def test_without_an_orthanc_the_watch_waits_to_be_stopped(made: Made) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(made.service, PacsSettings(), stop))
    thread.start()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_an_orthanc_is_reached_over_the_web() -> None:
    with pytest.raises(UsageError, match="INSULA_PACS_ORTHANC"):
        check(settings("dicom://ARCHIVE@127.0.0.1", orthanc="archive"))
    check(settings("http://127.0.0.1:8042/dicom-web", orthanc="archive"))


def test_what_finds_no_room_is_looked_at_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    there, receive = Fake(), received.receive

    def full(*given: Any) -> Receipt:
        if uids(made):
            raise NoRoomError("The disk is full.")
        return receive(*given)

    with web(there.answer) as (address, _):
        known = settings(address)
        go(made, known)
        there.stable(name(1), scan(1), scan(2))
        with monkeypatch.context() as patch:
            patch.setattr(orthanc_watch, "receive", full)
            assert go(made, known) == 0
        assert len(uids(made)) == 1
        assert go(made, known) == 1
    assert len(uids(made)) == 2
