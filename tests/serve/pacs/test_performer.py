"""Work items of a real worklist (a service of its own) performed by a node, from their claim to their end."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select, update
from tests.serve.dicomweb.made import code, study, values
from tests.serve.pacs.ward import Ward, output, sent_in, ward

from insula.serve.pacs import answered, performer, ups_web
from insula.serve.pacs.identity import IdentityError
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerUnreachableError
from insula.serve.pacs.performer import Performer, watch
from insula.serve.pacs.received import NoRoomError
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """One ward for all tests that leave it as it was."""
    with ward(Path(tmp_path_factory.mktemp("ward"))) as found:
        yield found


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test nothing waits and nothing is at work, whatever became of it."""
    yield
    if "here" in request.fixturenames:
        found: Ward = request.getfixturevalue("here")
        with found.manager.made.service.records.begin() as connection:
            connection.execute(schema.workitems.delete())
        with found.node.service.records.begin() as connection:
            connection.execute(schema.workitems_taken.delete())


def changed(data: bytes) -> bytes:
    """Another object under the same UID."""
    one, stream = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    one.PatientName = "Roe^Richard"
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_work_item_is_claimed_predicted_delivered_and_completed(here: Ward) -> None:
    uid = sent_in(here.archive)
    destination = {
        "00404072": {"vr": "SQ", "Value": [{"00404073": {"vr": "UR", "Value": [f"{here.archive.url}/studies"]}}]}
    }
    name = here.order(uid, t00404070={"vr": "SQ", "Value": [destination]})
    assert here.round() == 1
    assert here.state(name) == "IN PROGRESS"
    (progress,) = values(here.seen(name), "00741002")
    assert values(progress, "00741004") == [20]
    here.work()
    assert here.round() == 1, "now it is predicted, and to be delivered"
    here.work()
    assert here.round() == 0
    seen = here.seen(name)
    assert here.state(name) == "COMPLETED"
    (made,) = output(seen)
    assert values(made, "0020000D") == [uid]
    (where,) = values(made, "0040E025")
    assert values(where, "00081190") == [f"{here.archive.url}/studies/{uid}/series/{values(made, '0020000E')[0]}"]
    told = {values(one, "00081155")[0] for one in values(made, "00081199")}
    have = {str(pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID) for one in here.archive.studies[uid]}
    assert told
    assert told <= have, "what the work item names is in the archive"
    performed = values(seen, "00741216")[0]
    assert values(values(performed, "00404019")[0], "00080100") == ["HEADS"], "what was ordered was done"
    assert values(values(performed, "00404028")[0], "00080100") == ["INSULA"]
    assert here.left() == 0
    with reading(here.node.service.records) as connection:
        trail = connection.execute(
            select(schema.trail.c.action).where(schema.trail.c.actor == "pacs:manager")
        ).scalars()
        assert [one for one in trail if one.startswith("workitem")] == ["workitem.claim", "workitem.complete"]


def test_without_a_destination_the_worklist_gets_the_results(here: Ward) -> None:
    uid = sent_in(here.archive)
    name = here.order(uid)
    for _ in range(3):
        here.round()
        here.work()
    assert here.state(name) == "COMPLETED"
    (made,) = output(here.seen(name))
    (where,) = values(made, "0040E025")
    assert values(where, "00081190")[0].startswith(f"{here.manager.address}/dicom-web/studies/{uid}/series/")
    with reading(here.manager.made.service.records) as connection:
        kept = set(connection.scalars(select(schema.pacs_instances.c.sop_instance_uid)))
    assert {values(one, "00081155")[0] for one in values(made, "00081199")} <= kept


def test_the_node_takes_what_is_for_it_and_due(here: Ward) -> None:
    uid = sent_in(here.archive)
    others = here.order(uid, t00404025={"vr": "SQ", "Value": [code("READER", "99SITE", "A person")]})
    nobodys = here.order(uid, t00404025={"vr": "SQ"})
    later = here.order(uid, t00404005={"vr": "DT", "Value": ["29991231080000"]})
    unready = here.order(uid, t00404041={"vr": "CS", "Value": ["INCOMPLETE"]})
    assert here.round() == 0
    assert {here.state(name) for name in (others, nobodys, later, unready)} == {"SCHEDULED"}
    by_code = here.order(uid, t00404025={"vr": "SQ"}, t00404018={"vr": "SQ", "Value": [code("tiny-ct", "99SITE", "x")]})
    assert here.round() == 1
    assert here.state(by_code) == "IN PROGRESS"
    _abandon(here, by_code)


def _abandon(here: Ward, name: str) -> None:
    """Another one ends the work item, as a person may in the worklist's own database."""
    with here.manager.made.service.records.begin() as connection:
        table = schema.workitems
        connection.execute(update(table).where(table.c.uid == name).values(state="CANCELED"))
    here.round()
    assert here.left() == 0


def test_what_the_worklist_ended_is_left(here: Ward) -> None:
    name = here.order(sent_in(here.archive))
    assert here.round() == 1
    _abandon(here, name)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"vr": "SQ"}, "names no input"),
        ({"vr": "SQ", "Value": [{"0040E020": {"vr": "CS", "Value": ["CDA"]}}]}, "no DICOM study"),
        (
            {
                "vr": "SQ",
                "Value": [
                    {
                        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
                        "0040E025": {
                            "vr": "SQ",
                            "Value": [{"00081190": {"vr": "UR", "Value": ["http://169.254.169.254/studies/1.2.3"]}}],
                        },
                    }
                ],
            },
            "where this node does not go",
        ),
    ],
)
def test_an_input_that_is_none_is_cancelled_with_the_reason(here: Ward, given: dict[str, Any], reason: str) -> None:
    name = here.order("1.2.3", t00404021=given)
    assert here.round() == 0
    assert reason in here.reason(name)
    assert here.left() == 0


def test_an_input_that_is_not_there_is_said(here: Ward) -> None:
    name = here.order(str(generate_uid()))
    here.round()
    assert "not where the work item says" in here.reason(name)


def test_an_input_that_no_rule_takes_is_said(here: Ward) -> None:
    uid = str(generate_uid())
    here.archive.add(study(uid=uid, modality="MR"))
    name = here.order(uid)
    here.round()
    here.work()
    here.round()
    assert here.reason(name) == "No rule of the node takes this input."


def test_the_named_series_alone_is_fetched(here: Ward) -> None:
    uid = str(generate_uid())
    wanted = here.archive.add(study(uid=uid, series="1.2.840.1"))
    here.archive.add(study(uid=uid, series="1.2.840.2", number=2))
    given = {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "0020000E": {"vr": "UI", "Value": ["1.2.840.1"]},
        "0040E025": {"vr": "SQ", "Value": [{"00081190": {"vr": "UR", "Value": [f"{here.archive.url}/studies/{uid}"]}}]},
    }
    name = here.order(uid, t00404021={"vr": "SQ", "Value": [given]})
    here.round()
    with reading(here.node.service.records) as connection:
        found = connection.execute(
            select(schema.pacs_instances.c.sop_instance_uid)
            .join(schema.pacs_series, schema.pacs_instances.c.pacs_series_id == schema.pacs_series.c.id)
            .join(schema.pacs_studies, schema.pacs_series.c.pacs_study_id == schema.pacs_studies.c.id)
            .where(schema.pacs_studies.c.study_uid == uid)
        ).scalars()
        assert list(found) == [str(wanted.SOPInstanceUID)]
    _abandon(here, name)


def test_a_node_that_was_killed_goes_on_where_it_was(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    name = here.order(sent_in(here.archive))
    claim = ups_web.claim

    def killed(*given: Any) -> bool:
        claim(*given)
        raise PeerUnreachableError("the answer was lost")

    monkeypatch.setattr(ups_web, "claim", killed)
    with pytest.raises(PeerUnreachableError):
        here.round()
    assert (here.state(name), here.left()) == ("IN PROGRESS", 1)
    monkeypatch.setattr(ups_web, "claim", claim)
    assert here.round() == 1, "it is its own, and goes on"
    assert values(values(here.seen(name), "00741002")[0], "00741004") == [20]
    _abandon(here, name)


def test_what_another_one_claimed_first_is_left_to_him(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    name, claim = here.order(sent_in(here.archive)), ups_web.claim

    def late(settings: Any, peer: Any, uid: str, transaction: str) -> bool:
        assert claim(settings, peer, uid, str(generate_uid()))
        return claim(settings, peer, uid, transaction)

    monkeypatch.setattr(ups_web, "claim", late)
    assert here.round() == 0
    assert (here.state(name), here.left()) == ("IN PROGRESS", 0)


def test_an_archive_that_refuses_the_results_cancels_the_work(here: Ward) -> None:
    uid = sent_in(here.archive)
    destination = {"00404072": {"vr": "SQ", "Value": [{"00404073": {"vr": "UR", "Value": [here.archive.url]}}]}}
    name = here.order(uid, t00404070={"vr": "SQ", "Value": [destination]})
    here.archive.refuses = True
    try:
        for _ in range(3):
            here.round()
            here.work()
        here.round()
    finally:
        here.archive.refuses = False
    assert "could not be delivered (object_refused)" in here.reason(name)


def test_a_worklist_that_is_silent_is_asked_again(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, stop = [], threading.Event()

    def silent(self: Performer) -> int:
        asked.append(1)
        if len(asked) == 3:
            stop.set()
        raise PeerUnreachableError("silent")

    monkeypatch.setattr(Performer, "round", silent)
    watch(here.node.service, here.settings, stop, every=0.001)
    assert len(asked) == 3


def test_without_a_worklist_nothing_is_asked(here: Ward) -> None:
    stop = threading.Event()
    stop.set()
    watch(here.node.service, here.settings.model_copy(update={"workitems": ""}), stop)


def test_the_reason_names_nobody(here: Ward) -> None:
    uid = str(generate_uid())
    here.archive.add(study(uid=uid, modality="MR"))
    name = here.order(uid)
    here.round()
    here.work()
    here.round()
    entries = here.node.client("auditor").get("/api/v1/trail", params={"action": "workitem.cancel"}).json()["items"]
    assert json.loads(entries[0]["detail"])["reason"] == here.reason(name)
    assert not [text for text in ("ID-4711", uid, name) if text in json.dumps(entries)]


def test_a_work_item_that_is_stuck_holds_up_no_other(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, other = here.order(sent_in(here.archive)), here.order(sent_in(here.archive))
    retrieve = ups_web.retrieve

    def broken(settings: Any, peer: Any, uid: str) -> Any:
        if uid == stuck:
            raise PeerAnswerError("no JSON")
        return retrieve(settings, peer, uid)

    monkeypatch.setattr(ups_web, "retrieve", broken)
    assert here.round() == 2
    assert values(here.seen(stuck), "00741002") == []
    assert values(values(here.seen(other), "00741002")[0], "00741004") == [20]
    with here.node.service.records.begin() as connection:
        table = schema.workitems_taken
        old = schema.now() - timedelta(days=2)
        connection.execute(update(table).where(table.c.uid == stuck).values(created_at=old))
    assert here.round() == 1, "after a day it is given up"


def test_what_the_node_itself_cannot_do_is_said_by_its_code(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise IdentityError("the key is another one")

    name = here.order(sent_in(here.archive))
    monkeypatch.setattr(answered, "predicted", refused)
    here.round()
    assert here.reason(name) == "The node cannot do it (identity)."


def test_the_worklist_is_read_to_its_end(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ups_web, "_PAGE", 2)
    others = {"vr": "SQ", "Value": [code("READER", "99SITE", "A person")]}
    for _ in range(4):
        here.order("1.2.3", t00404025=others)
    name = here.order(sent_in(here.archive))
    assert here.round() == 1
    assert here.state(name) == "IN PROGRESS"


def test_an_input_that_finds_no_room_is_fetched_again(here: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise NoRoomError("The disk is full.")

    name = here.order(sent_in(here.archive))
    with monkeypatch.context() as patch:
        patch.setattr(performer, "receive", full)
        assert here.round() == 1
    assert (here.state(name), values(here.seen(name), "00741002")) == ("IN PROGRESS", [])
    assert here.round() == 1
    assert values(values(here.seen(name), "00741002")[0], "00741004") == [20]
    _abandon(here, name)


def test_nothing_is_predicted_of_an_input_that_cannot_be_taken_whole(here: Ward) -> None:
    uid = sent_in(here.archive)
    here.archive.add(changed(here.archive.studies[uid][0]))
    name = here.order(uid)
    assert here.round() == 0
    assert here.reason(name).startswith("1 of the input's objects cannot be taken")


def test_what_no_rule_takes_may_be_missing(here: Ward) -> None:
    uid = sent_in(here.archive)
    here.archive.add(data := study(uid=uid, modality="MR", series="1.2.840.9"))
    here.archive.add(changed(data))
    name = here.order(uid)
    assert here.round() == 1
    _abandon(here, name)


@pytest.mark.parametrize(("state", "times"), [("COMPLETED", 0), ("", 1)])
def test_what_a_list_shows_against_the_question_is_claimed_once_at_most(
    here: Ward, monkeypatch: pytest.MonkeyPatch, state: str, times: int
) -> None:
    listed = {
        "00080018": {"vr": "UI", "Value": [str(generate_uid())]},
        "00404025": {"vr": "SQ", "Value": [code("INSULA", "99SITE", "The node")]},
        "00741000": {"vr": "CS", "Value": [state] if state else []},
    }
    claims = []

    def claim(*given: Any) -> bool:
        claims.append(given)
        return False

    monkeypatch.setattr(ups_web, "search", lambda *_: [listed])
    monkeypatch.setattr(ups_web, "claim", claim)
    one = here.performer()
    assert [one.round(), one.round()] == [0, 0]
    assert len(claims) == times
