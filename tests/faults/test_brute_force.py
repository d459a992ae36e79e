"""Guessing passwords: how many guesses get through, and that guessing keeps nobody out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from tests.faults.made_rooms import Rooms
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import BASE, PASSWORD, Made
from tests.serve.people.made import NOW, person

from insula.serve.people import log_in
from insula.serve.people.log_in import Attempt, Refused
from insula.serve.people.settings import PeopleSettings
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing

pytestmark = pytest.mark.serve
HERE = "/api/v1/session"
PER_MINUTE = 20  # as docs/api.md says


def tried(client: TestClient, name: str, password: str, **headers: str) -> Any:
    return client.post(HERE, json={"name": name, "password": password}, headers=headers)


def at(made: Made, address: str) -> TestClient:
    """A client at an address of its own."""
    return TestClient(made.app, base_url=BASE, raise_server_exceptions=False, client=(address, 1))


@sizes("count", 26, 400)
def test_one_address_guesses_so_often_and_no_oftener(rooms: Rooms, tally: Tally, count: int) -> None:
    client, began = at(rooms.made, "198.51.100.7"), time.monotonic()
    statuses = []
    for number in range(count):  # names and the addresses that a client claims to come from are its own to choose
        claimed = f"203.0.113.{number % 250}"
        sent = {"X-Forwarded-For": claimed, "Forwarded": f"for={claimed}", "X-Real-IP": claimed}
        statuses.append(tried(client, f"nobody-{number}", "a guess of a phrase", **sent).status_code)
    took = time.monotonic() - began
    most = PER_MINUTE + took * PER_MINUTE / 60 + 1
    got = statuses.count(401)
    assert set(statuses) == {401, 429}
    assert tried(at(rooms.made, "198.51.100.8"), "nobody", "a guess of a phrase").status_code == 401, "others go on"
    tally.tried("a guess from one address, under names and forwarded addresses that change", count,
                leaked=max(0, int(got - most)), figures={"guesses let through": got, "seconds": took})  # fmt: skip


@pytest.fixture
def long_locks(rooms: Rooms) -> Iterator[None]:
    """Locks of a day, so that none ends while a slow machine goes on guessing."""
    plain = rooms.made.service.people
    long = plain.model_copy(update={"lock_seconds": 24 * 3600, "lock_most_seconds": 24 * 3600})
    object.__setattr__(rooms.made.service, "people", long)
    yield
    object.__setattr__(rooms.made.service, "people", plain)


@pytest.mark.usefixtures("long_locks")
@sizes("count", 9, 120)
def test_guessing_from_everywhere_neither_gets_in_nor_keeps_the_owner_out(
    rooms: Rooms, tally: Tally, count: int
) -> None:
    made, name = rooms.made, f"guessed-{count}"
    body = {"name": name, "role": "reader", "password": PASSWORD}
    assert made.client("admin").post("/api/v1/users", json=body).status_code == 201
    owner = at(made, "198.51.100.20")
    token = tried(owner, name, PASSWORD).json()["csrf"]
    assert owner.delete(HERE, headers={"X-CSRF-Token": token}).status_code == 204
    inside = 0
    for number in range(count):  # the sixth guess and those after it are right
        guess = PASSWORD if number >= made.service.people.lock_after else f"wrong guess {number}"
        inside += tried(at(made, f"192.0.2.{number}"), name, guess).status_code == 200
    back = tried(owner, name, PASSWORD).status_code
    stranger = tried(at(made, "192.0.2.250"), name, PASSWORD).status_code
    assert stranger == 401, "the lock holds for those who never were in, while the owner is"
    tally.tried("a guess at one account from an address of its own, the right one among them", count, leaked=inside)
    what = "a log-in of the owner, from a browser known for one, while others lock the account"
    tally.tried(what, 1, failed=int(back != 200))


@sizes("days", 1, 30)
def test_a_day_of_guessing_is_a_few_hundred_guesses(tmp_path: Path, tally: Tally, days: int) -> None:
    settings, every = PeopleSettings(), timedelta(minutes=1)
    engine = connect(f"sqlite:///{tmp_path}/guessed.db")
    schema.metadata.create_all(engine)
    looked, moment = 0, NOW
    with writing(engine) as connection:
        ann = person(connection, "ann", password=PASSWORD)
        kept = connection.execute(select(schema.users.c.password_hash)).scalar_one()
        wrong = Attempt(ann.id, kept, matches=False)
        while moment < NOW + timedelta(days=days):
            found = log_in.finish(connection, wrong, moment, settings)
            looked += isinstance(found, Refused) and found.reason == "wrong_password"
            moment += every
        assert isinstance(log_in.finish(connection, wrong, moment, settings), Refused)
    engine.dispose()
    total = int(timedelta(days=days) / every)
    most = settings.lock_after + days * 24 * 3600 / settings.lock_most_seconds + 6
    tally.tried("a guess a minute at one account, for days", total, leaked=max(0, int(looked - most)),
                figures={"guesses a day that were compared with the password": looked / days})  # fmt: skip


@sizes("rounds", 1, 2)
def test_who_is_refused_is_told_the_same_whatever_the_reason(rooms: Rooms, tally: Tally, rounds: int) -> None:
    made, locked, off = rooms.made, f"told-locked-{rounds}", f"told-off-{rounds}"
    for name in (locked, off):
        assert made.client("admin").post(
            "/api/v1/users", json={"name": name, "role": "reader", "password": PASSWORD}
        ).status_code == 201  # fmt: skip
    with writing(made.service.records) as connection:
        named = schema.users.c.name
        until = datetime.now(UTC) + timedelta(seconds=500)
        connection.execute(update(schema.users).where(named == locked).values(locked_until=until, failed_logins=50))
        connection.execute(update(schema.users).where(named == off).values(active=False))
    odd = ("x" * 120, "\u202ereader", "rea\u200bder", "' OR 1=1 --")
    names = (locked, off, "nobody-at-all", "reader", *odd) * rounds
    said = set()
    for number, name in enumerate(names):
        password = PASSWORD if name.startswith("told") else "not the right phrase"
        answer = tried(at(made, f"192.0.2.{number}"), name, password)
        said.add((answer.status_code, answer.text, tuple(sorted(k for k in answer.headers if k != "content-length"))))
    assert len(said) == 1, said
    assert next(iter(said))[0] == 401
    with reading(made.service.records) as connection:
        reasons = connection.execute(select(schema.trail.c.detail).where(schema.trail.c.action == "session.start"))
        kept = "".join(row[0] for row in reasons)
    assert all(why in kept for why in ("locked", "inactive", "unknown", "wrong_password")), "the trail knows why"
    tally.tried("a log-in that is refused for another reason", len(names))
