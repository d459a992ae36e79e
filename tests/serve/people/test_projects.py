"""What is in a project, and letting people in and out of it one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from tests.serve.people.made import NOW, person, project, study

from insula.serve.faults import RequestError
from insula.serve.people import projects, user, users
from insula.serve.people.projects import Counts
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


def test_members_and_studies_are_counted_of_each_project_alone(records: Engine) -> None:
    with writing(records) as connection:
        heads, necks, empty = (project(connection, name) for name in ("Heads", "Necks", "Empty"))
        users.create(connection, "ann", "reader", NOW, projects_in=[heads, necks])
        users.create(connection, "ben", "reader", NOW, projects_in=[heads])
        for key in ("p1", "p2", "p3"):
            study(connection, necks, key)
    with reading(records) as connection:
        assert projects.counts(connection, [heads, necks, empty]) == {
            heads: Counts(2, 0),
            necks: Counts(1, 3),
            empty: Counts(0, 0),
        }
        assert projects.counts(connection, []) == {}
        assert [one.name for one in projects.every(connection)] == ["Empty", "Heads", "Necks"]


def test_somebody_is_let_in_and_taken_out_without_touching_other_projects(records: Engine) -> None:
    with writing(records) as connection:
        heads, necks = project(connection, "Heads"), project(connection, "Necks")
        ann = users.create(connection, "ann", "reader", NOW, projects_in=[heads])
        ben = person(connection, "ben")
        assert projects.let_in(connection, necks, ann.id, NOW)
        assert not projects.let_in(connection, necks, ann.id, NOW)
        assert user.find(connection, ann.id).projects == {heads, necks}  # the transaction still works
        assert [one.name for one in user.page(connection, project_id=necks)] == ["ann"]
        assert projects.take_out(connection, heads, ann.id)
        assert not projects.take_out(connection, heads, ann.id)
        assert not projects.take_out(connection, necks, ben.id)
        assert user.find(connection, ann.id).projects == {necks}
        assert user.page(connection, project_id=heads) == []


def test_an_unknown_project_or_person_is_refused(records: Engine) -> None:
    with writing(records) as connection:
        heads, ann = project(connection, "Heads"), person(connection)
        attempts: list[tuple[Callable[[], object], str]] = [
            (lambda: projects.let_in(connection, "0" * 32, ann.id, NOW), "no_project"),
            (lambda: projects.let_in(connection, heads, "0" * 32, NOW), "no_user"),
            (lambda: projects.take_out(connection, "0" * 32, ann.id), "no_project"),
        ]
        for call, code in attempts:
            with pytest.raises(RequestError) as got:
                call()
            assert (got.value.status, got.value.fault_code) == (404, code)
