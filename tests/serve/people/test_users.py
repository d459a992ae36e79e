"""Users and their projects: made, changed, listed; the last administrator stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from tests.serve.people.made import MINUTE, NOW, PASSWORD, SETTINGS, person, project

from insula.serve.faults import RequestError
from insula.serve.people import keys, projects, sessions, user, users
from insula.serve.people.roles import ROLES
from insula.serve.people.user import name_of
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


def test_a_user_is_found_by_id_and_by_name_in_any_case(records: Engine) -> None:
    with writing(records) as connection:
        heads = project(connection, "Heads")
        made = users.create(
            connection, " Ayşe.Öz ", "reviewer", NOW, full_name="Ayşe  Öz", password=PASSWORD, projects_in=[heads]
        )
    with reading(records) as connection:
        assert user.find(connection, made.id) == user.named(connection, "AYŞE.ÖZ") == made
        kept = connection.execute(select(schema.users.c.password_hash)).scalar_one()
    assert (made.name, made.full_name, made.role, made.active) == ("ayşe.öz", "Ayşe Öz", "reviewer", True)
    assert made.projects == {heads}
    assert made.has_password
    assert PASSWORD not in kept
    assert PASSWORD not in repr(made)


def test_a_name_is_given_once(records: Engine) -> None:
    with writing(records) as connection:
        person(connection, "ann")
        with pytest.raises(RequestError, match="'ann'") as got:
            person(connection, "ANN")
        person(connection, "ben")  # the transaction still works
        assert [u.name for u in user.page(connection)] == ["ann", "ben"]
    assert got.value.status == 409


@pytest.mark.parametrize(
    "name", ["", " ", "-ann", "ann smith", "a" * 121, "ann\0", "ann/..", "<b>", "ann\u202e", "\ud800"]
)
def test_what_is_no_name_is_refused(records: Engine, name: str) -> None:
    with pytest.raises(RequestError) as got, writing(records) as connection:
        person(connection, name)
    assert (got.value.status, got.value.fault_code) == (422, "bad_name")


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_a_name_that_is_kept_is_its_own_kept_form(text: str) -> None:
    try:
        kept = name_of(text)
    except RequestError:
        return
    assert name_of(kept) == name_of(f" {kept}\n") == kept
    assert "\0" not in kept
    kept.encode()


def test_pages_follow_each_other_without_gap_or_repeat(records: Engine) -> None:
    with writing(records) as connection:
        names = [person(connection, f"u{i}", ROLES[i % 4]).name for i in range(11)]
        users.change(connection, user.named(connection, "u4").id, NOW, active=False)
    with reading(records) as connection:
        found, after = [], 0
        while some := user.page(connection, after, 4):
            found += [u.name for u in some]
            after = some[-1].seq
        readers = [u.name for u in user.page(connection, role="reader", active=True)]
    assert found == names
    assert readers == ["u0", "u8"]


def test_people_are_found_by_a_part_of_either_name(records: Engine) -> None:
    with writing(records) as connection:
        for name, full in [("ann", "Zoë Quill"), ("ben_1", "Benno 100%"), ("benx1", "")]:
            users.create(connection, name, "reader", NOW, full_name=full)
    with reading(records) as connection:
        found = {
            text: [one.name for one in user.page(connection, text=text)]
            for text in ("EN", " quill ", "zoë q", "_", "%", "nobody", "'; --")
        }
    assert found == {
        "EN": ["ben_1", "benx1"],
        " quill ": ["ann"],
        "zoë q": ["ann"],
        "_": ["ben_1"],
        "%": ["ben_1"],
        "nobody": [],
        "'; --": [],
    }


def test_an_unknown_project_is_refused_and_changes_nothing(records: Engine) -> None:
    with writing(records) as connection:
        heads, necks = project(connection, "Heads"), project(connection, "Necks")
        ann = users.create(connection, "ann", "reader", NOW, projects_in=[heads, heads])
    with pytest.raises(RequestError, match="no project"), writing(records) as connection:
        users.change(connection, ann.id, NOW, projects_in=[necks, "0" * 32])
    with writing(records) as connection:
        assert user.find(connection, ann.id).projects == projects.ids_of(connection, ann.id) == {heads}
        assert users.change(connection, ann.id, NOW, projects_in=[necks]).projects == {necks}
        assert users.change(connection, ann.id, NOW, projects_in=[]).projects == frozenset()


def test_deactivation_ends_sessions_and_keys_and_a_return_does_not_bring_them_back(records: Engine) -> None:
    with writing(records) as connection:
        ann = person(connection)
        session = sessions.start(connection, ann.id, NOW, SETTINGS)
        key = keys.create(connection, ann.id, "script", ["study.read"], NOW + timedelta(days=9), NOW)
        assert not users.change(connection, ann.id, NOW + MINUTE, active=False).active
        users.change(connection, ann.id, NOW + MINUTE, active=True)
    with reading(records) as connection:
        assert sessions.find(connection, session.secret, NOW + MINUTE, SETTINGS) is None
        assert keys.find(connection, key.shown, NOW + MINUTE) is None


@pytest.mark.parametrize("how", [{"role": "reader"}, {"active": False}, {"role": "auditor", "active": True}])
def test_the_last_administrator_who_can_log_in_stays(records: Engine, how: dict[str, object]) -> None:
    with writing(records) as connection:
        root = person(connection, "root", "admin", PASSWORD)
        person(connection, "nopassword", "admin")  # cannot log in, so does not count
        gone = users.create(connection, "gone", "admin", NOW, issuer="https://id.example", subject="7")
        users.change(connection, gone.id, NOW, active=False)
        with pytest.raises(RequestError, match="'root'") as got:
            users.change(connection, root.id, NOW, **how)  # type: ignore[arg-type]
        assert (got.value.status, got.value.fault_code) == (409, "last_admin")
        assert user.find(connection, root.id) == root
        users.change(connection, gone.id, NOW, active=True)
        users.change(connection, root.id, NOW, **how)  # type: ignore[arg-type]


def test_an_administrator_may_be_renamed_and_moved_though_the_last(records: Engine) -> None:
    with writing(records) as connection:
        root = person(connection, "root", "admin", PASSWORD)
        assert users.change(connection, root.id, NOW, full_name="R.", role="admin", active=True).full_name == "R."


def test_two_administrators_who_demote_each_other_at_once_leave_one(records: Engine) -> None:
    with writing(records) as connection:
        ann = users.create(connection, "ann", "admin", NOW, issuer="https://id.example", subject="1")
        ben = users.create(connection, "ben", "admin", NOW, issuer="https://id.example", subject="2")
    refused: list[str] = []
    started = threading.Event()

    def demote_ben() -> None:
        started.set()
        try:
            with writing(records) as connection:
                users.change(connection, ben.id, NOW, role="reader")
        except RequestError as error:
            refused.append(error.fault_code)

    thread = threading.Thread(target=demote_ben)
    with writing(records) as connection:
        users.change(connection, ann.id, NOW, role="reader")
        thread.start()
        started.wait(30)
        thread.join(0.2)  # the other one waits for this transaction, or comes after it: the outcome is the same
    thread.join(60)
    with reading(records) as connection:
        assert [u.name for u in user.page(connection, role="admin")] == ["ben"]
    assert refused == ["last_admin"]


def test_a_new_password_ends_every_session_but_the_one_that_set_it(records: Engine) -> None:
    with writing(records) as connection:
        ann, ben = person(connection, "ann", password=PASSWORD), person(connection, "ben")
        own, other, of_ben = (sessions.start(connection, u.id, NOW, SETTINGS) for u in (ann, ann, ben))
        users.set_password(connection, ann.id, "a lantern under snow", NOW, keep_session=own.id)
        alive = [sessions.find(connection, s.secret, NOW, SETTINGS) is not None for s in (own, other, of_ben)]
        assert alive == [True, False, True]
        users.set_password(connection, ann.id, "a lantern under rain", NOW)
        assert sessions.find(connection, own.secret, NOW, SETTINGS) is None
        with pytest.raises(RequestError, match="little more than the user's name"):
            users.set_password(connection, ann.id, "ann9ann8ann7", NOW)
        with pytest.raises(RequestError, match="no user"):
            users.set_password(connection, "0" * 32, PASSWORD, NOW)


def test_one_subject_of_an_issuer_is_one_user(records: Engine) -> None:
    with writing(records) as connection:
        ann, ben = person(connection, "ann"), person(connection, "ben")
        users.link(connection, ann.id, "https://id.example", "7")
        with pytest.raises(RequestError, match="unlink"):
            users.link(connection, ben.id, "https://id.example", "7")
        users.link(connection, ben.id, "https://other.example", "7")
        assert user.known_as(connection, "https://id.example", "7") == user.find(connection, ann.id)
        users.link(connection, ann.id, None, None)
        assert user.known_as(connection, "https://id.example", "7") is None
        with pytest.raises(RequestError, match="stand together"):
            users.link(connection, ann.id, "https://id.example", None)


def test_projects_have_one_name_each(records: Engine) -> None:
    with writing(records) as connection:
        heads = projects.create(connection, " Heads  2026 ", NOW)
        assert projects.named(connection, "Heads 2026") == projects.find(connection, heads.id) == heads
        necks = projects.create(connection, "Necks", NOW)
        attempts: list[tuple[int, Callable[[], object]]] = [
            (409, lambda: projects.create(connection, "Heads 2026", NOW)),
            (409, lambda: projects.rename(connection, necks.id, "Heads 2026")),
            (422, lambda: projects.create(connection, "\n", NOW)),
            (404, lambda: projects.find(connection, "0" * 32)),
            (404, lambda: projects.named(connection, "Feet")),
        ]
        for status, attempt in attempts:
            with pytest.raises(RequestError) as got:
                attempt()
            assert got.value.status == status
        assert projects.rename(connection, necks.id, "Hands").name == "Hands"
        assert [p.name for p in projects.page(connection)] == ["Heads 2026", "Hands"]
        assert [p.name for p in projects.page(connection, heads.seq)] == ["Hands"]
        assert [p.name for p in projects.page(connection, only={heads.id})] == ["Heads 2026"]
        assert projects.page(connection, only=()) == []
