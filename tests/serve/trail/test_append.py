"""Entries are added in order, with what they tell of, however many add at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import DBAPIError
from tests.serve.trail.filled import FIRST, KEY, OTHER, fill

from insula.core.errors import TrailError
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import projects, trail
from insula.serve.trail.append import append, check_key
from insula.serve.trail.entries import GENESIS, Entry, mark_of
from insula.serve.trail.rows import newest, stream
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve

WRITER = """
import sys
from insula.serve.store.connect import connect, writing
from insula.serve.trail.append import append
engine = connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    with writing(engine) as connection:
        append(connection, sys.argv[2].encode(), actor=sys.argv[3], action="study.read", detail={"n": number})
"""


def test_entries_come_back_as_they_were_made(records: Engine, twenty: list[Entry]) -> None:
    with reading(records) as connection:
        assert list(stream(connection)) == twenty
        assert newest(connection) == twenty[-1]
    assert twenty[0].previous == GENESIS
    assert [entry.previous for entry in twenty[1:]] == [mark_of(entry).digest for entry in twenty[:-1]]
    assert twenty[1].at == "2026-03-01T08:01:00.000000Z"
    assert FIRST.isoformat().startswith("2026-03-01T08:00")


def test_an_entry_without_a_time_is_of_now(records: Engine) -> None:
    with writing(records) as connection:
        entry = append(connection, KEY, actor="a", action="login")
        assert (entry.subject, entry.outcome, entry.detail) == ("", "done", "{}")
    assert entry.at > "2026"
    assert verify(records, KEY).holds


def test_a_refused_entry_takes_the_action_with_it(records: Engine) -> None:
    def act(subject: str) -> None:
        with writing(records) as connection:
            connection.execute(insert(projects).values(name="A"))
            append(connection, KEY, actor="a", action="project.create", subject=subject)

    with pytest.raises(TrailError):
        act("two words")
    with reading(records) as connection:
        assert connection.execute(select(func.count()).select_from(projects)).scalar_one() == 0
    act("project:1")
    with reading(records) as connection:
        assert connection.execute(select(func.count()).select_from(projects)).scalar_one() == 1


def test_an_action_that_fails_leaves_no_entry_and_no_gap(records: Engine) -> None:
    def fail() -> None:
        with writing(records) as connection:
            append(connection, KEY, actor="a", action="login")
            raise ZeroDivisionError

    fill(records, 2)
    with pytest.raises(ZeroDivisionError):
        fail()
    with writing(records) as connection:
        assert append(connection, KEY, actor="a", action="login").seq == 3
    assert verify(records, KEY).entries == 3


def test_without_its_table_nothing_is_done(records: Engine) -> None:
    trail.drop(records)

    def act() -> None:
        with writing(records) as connection:
            connection.execute(insert(projects).values(name="A"))
            append(connection, KEY, actor="a", action="project.create")

    with pytest.raises(DBAPIError):
        act()
    with reading(records) as connection:
        assert connection.execute(select(func.count()).select_from(projects)).scalar_one() == 0


def test_four_threads_make_one_chain(records: Engine) -> None:
    def work(name: str) -> None:
        for number in range(25):
            with writing(records) as connection:
                append(connection, KEY, actor=name, action="study.read", detail={"n": number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    check_hundred(records)


def test_four_processes_make_one_chain(records: Engine, records_address: str) -> None:
    command = [sys.executable, "-c", WRITER, records_address, KEY.decode()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, name], **pipes) for name in "abcd"]  # type: ignore[call-overload]
    try:
        for writer in writers:  # all wait until all can begin
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate(timeout=250)
    finally:
        for writer in writers:
            writer.kill()
    assert [writer.returncode for writer in writers] == [0] * 4
    check_hundred(records)


def check_hundred(engine: Engine) -> None:
    found = verify(engine, KEY)
    assert found.fault is None
    assert found.entries == 100
    with reading(engine) as connection:
        entries = list(stream(connection))
    assert [entry.seq for entry in entries] == list(range(1, 101))
    for name in "abcd":  # what each one did stands in its own order
        assert [entry.detail for entry in entries if entry.actor == name] == [f'{{"n":{n}}}' for n in range(25)]


def test_another_key_is_seen_at_the_start(records: Engine) -> None:
    with reading(records) as connection:
        check_key(connection, OTHER)  # an empty trail begins with any key
    fill(records, 3)
    with reading(records) as connection:
        check_key(connection, KEY)
        with pytest.raises(TrailError, match="entry of the trail, 3, does not hold"):
            check_key(connection, OTHER)
