"""A lock that others bring about does not keep out a browser in which the account's owner has logged in before."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine
from tests.serve.people.made import NOW, PASSWORD, SETTINGS, person

from insula.serve.people import known, log_in
from insula.serve.people.log_in import Refused
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
KEY = b"k" * 32
WRONG = "not the right phrase"


def tried(records: Engine, password: str, mark: str = "", at: datetime = NOW) -> str:
    """How an attempt on Ann's account ends: the reason, "" where a session begins."""
    with writing(records) as connection:
        attempt = log_in.begin(connection, "ann").check(password)
        found = log_in.finish(connection, attempt, at, SETTINGS, mark=mark)
    return found.reason if isinstance(found, Refused) else ""


@pytest.fixture
def ann(records: Engine) -> str:
    """Her id."""
    with writing(records) as connection:
        return person(connection, "ann", password=PASSWORD).id


def test_wrong_passwords_from_elsewhere_do_not_lock_the_owner_out(records: Engine, ann: str) -> None:
    mark = known.mark_of(KEY, ann, known.cookie_for(KEY, ann))
    for _ in range(SETTINGS.lock_after + 3):
        tried(records, WRONG)
    assert tried(records, PASSWORD) == "locked", "elsewhere"
    assert tried(records, PASSWORD, mark) == ""
    assert tried(records, PASSWORD) == "locked", "a log-in of the owner does not open the account to whoever tries"


def test_who_has_the_cookie_has_as_few_tries_as_anybody(records: Engine, ann: str) -> None:
    mark = known.mark_of(KEY, ann, known.cookie_for(KEY, ann))
    said = [tried(records, WRONG, mark) for _ in range(2 * SETTINGS.lock_after)]
    assert said == ["wrong_password"] * 10, "five of its own, and five of the account's, which lock it"
    assert tried(records, PASSWORD, mark) == "locked"
    later = NOW + timedelta(seconds=SETTINGS.lock_most_seconds + 1)
    assert tried(records, PASSWORD, mark, later) == ""


def test_the_cookie_of_another_or_a_made_up_one_is_none(ann: str) -> None:
    shown = known.cookie_for(KEY, ann)
    assert known.mark_of(KEY, ann, shown)
    mark, _, mac = shown.partition(".")
    forged = ("", ".", mark, f"{mark}.", f"x{shown}", f"{mark}x.{mac}", f"{mark}.{mac}x", f"{mark}.ü", "\ud800.\ud800")
    for text in (*forged, shown * 9):
        assert known.mark_of(KEY, ann, text) == "", text
    assert known.mark_of(KEY, "0" * 32, shown) == ""
    assert known.mark_of(b"l" * 32, ann, shown) == ""
    assert known.mark_of(KEY, "", known.cookie_for(KEY, "")) == "", "of a name that nobody has"


def test_the_own_password_is_changed_while_others_keep_the_account_locked(records: Engine, ann: str) -> None:
    for _ in range(SETTINGS.lock_after):
        tried(records, WRONG)
    with writing(records) as connection:
        assert log_in.confirm(connection, ann, PASSWORD, NOW, SETTINGS, "a session") is None
        for _ in range(SETTINGS.lock_after):
            log_in.confirm(connection, ann, WRONG, NOW, SETTINGS, "a session")
        found = log_in.confirm(connection, ann, PASSWORD, NOW, SETTINGS, "a session")
    assert found is not None
    assert found.reason == "locked", "whoever sits before somebody's open session may not guess on"
