"""Objects of several threads in one transaction: each is told of its own fate alone."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from tests.serve.pacs.listening import instances

from insula.serve.pacs.entered import DUPLICATE, NO_RESOURCES, Entries, Entry, RefusedInstanceError
from insula.serve.pacs.heads import Head
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.files import Files, open_files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return open_files(str(tmp_path / "files"))


def entry(files: Files, number: int, study: str = "1.2.3", content: str = "") -> Entry:
    head = Head("1.2.4", f"{study}.1.{number}", study, f"{study}.1", "1.2.840.10008.1.2", "CT", "HEAD", "Head", "Axial")
    stored = files.put(io.BytesIO(f"{study} {number}".encode()), 100)
    return Entry(head, "CT1", stored, content or stored.sha256)


def at_once(enter: Callable[[Entry], str], entries: list[Entry]) -> list[str | Exception]:
    """What each of so many threads is told that enter at the same time."""
    found: list[str | Exception] = [""] * len(entries)
    together = threading.Barrier(len(entries))

    def run(number: int) -> None:
        together.wait(30)
        try:
            found[number] = enter(entries[number])
        except Exception as error:  # noqa: BLE001 - looked at by the test
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(entries))]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    return found


def test_what_waits_for_a_commit_is_written_by_the_next_together(records: Engine, files: Files) -> None:
    entries, commits = Entries(files), []
    event.listen(records, "commit", lambda _: commits.append(1))
    hold = threading.Event()
    has = files.has

    def slow(sha256: str) -> bool:  # the first one keeps the others waiting
        hold.wait(30)
        return has(sha256)

    files.has = slow  # type: ignore[method-assign]
    wanted = [entry(files, number) for number in range(12)]
    threads = [threading.Thread(target=entries.enter, args=(records, one)) for one in wanted]
    for one in threads:
        one.start()
    while len(entries._queue) < 11:
        pass
    hold.set()
    for one in threads:
        one.join(60)
    assert len(instances(records)) == 12
    assert len(commits) == 2
    with reading(records) as connection:
        (study,) = connection.execute(select(schema.pacs_studies))
        (series,) = connection.execute(select(schema.pacs_series))
    assert (study.state, study.source, study.description) == ("receiving", "CT1", "Head")
    assert (series.modality, series.body_part, series.description) == ("CT", "HEAD", "Axial")


def test_objects_that_wait_are_inserted_in_one_order(records: Engine, files: Files) -> None:
    """Two processes that get the same objects must not wait for each other."""
    entries, has = Entries(files), files.has
    began, hold = threading.Event(), threading.Event()

    def slow(sha256: str) -> bool:
        began.set()
        hold.wait(30)
        return has(sha256)

    files.has = slow  # type: ignore[method-assign]
    wanted = [entry(files, *one) for one in ((9, "1.2.0"), (1, "1.2.4"), (2, "1.2.3"), (1, "1.2.3"))]
    threads = [threading.Thread(target=entries.enter, args=(records, one)) for one in wanted]
    for number, thread in enumerate(threads):
        thread.start()
        assert began.wait(30)  # the first one keeps the others waiting
        while len(entries._queue) < number:
            pass
    hold.set()
    for thread in threads:
        thread.join(60)
    rows = sorted(instances(records), key=lambda row: row.seq)
    assert [row.sop_instance_uid for row in rows] == ["1.2.0.1.9", "1.2.3.1.1", "1.2.3.1.2", "1.2.4.1.1"]


def test_the_same_object_from_many_is_kept_once(records: Engine, files: Files) -> None:
    entries = Entries(files)
    told = at_once(lambda one: entries.enter(records, one), [entry(files, 1)] * 8)
    assert Counter(map(str, told)) == {"kept": 1, "again": 7}
    assert len(instances(records)) == 1


def test_one_that_is_refused_spoils_no_other_and_leaves_no_rows(records: Engine, files: Files) -> None:
    entries = Entries(files)
    assert entries.enter(records, entry(files, 1)) == "kept"
    other = replace(entry(files, 1), content="0" * 64)
    elsewhere = replace(other, head=replace(other.head, study_uid="1.2.9", series_uid="1.2.9.1"))
    gone = entry(files, 2)
    files.delete(gone.stored.sha256)
    told = at_once(lambda one: entries.enter(records, one), [other, elsewhere, gone, entry(files, 3), entry(files, 4)])
    assert [getattr(one, "status", one) for one in told] == [DUPLICATE, DUPLICATE, NO_RESOURCES, "kept", "kept"]
    assert {row.sop_instance_uid for row in instances(records)} == {"1.2.3.1.1", "1.2.3.1.3", "1.2.3.1.4"}
    with reading(records) as connection:
        assert [row.study_uid for row in connection.execute(select(schema.pacs_studies))] == ["1.2.3"]


def test_rows_that_were_erased_meanwhile_are_made_anew(records: Engine, files: Files) -> None:
    entries = Entries(files)
    assert entries.enter(records, entry(files, 1)) == "kept"
    with writing(records) as connection:
        connection.execute(schema.pacs_studies.delete())
    assert instances(records) == []
    assert entries.enter(records, entry(files, 2)) == "kept"
    assert [row.sop_instance_uid for row in instances(records)] == ["1.2.3.1.2"]


def test_nobody_is_told_of_a_success_that_was_not_committed(records: Engine, files: Files) -> None:
    entries = Entries(files)
    assert entries.enter(records, entry(files, 0)) == "kept"
    failing = [True]

    def fails(_: Any) -> None:
        if failing[0]:
            raise OperationalError("COMMIT", {}, Exception("the disk is full"))

    event.listen(records, "commit", fails)
    told = at_once(lambda one: entries.enter(records, one), [entry(files, number) for number in range(1, 6)])
    assert all(isinstance(one, SQLAlchemyError) for one in told)
    failing[0] = False
    told = at_once(lambda one: entries.enter(records, one), [entry(files, number) for number in range(1, 6)])
    assert told == ["kept"] * 5
    assert len(instances(records)) == 6


def test_a_study_that_was_taken_receives_again_when_more_of_it_comes(records: Engine, files: Files) -> None:
    entries = Entries(files)
    entries.enter(records, entry(files, 1))
    with writing(records) as connection:
        connection.execute(schema.pacs_studies.update().values(state="taken"))
    assert entries.enter(records, entry(files, 1)) == "again"
    with reading(records) as connection:
        assert connection.execute(select(schema.pacs_studies.c.state)).scalar_one() == "taken"
    assert entries.enter(records, entry(files, 2)) == "kept"
    with reading(records) as connection:
        assert connection.execute(select(schema.pacs_studies.c.state)).scalar_one() == "receiving"


def test_a_refusal_says_its_status() -> None:
    assert RefusedInstanceError(DUPLICATE, "why").status == 0x0111
