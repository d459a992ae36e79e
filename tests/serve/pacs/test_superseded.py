"""What comes too late: a draft, an earlier answer, a report that another one has taken the place of."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.pacs.made_peers import acks, archive, line
from tests.serve.pacs.sending import (
    SOON,
    TAKES,
    again,
    ask,
    delayed,
    deliveries,
    job,
    parsed,
    predicted,
    reviewed,
    settings_of,
    worked,
)

from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = [pytest.mark.serve, pytest.mark.usefixtures("settled")]


def asked(made: Made, prediction: dict[str, Any], key: str) -> None:
    """Have a prediction's job been put by the network."""
    with writing(made.service.records) as connection:
        mine = select(schema.predictions.c.job_id).where(schema.predictions.c.id == prediction["id"])
        connection.execute(schema.jobs.update().where(schema.jobs.c.id.in_(mine)).values(unique_key=key))


def test_a_draft_does_not_take_the_place_of_what_was_read(made: Made) -> None:
    answer = predicted(made, "SEND-9")
    draft = ask(made, answer, "ris", ["report"])  # the peer was down when it was put
    review = reviewed(made, answer)
    final = ask(made, answer, "ris", ["report"], review=review)
    got: list[bytes] = []
    with line(acks(got=got)) as port:
        known = settings_of(ris=f"mllp://127.0.0.1:{port}")
        delayed(made, draft)
        assert worked(made, known) == 1
        assert worked(made, known, SOON) == 1
        assert [b"OBX|1|" in one for one in got] == [True]
        assert job(made, draft).result == {"objects": 0, "superseded": True}
        again = ask(made, answer, "ris", ["report"])  # but what is asked for since then goes
        assert worked(made, known) == 1
    assert job(made, final).result == job(made, again).result == {"objects": 1}
    assert deliveries(made, answer["id"]) == [("ris", 1, review), ("ris", 1, None)]
    assert "Dr. Ayşe 王" in got[0].decode()


def test_a_draft_for_an_archive_goes_without_the_report_that_was_read_since(made: Made) -> None:
    answer = predicted(made, "SEND-21")
    draft = ask(made, answer, "archive", ["report", "pdf", "capture"])
    alone = ask(made, answer, "archive", ["report"])
    final = ask(made, answer, "archive", ["report"], review=reviewed(made, answer))
    with archive(does=TAKES) as there:
        known = settings_of(archive=there.address)
        delayed(made, draft, alone)
        assert worked(made, known) == 1
        assert worked(made, known, SOON) == 2
    assert job(made, final).result == {"objects": 1}
    assert job(made, alone).result == {"objects": 0, "superseded": True}
    kinds = [parsed(data).Modality for data in there.stored]
    assert kinds == ["SR", *["OT"] * (len(kinds) - 1)]
    assert job(made, draft).result == {"objects": len(kinds) - 1} != {"objects": 0}


def test_an_earlier_answer_does_not_take_the_place_of_a_later_one(made: Made) -> None:
    first = predicted(made, "SEND-22")
    review = reviewed(made, first)
    with line(acks()) as port, archive(does=TAKES) as there:
        known = settings_of(archive=there.address, ris=f"mllp://127.0.0.1:{port}")
        late = [ask(made, first, peer, ["report", "capture"]) for peer in ("ris", "archive")]
        read = [ask(made, first, peer, ["report"], review=review) for peer in ("ris", "archive")]
        delayed(made, *late, *read)
        second = again(made, first)
        for peer in ("ris", "archive"):
            ask(made, second, peer, ["report"])
        assert worked(made, known) == 2
        assert worked(made, known, SOON) == 4
        after = ask(made, first, "ris", ["report"])  # whoever asks for it since then gets it
        assert worked(made, known) == 1
    assert [job(made, name).result for name in late] == [{"objects": 0, "superseded": True}] * 2
    assert [job(made, name).result for name in read] == [{"objects": 1}] * 2  # what is signed yields to no draft
    assert job(made, after).result == {"objects": 1}


def test_a_report_that_was_read_yields_as_a_message_to_a_later_one_that_was_read(made: Made) -> None:
    first = predicted(made, "SEND-23")
    with line(acks()) as port, archive(does=TAKES) as there:
        known = settings_of(archive=there.address, ris=f"mllp://127.0.0.1:{port}")
        review = reviewed(made, first)
        late = [ask(made, first, peer, ["report"], review=review) for peer in ("ris", "archive")]
        delayed(made, *late)
        second = again(made, first)
        for peer in ("ris", "archive"):
            ask(made, second, peer, ["report"], review=reviewed(made, second))
        assert worked(made, known) == 2
        assert worked(made, known, SOON) == 2
    assert [job(made, name).result for name in late] == [{"objects": 0, "superseded": True}, {"objects": 1}]


@pytest.mark.parametrize("own", [True, False])
def test_answers_about_another_study_of_the_network_speak_for_none(made: Made, own: bool) -> None:
    first = predicted(made, f"SEND-24-{own}")
    late = ask(made, first, "ris", ["report"])
    delayed(made, late)
    second = again(made, first)
    asked(made, first, f"pacs-predict-{'a' * 28}24{own:02d}-1-tiny")
    asked(made, second, f"pacs-predict-{('a' if own else 'b') * 28}24{own:02d}-2-tiny")
    with line(acks()) as port:
        known = settings_of(ris=f"mllp://127.0.0.1:{port}")
        ask(made, second, "ris", ["report"])
        assert worked(made, known) == 1
        assert worked(made, known, SOON) == 1
    assert job(made, late).result == ({"objects": 0, "superseded": True} if own else {"objects": 1})
