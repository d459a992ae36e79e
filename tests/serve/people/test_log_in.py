"""Log-in: one answer to every wrong one, a lock that grows, a new session each time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Connection, Engine, select, update
from tests.serve.people.made import MINUTE, NOW, PASSWORD, SETTINGS, person

from insula.serve.people import log_in, sessions, users
from insula.serve.people.log_in import Refused
from insula.serve.people.sessions import Started
from insula.serve.people.settings import PeopleSettings
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
SECOND = timedelta(seconds=1)


def refusal(connection: Connection, name: str, password: str, after: timedelta = timedelta()) -> str:
    got = log_in.log_in(connection, name, password, NOW + after, SETTINGS)
    assert isinstance(got, Refused)
    return got.reason


def test_the_right_password_begins_a_session(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection, "ann", password=PASSWORD)
        got = log_in.log_in(connection, " ANN ", PASSWORD, NOW, SETTINGS)
    assert isinstance(got, Started)
    assert (got.user_id, got.ends_at) == (ann.id, NOW + timedelta(hours=12))
    assert got.secret not in repr(got)
    assert got.csrf not in repr(got)
    with reading(records) as connection:
        found = sessions.find(connection, got.secret, NOW, SETTINGS)
    assert found is not None
    assert found.user_id == ann.id


def test_every_refusal_says_the_same_and_the_trail_can_tell_them_apart(records: Engine) -> None:
    with writing(records) as connection:
        person(connection, "ann", password=PASSWORD)
        person(connection, "token-only")
        gone = person(connection, "gone", password=PASSWORD)
        users.change(connection, gone.id, NOW, active=False)
        attempts = [
            ("ann", "wrong password"),
            ("nobody", PASSWORD),
            ("\0", PASSWORD),
            ("token-only", PASSWORD),
            ("gone", PASSWORD),
        ]
        got = [log_in.log_in(connection, name, password, NOW, SETTINGS) for name, password in attempts]
        open_sessions = connection.execute(select(schema.sessions)).all()
    assert [g.reason for g in got if isinstance(g, Refused)] == [
        "wrong_password", "unknown", "unknown", "wrong_password", "inactive",
    ]  # fmt: skip
    errors = [g.error() for g in got if isinstance(g, Refused)]
    assert len({(e.status, e.fault_code, str(e)) for e in errors}) == 1
    assert errors[0].status == 401
    assert open_sessions == []


def test_failures_lock_the_account_and_each_further_one_for_twice_as_long(records: Engine) -> None:
    at, wrong = timedelta(), "not the password"
    with writing(records) as connection:
        person(connection, "ann", password=PASSWORD)
        person(connection, "ben", password=PASSWORD)
        assert [refusal(connection, "ann", wrong) for _ in range(5)] == ["wrong_password"] * 5
        for seconds in (30, 60, 120):
            locked = timedelta(seconds=seconds)
            assert refusal(connection, "ann", PASSWORD, at + locked - SECOND) == "locked"
            at += locked
            if seconds < 120:
                assert refusal(connection, "ann", wrong, at) == "wrong_password"
        assert isinstance(log_in.log_in(connection, "ben", PASSWORD, NOW, SETTINGS), Started)
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW + at, SETTINGS), Started)
        # and the count begins anew
        assert [refusal(connection, "ann", wrong, at) for _ in range(4)] == ["wrong_password"] * 4
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW + at, SETTINGS), Started)


def test_the_lock_grows_to_its_limit_and_no_further() -> None:
    settings = PeopleSettings(lock_after=3, lock_seconds=10, lock_most_seconds=100)
    seconds = [locked.total_seconds() if (locked := settings.locked_for(n)) else 0 for n in range(9)]
    assert seconds == [0, 0, 0, 10, 20, 40, 80, 100, 100]
    assert settings.locked_for(10**9) == timedelta(seconds=100)


def test_many_attempts_begun_at_once_get_no_more_answers_than_one_after_the_other(records: Engine) -> None:
    with writing(records) as connection:
        person(connection, "ann", password=PASSWORD)
        begun = [log_in.begin(connection, "ann") for _ in range(7)]
    wrong, right = begun[0].check("not the password"), begun[0].check(PASSWORD)
    with writing(records) as connection:
        got = [log_in.finish(connection, a, NOW, SETTINGS) for a in [wrong] * 5 + [right, wrong]]
    assert [g.reason for g in got if isinstance(g, Refused)] == ["wrong_password"] * 5 + ["locked"] * 2
    assert begun[0] == begun[6]


def test_a_password_that_was_changed_during_the_check_does_not_count(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection, "ann", password=PASSWORD)
        attempt = log_in.begin(connection, "ann").check(PASSWORD)
        users.set_password(connection, ann.id, "a lantern under snow", NOW)
        got = log_in.finish(connection, attempt, NOW, SETTINGS)
    assert isinstance(got, Refused)


def test_a_new_password_ends_the_lock(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection, "ann", password=PASSWORD)
        for _ in range(5):
            refusal(connection, "ann", "not the password")
        users.set_password(connection, ann.id, "a lantern under snow", NOW)
        assert isinstance(log_in.log_in(connection, "ann", "a lantern under snow", NOW, SETTINGS), Started)


def test_logging_in_again_makes_a_new_session_and_ends_the_one_that_was_shown(records: Engine) -> None:
    with writing(records) as connection:
        person(connection, "ann", password=PASSWORD)
        first = log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS)
        assert isinstance(first, Started)
        second = log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS, old_secret=first.secret)
        assert isinstance(second, Started)
        third = log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS, old_secret="planted by somebody")
        assert isinstance(third, Started)
        assert third.secret != "planted by somebody"
        assert sessions.find(connection, "planted by somebody", NOW, SETTINGS) is None
        alive = [sessions.find(connection, s.secret, NOW, SETTINGS) is not None for s in (first, second, third)]
    assert alive == [False, True, True]


def test_a_hash_of_older_parameters_is_replaced_at_log_in(records: Engine) -> None:
    old = Argon2Hasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    column = schema.users.c.password_hash
    with writing(records) as connection:
        person(connection, "ann")
        connection.execute(update(schema.users).values(password_hash=old))
        refusal(connection, "ann", "not the password")
        assert connection.execute(select(column)).scalar_one() == old
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS), Started)
        assert "m=19456,t=2,p=1" in connection.execute(select(column)).scalar_one()
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS), Started)


def test_who_is_logged_in_confirms_the_own_password_and_failures_count(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection, "ann", password=PASSWORD)
        assert log_in.confirm(connection, ann.id, PASSWORD, NOW, SETTINGS) is None
        got = [log_in.confirm(connection, ann.id, "not the password", NOW, SETTINGS) for _ in range(6)]
        assert [g.reason for g in got if g] == ["wrong_password"] * 5 + ["locked"]
        assert refusal(connection, "ann", PASSWORD) == "locked"
        assert log_in.confirm(connection, ann.id, PASSWORD, NOW + MINUTE, SETTINGS) is None


def test_a_lock_of_a_clock_that_was_put_back_is_lifted_and_the_failures_still_count(records: Engine) -> None:
    with writing(records) as connection:
        person(connection)
        year = timedelta(days=365)
        for _ in range(SETTINGS.lock_after):
            assert refusal(connection, "ann", "wrong", year) == "wrong_password"
        assert refusal(connection, "ann", PASSWORD, year) == "locked"
        assert refusal(connection, "ann", "wrong") == "wrong_password"
        assert refusal(connection, "ann", PASSWORD) == "locked"  # by the failure just now
