"""API keys: shown once, less than their owner, for a year at most."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from tests.serve.people.made import MINUTE, NOW, person

from insula.serve.faults import RequestError
from insula.serve.people import keys
from insula.serve.people.roles import GRANTED, ROLES
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
WEEK = NOW + timedelta(days=7)


def test_a_key_is_shown_once_and_found_again(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection)
        new = keys.create(connection, ann.id, " night  run ", ["study.read", "study.predict", "study.read"], WEEK, NOW)
        row = repr(connection.execute(select(schema.api_keys)).one())
        found = keys.find(connection, new.shown, NOW)
    start, prefix, secret = new.shown.split("_", 2)
    assert (start, prefix, len(secret)) == ("ins", new.key.prefix, 43)
    assert secret not in row
    assert secret not in repr(new)
    assert found == new.key
    assert found.name == "night run"
    assert found.scopes == ("study.read", "study.predict")


def test_a_changed_key_is_none(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection)
        one, other = (keys.create(connection, ann.id, "k", ["study.read"], WEEK, NOW).shown for _ in range(2))
        last = "A" if one[-1] != "A" else "B"
        mixed = one[:15] + other[15:]
        for wrong in (
            "",
            "ins_",
            "ins__",
            one[:-1],
            one[:-1] + last,
            one + "A",
            mixed,
            one.upper(),
            f" {one}",
            "ins_\0_x",
        ):
            assert keys.find(connection, wrong, NOW) is None, wrong
        assert keys.find(connection, one, NOW)


def test_a_key_ends_by_its_time_and_by_revocation(records: Engine) -> None:
    with writing(records) as connection:
        ann, ben = person(connection, "ann"), person(connection, "ben")
        one = keys.create(connection, ann.id, "one", ["study.read"], WEEK, NOW)
        two = keys.create(connection, ann.id, "two", ["study.read"], WEEK, NOW)
        assert keys.find(connection, one.shown, WEEK - MINUTE)
        assert keys.find(connection, one.shown, WEEK) is None
        with pytest.raises(RequestError, match="no key"):
            keys.revoke(connection, one.key.id, NOW, user_id=ben.id)
        assert keys.find(connection, one.shown, NOW)
        assert keys.revoke(connection, one.key.id, NOW, user_id=ann.id).revoked_at == NOW
        assert keys.revoke(connection, one.key.id, NOW + MINUTE).revoked_at == NOW
        assert keys.find(connection, one.shown, NOW) is None
        assert keys.find(connection, two.shown, NOW)
        assert [k.name for k in keys.page(connection, ann.id)] == ["one", "two"]
        assert [k.name for k in keys.page(connection, None, one.key.seq, 1)] == ["two"]
        assert keys.page(connection, ben.id) == []


@pytest.mark.parametrize("days", [0, -1, 366])
def test_a_key_lasts_a_year_at_most(records: Engine, days: int) -> None:
    with writing(records) as connection:
        ann = person(connection)
        keys.create(connection, ann.id, "k", ["study.read"], NOW + timedelta(days=365), NOW)
        with pytest.raises(RequestError, match="365 days"):
            keys.create(connection, ann.id, "k", ["study.read"], NOW + timedelta(days=days), NOW)


@pytest.mark.parametrize("role", ROLES)
def test_a_key_may_never_more_than_its_owner_and_never_what_wants_a_person(records: Engine, role: str) -> None:
    owned = next(r for r in ROLES if r == role)
    allowed = keys.scopes_for(owned)
    assert set(allowed) == GRANTED[owned] - {"key.own", "user.manage", "glass.break"}
    with writing(records) as connection:
        ann = person(connection, "ann", owned)
        assert keys.create(connection, ann.id, "all", allowed, WEEK, NOW).key.scopes == allowed
        refused = sorted({"key.own", "user.manage", "glass.break", "everything", *GRANTED["admin"]} - set(allowed))
        for scope in refused:
            with pytest.raises(RequestError, match=f"the scope '{scope}'"):
                keys.create(connection, ann.id, "k", [scope, *allowed], WEEK, NOW)
        with pytest.raises(RequestError, match="no scope"):
            keys.create(connection, ann.id, "k", [], WEEK, NOW)


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\0b"])
def test_a_key_has_a_name(records: Engine, name: str) -> None:
    with writing(records) as connection, pytest.raises(RequestError, match="name"):
        keys.create(connection, person(connection).id, name, ["study.read"], WEEK, NOW)


def test_nobody_has_no_key(records: Engine) -> None:
    with writing(records) as connection, pytest.raises(RequestError, match="no active user"):
        keys.create(connection, "0" * 32, "k", ["study.read"], WEEK, NOW)


def test_the_last_use_is_written_down_once_a_minute(records: Engine) -> None:
    with writing(records) as connection:
        new = keys.create(connection, person(connection).id, "k", ["study.read"], WEEK, NOW)
        assert new.key.is_due(NOW)
        keys.note_used(connection, new.key.id, NOW)
        found = keys.find(connection, new.shown, NOW)
        assert found is not None
        assert found.used_at == NOW
        assert [found.is_due(NOW + MINUTE / 2), found.is_due(NOW + MINUTE)] == [False, True]
