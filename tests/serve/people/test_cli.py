"""`insula users`: the first administrator and others, from the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from tests.serve.people.made import NOW, PASSWORD, SETTINGS

from insula.cli.main import main
from insula.core.errors import InsulaError, UsageError
from insula.serve.people import keys, log_in, projects, sessions, user
from insula.serve.people.log_in import Refused
from insula.serve.people.sessions import Started
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.schema import metadata

pytestmark = pytest.mark.serve


@pytest.fixture(autouse=True)
def environment(records_address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = connect(records_address)
    for table in ("alembic_version", *(t.name for t in reversed(metadata.sorted_tables))):
        with writing(engine) as connection:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
    monkeypatch.setenv("INSULA_DATABASE", records_address)
    monkeypatch.setenv("INSULA_TRAIL_KEY", "k" * 43)
    monkeypatch.setenv("INSULA_NEW_PASSWORD", PASSWORD)
    yield
    metadata.drop_all(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    engine.dispose()


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["users", *words], input=typed)


def said(*words: str) -> Any:
    got = run(*words, "--json")
    assert got.exit_code == 0, (got.output, got.exception)
    return json.loads(got.stdout)


def wrong(*words: str) -> str:
    got = run(*words)
    assert isinstance(got.exception, InsulaError), got.output
    return str(got.exception)


def test_the_first_administrator_and_what_comes_after(records_address: str) -> None:
    root = said("create", "Root", "--role", "admin", "--full-name", "Rose Oot")["user"]
    assert (root["name"], root["role"], root["active"], root["log_in"]) == ("root", "admin", True, "password")
    engine = connect(records_address)
    with writing(engine) as connection:
        heads = projects.create(connection, "Heads", NOW)
        assert isinstance(log_in.log_in(connection, "root", PASSWORD, NOW, SETTINGS), Started)
    ann = said(
        "create", "ann", "--role", "reader", "--project", "Heads", "--issuer", "https://id.example", "--subject", "7"
    )
    assert ann["user"]["projects"] == [heads.id]
    assert ann["user"]["log_in"] == "password+issuer"
    assert [u["name"] for u in said("list")["users"]] == ["root", "ann"]
    assert [u["name"] for u in said("list", "--role", "reader")["users"]] == ["ann"]
    table = run("list").stdout.splitlines()
    assert table[0].split() == ["name", "role", "state", "log-in", "projects"]
    assert table[2].split() == ["ann", "reader", "on", "password+issuer", "1"]

    key = said("key", "ann", "--label", "night", "--scope", "study.read", "--days", "30")
    with reading(engine) as connection:
        found = keys.find(connection, key["key"], NOW)
        assert found is not None
        assert (found.id, found.scopes) == (key["id"], ("study.read",))
    assert "the last active administrator" in wrong("disable", "root")
    assert said("disable", "ann")["user"]["active"] is False
    with reading(engine) as connection:
        assert keys.find(connection, key["key"], NOW) is None
        told = connection.execute(select(schema.trail).order_by(schema.trail.c.seq)).all()
        ids = {u.name: u.id for u in user.page(connection)}
    assert [row.action for row in told] == ["user.create", "user.create", "key.create", "user.disable"]
    assert [row.subject for row in told] == [ids["root"], ids["ann"], key["id"], ids["ann"]]
    assert all(row.actor.startswith("local:") for row in told)
    assert PASSWORD not in repr(told)
    assert key["key"] not in repr(told)
    engine.dispose()


def test_who_was_switched_off_comes_back_with_the_password_and_without_the_keys(records_address: str) -> None:
    said("create", "root", "--role", "admin")
    ann = said("create", "ann", "--role", "reader")["user"]
    key = said("key", "ann", "--label", "night", "--scope", "study.read")["key"]
    said("disable", "ann")
    engine = connect(records_address)
    with writing(engine) as connection:
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS), Refused)
    assert said("enable", "ANN")["user"] == ann
    assert run("enable", "ann").stdout == "User 'ann' is switched on, as reader.\n"
    with writing(engine) as connection:
        assert isinstance(log_in.log_in(connection, "ann", PASSWORD, NOW, SETTINGS), Started)
        assert keys.find(connection, key, NOW) is None
    assert "no user 'eve'" in wrong("enable", "eve")
    engine.dispose()


def test_a_role_is_changed_and_told_and_the_last_administrator_stays(records_address: str) -> None:
    said("create", "root", "--role", "admin")
    ann = said("create", "ann", "--role", "reader", "--project", "Heads")["user"]
    assert said("set-role", "ann", "reviewer")["user"] == {**ann, "role": "reviewer"}
    assert run("set-role", "ann", "auditor").stdout == "User 'ann' has the role auditor, no longer reviewer.\n"
    assert "the last active administrator" in wrong("set-role", "root", "reader")
    assert run("set-role", "ann", "god").exit_code == 2
    assert "no user 'eve'" in wrong("set-role", "eve", "reader")
    engine = connect(records_address)
    with reading(engine) as connection:
        told = connection.execute(select(schema.trail).where(schema.trail.c.action == "user.role")).all()
    details = [json.loads(row.detail) for row in told]
    assert [(row.subject, one["before"], one["role"]) for row, one in zip(told, details, strict=True)] == [
        (ann["id"], "reader", "reviewer"),
        (ann["id"], "reviewer", "auditor"),
    ]
    engine.dispose()


def test_a_new_password_ends_sessions(records_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said("create", "root", "--role", "admin")
    engine = connect(records_address)
    with writing(engine) as connection:
        started = log_in.log_in(connection, "root", PASSWORD, NOW, SETTINGS)
    assert isinstance(started, Started)
    monkeypatch.setenv("INSULA_NEW_PASSWORD", "a lantern under snow")
    said("set-password", "ROOT")
    with writing(engine) as connection:
        assert sessions.find(connection, started.secret, NOW, SETTINGS) is None
        assert isinstance(log_in.log_in(connection, "root", PASSWORD, NOW, SETTINGS), Refused)
        assert isinstance(log_in.log_in(connection, "root", "a lantern under snow", NOW, SETTINGS), Started)
    engine.dispose()


def test_a_password_is_typed_twice_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSULA_NEW_PASSWORD")
    got = run("create", "root", "--role", "admin", "--json", typed=f"{PASSWORD}\nanother\n{PASSWORD}\n{PASSWORD}\n")
    assert got.exit_code == 0, got.output
    assert PASSWORD not in got.output
    assert json.loads(got.stdout)["user"]["log_in"] == "password"
    assert "set INSULA_NEW_PASSWORD" in wrong("create", "ben", "--role", "reader")
    assert [u["name"] for u in said("list")["users"]] == ["root"]
    assert (
        said("create", "ann", "--role", "reader", "--issuer", "https://id.example", "--subject", "7")["user"]["log_in"]
        == "issuer"
    )


def test_a_project_is_made_where_there_is_none() -> None:
    first = said("create", "root", "--role", "admin", "--project", "Feet")["user"]["projects"]
    second = said("create", "ann", "--role", "reader", "--project", "Feet")["user"]["projects"]
    assert first == second != []


def test_what_is_wrong_is_said_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said("create", "root", "--role", "admin")
    assert "'root'" in wrong("create", "ROOT", "--role", "reader")
    assert "no user 'ann'" in wrong("disable", "ann")
    assert "user.manage" in wrong("key", "root", "--label", "k", "--scope", "user.manage")
    monkeypatch.setenv("INSULA_NEW_PASSWORD", "password1234")
    assert "tried first" in wrong("create", "ann", "--role", "reader")
    assert run("create", "ann", "--role", "god").exit_code == 2
    assert run("key", "root", "--label", "k", "--scope", "study.read", "--days", "366").exit_code == 2
    assert run("create", "ann", "--role", "reader", "--password", "x").exit_code == 2
    assert [u["name"] for u in said("list")["users"]] == ["root"]


def test_without_a_database_or_the_trails_key_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSULA_TRAIL_KEY")
    assert "INSULA_TRAIL_KEY" in wrong("create", "root", "--role", "admin")
    assert said("list")["users"] == []
    monkeypatch.delenv("INSULA_DATABASE")
    assert "INSULA_DATABASE" in wrong("list")
    monkeypatch.setenv("INSULA_DATABASE", "postgresql://alice:tulip-7731@127.0.0.1:9/none")
    got = run("list")
    assert isinstance(got.exception, UsageError)
    assert "tulip" not in str(got.exception)
