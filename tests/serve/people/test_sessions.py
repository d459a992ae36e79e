"""Sessions end by themselves, by log-out, and are bound to their token; cookies say what a browser may do with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from tests.serve.people.made import MINUTE, NOW, SETTINGS, person

from insula.serve.people import sessions
from insula.serve.people.cookies import cookies_named, ended_cookie, passing_cookie, session_cookie
from insula.serve.people.sessions import csrf_fits, csrf_of
from insula.serve.people.settings import PeopleSettings
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
SECOND = timedelta(seconds=1)


def test_the_records_hold_no_secret(records: Engine) -> None:
    with writing(records) as connection:
        started = sessions.start(connection, person(connection).id, NOW, SETTINGS)
        row = repr(connection.execute(select(schema.sessions)).one())
        found = sessions.find(connection, started.secret, NOW, SETTINGS)
    assert len(started.secret) == 43  # 256 bits in base64url
    assert started.secret not in row
    assert started.csrf not in row
    assert found is not None
    assert found.csrf_hash not in repr(found)


def test_a_session_ends_when_it_is_idle(records: Engine) -> None:
    with writing(records) as connection:
        started = sessions.start(connection, person(connection).id, NOW, SETTINGS)
        at = NOW + timedelta(minutes=30)
        assert sessions.find(connection, started.secret, at - SECOND, SETTINGS)
        assert sessions.find(connection, started.secret, at, SETTINGS) is None
        sessions.note_seen(connection, started.id, at - SECOND)
        assert sessions.find(connection, started.secret, at + 29 * MINUTE, SETTINGS)


def test_a_session_ends_however_busy_it_is(records: Engine) -> None:
    with writing(records) as connection:
        started = sessions.start(connection, person(connection).id, NOW, SETTINGS)
        at = NOW
        while at < NOW + timedelta(hours=12):
            found = sessions.find(connection, started.secret, at, SETTINGS)
            assert found is not None
            sessions.note_seen(connection, found.id, at)
            at += 20 * MINUTE
        assert sessions.find(connection, started.secret, NOW + timedelta(hours=12), SETTINGS) is None


def test_the_last_request_is_written_down_once_a_minute_and_never_backwards(records: Engine) -> None:
    with writing(records) as connection:
        started = sessions.start(connection, person(connection).id, NOW, SETTINGS)
        found = sessions.find(connection, started.secret, NOW, SETTINGS)
        assert found is not None
        assert (found.is_due(NOW + MINUTE - SECOND), found.is_due(NOW + MINUTE)) == (False, True)
        sessions.note_seen(connection, started.id, NOW + MINUTE)
        sessions.note_seen(connection, started.id, NOW)
        found = sessions.find(connection, started.secret, NOW + MINUTE, SETTINGS)
        assert found is not None
        assert found.seen_at == NOW + MINUTE


def test_log_out_ends_a_session_for_good_and_no_other(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection)
        first, second = (sessions.start(connection, ann.id, NOW, SETTINGS) for _ in range(2))
        assert [s.id for s in sessions.page(connection, ann.id, NOW, SETTINGS)] == [first.id, second.id]
        sessions.end(connection, first.id, NOW)
        sessions.note_seen(connection, first.id, NOW + MINUTE)
        assert sessions.find(connection, first.secret, NOW, SETTINGS) is None
        assert sessions.find(connection, second.secret, NOW, SETTINGS) is not None
        assert [s.id for s in sessions.page(connection, ann.id, NOW, SETTINGS)] == [second.id]
        assert sessions.end_all(connection, ann.id, NOW) == 1
        assert sessions.page(connection, ann.id, NOW, SETTINGS) == []


@pytest.mark.parametrize("secret", ["", "x", "\0", "é", "a" * 10_000, "\ud800"])
def test_a_secret_that_is_none_finds_nothing(records: Engine, secret: str) -> None:
    with writing(records) as connection:
        sessions.start(connection, person(connection).id, NOW, SETTINGS)
        assert sessions.find(connection, secret, NOW, SETTINGS) is None


def test_a_token_fits_its_own_session_alone(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection)
        first, second = (sessions.start(connection, ann.id, NOW, SETTINGS) for _ in range(2))
        found = sessions.find(connection, first.secret, NOW, SETTINGS)
    assert found is not None
    assert csrf_fits(found, first.csrf)
    assert first.csrf == csrf_of(first.secret)
    for wrong in (second.csrf, first.secret, "", first.csrf[:-1], "x" * 10_000, "\ud800"):
        assert not csrf_fits(found, wrong)


def test_the_cookie_is_for_this_host_over_https_and_not_for_scripts() -> None:
    assert session_cookie("abc", SETTINGS) == "__Host-insula=abc; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert ended_cookie(SETTINGS) == "__Host-insula=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
    assert passing_cookie("insula-log-in", "x", 600, SETTINGS) == (
        "__Host-insula-log-in=x; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"
    )
    plain = PeopleSettings(secure_cookies=False)
    assert session_cookie("abc", plain) == "insula=abc; Path=/; HttpOnly; SameSite=Strict"


def test_all_cookies_of_a_name_are_seen() -> None:
    headers = ["a=1; insula=2;insula=3", "insula = 4; xinsula=5", "insula"]
    assert cookies_named("insula", headers) == ("2", "3", "4", "")


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_cookie_header_breaks_the_reading(headers: list[str]) -> None:
    assert all(isinstance(value, str) for value in cookies_named("insula", headers))


def test_a_session_of_a_clock_that_was_put_back_does_not_count(records: Engine) -> None:
    with writing(records) as connection:
        ahead = sessions.start(connection, person(connection).id, NOW + timedelta(days=365), SETTINGS)
        assert sessions.find(connection, ahead.secret, NOW + timedelta(days=365), SETTINGS)
        assert sessions.find(connection, ahead.secret, NOW, SETTINGS) is None
        assert sessions.find(connection, ahead.secret, NOW + timedelta(days=365) - sessions.AHEAD, SETTINGS)
