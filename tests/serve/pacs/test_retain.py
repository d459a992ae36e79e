"""What nobody wanted goes after its days, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import delete, update
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import Quiet, node, slices

from insula.serve.pacs import retain
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve


@pytest.fixture
def quiet(made: Made, tmp_path: Path) -> Iterator[Quiet]:
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_studies))
    with node(made, tmp_path, keep_unrouted_days=3) as found:
        yield found


def old(quiet: Quiet) -> None:
    """Let all that came have come four days ago."""
    past = schema.now() - timedelta(days=4)
    with writing(quiet.made.service.records) as connection:
        connection.execute(update(schema.pacs_studies).values(last_at=past))
        connection.execute(update(schema.pacs_instances).values(created_at=past))


def one_round(quiet: Quiet) -> None:
    """What the thread does when it starts."""
    before = schema.now() - timedelta(days=3)
    retain.studies(quiet.made.service, before)
    retain.objects(quiet.made.service, before)


def test_a_study_that_no_rule_takes_goes_with_its_files(quiet: Quiet) -> None:
    found = quiet.taken(slices(BodyPartExamined="FOOT"))
    hashes = [row.sha256 for row in quiet.rows(schema.pacs_instances)]
    one_round(quiet)
    assert quiet.row(found.id).state == "unrouted", "its days are not over"
    old(quiet)
    one_round(quiet)
    assert quiet.rows(schema.pacs_studies, id=found.id) == []
    assert quiet.rows(schema.pacs_instances) == []
    assert not any(quiet.made.service.files.has(one) for one in hashes)
    told = quiet.rows(schema.trail, action="pacs.let_go")[-1]
    assert told.actor == "retention"
    assert '"files":2' in str(told.detail).replace(" ", "").replace("'", '"')


def test_what_comes_in_or_was_taken_stays(quiet: Quiet) -> None:
    taken = quiet.taken(slices(), predict=False)
    coming = quiet.receive(slices())
    old(quiet)
    one_round(quiet)
    assert {row.id for row in quiet.rows(schema.pacs_studies)} == {taken.id, coming}
    assert len(quiet.rows(schema.pacs_instances)) == 4


def test_of_a_study_of_the_records_what_no_rule_took_goes(quiet: Quiet) -> None:
    study = generate_uid()
    quiet.receive(slices(study, BodyPartExamined="FOOT"))
    quiet.taken(slices(study), predict=False)
    unwanted = [row.sha256 for row in quiet.rows(schema.pacs_instances)][:2]
    old(quiet)
    one_round(quiet)
    kept = {row.sha256 for row in quiet.rows(schema.pacs_instances)}
    assert len(kept) == 2
    assert not kept & set(unwanted)
    assert not any(quiet.made.service.files.has(one) for one in unwanted)
    assert all(quiet.made.service.files.has(one) for one in kept)


def test_a_file_that_another_record_names_stays(quiet: Quiet) -> None:
    quiet.taken(slices(BodyPartExamined="FOOT"))
    first = quiet.rows(schema.pacs_instances)[0].sha256
    mine = quiet.taken(slices(), predict=False)
    with writing(quiet.made.service.records) as connection:
        connection.execute(
            schema.files.insert().values(study_id=mine.study_id, role="scan", name="x", sha256=first, size=1)
        )
    old(quiet)
    one_round(quiet)
    assert quiet.made.service.files.has(first)


def test_long_lists_are_looked_through_by_pages(quiet: Quiet) -> None:
    for _ in range(3):
        study = generate_uid()
        quiet.receive(slices(study, numbers=(1,), BodyPartExamined="FOOT"))
        quiet.taken(slices(study, numbers=(1, 2)), predict=False)
    old(quiet)
    place: int | None = 0
    pages = 0
    while place is not None:
        place = retain.objects(quiet.made.service, schema.now(), place, page=2)
        pages += 1
    assert (pages, len(quiet.rows(schema.pacs_instances))) == (2, 6)


def test_the_thread_does_a_round_at_once_and_ends_when_told_to(quiet: Quiet) -> None:
    quiet.taken(slices(BodyPartExamined="FOOT"))
    old(quiet)
    stop = threading.Event()
    thread = threading.Thread(target=retain.watch, args=(quiet.made.service, quiet.settings, stop))
    thread.start()
    pause = threading.Event()
    while quiet.rows(schema.pacs_studies):
        assert thread.is_alive()
        pause.wait(0.01)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
