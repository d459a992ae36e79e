"""Break-glass, and which rows a caller may see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, insert, select
from tests.serve.people.made import MINUTE, NOW, caller, person, project, study

from insula.serve.faults import RequestError
from insula.serve.people import glass, users
from insula.serve.people.caller import Caller
from insula.serve.people.roles import ROLES
from insula.serve.people.visible import patients_of, require_project, require_study, rows_of, studies_of, visible
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
REASON = "the neurologist on call asked for it"


def seen(connection: Connection, who: Caller) -> tuple[set[str], int]:
    """Ids of the studies that somebody sees, and how many patients."""
    found = connection.execute(select(schema.studies.c.id).where(studies_of(who))).scalars()
    return set(found), len(connection.execute(select(schema.patients.c.id).where(patients_of(who))).all())


def test_members_see_their_projects_and_no_role_sees_more(records: Engine) -> None:
    with writing(records) as connection:
        heads, necks = project(connection, "Heads"), project(connection, "Necks")
        one, two = study(connection, heads), study(connection, necks)
        for number, role in enumerate(ROLES):
            inside = users.create(connection, f"in{number}", role, NOW, projects_in=[heads])
            assert seen(connection, caller(inside)) == ({one}, 1)
            assert seen(connection, caller(person(connection, f"out{number}", role))) == (set(), 0)
        both = caller(users.create(connection, "both", "reader", NOW, projects_in=[heads, necks]))
        assert seen(connection, both) == ({one, two}, 2)


def test_broken_glass_shows_one_study_for_an_hour(records: Engine) -> None:
    with writing(records) as connection:
        heads, necks = project(connection, "Heads"), project(connection, "Necks")
        one, two, three = study(connection, heads), study(connection, necks), study(connection, necks, "p2")
        ann = users.create(connection, "ann", "reader", NOW, projects_in=[heads])
        made = glass.break_glass(connection, caller(ann), two, f"  {REASON} ", NOW)
        assert (made.reason, made.ends_at, made.user_id) == (REASON, NOW + timedelta(hours=1), ann.id)
        assert REASON not in repr(made)
        opened = glass.opened_by(connection, ann.id, NOW + 59 * MINUTE)
        assert opened == {two}
        who = caller(ann, opened)
        assert seen(connection, who) == ({one, two}, 2)
        assert require_study(connection, who, two) == necks
        with pytest.raises(RequestError, match="no study") as got:
            require_study(connection, who, three)
        assert got.value.status == 404
        assert glass.opened_by(connection, ann.id, NOW + timedelta(hours=1)) == frozenset()
        with pytest.raises(RequestError, match="no study"):
            require_study(connection, caller(ann), two)
        # seen is not one's own: nothing is written into the other project
        require_project(who, heads)
        with pytest.raises(RequestError, match="no project"):
            require_project(who, necks)


def test_the_condition_holds_for_every_table_with_a_project_and_a_study(records: Engine) -> None:
    jobs = schema.jobs
    with writing(records) as connection:
        heads, necks = project(connection, "Heads"), project(connection, "Necks")
        places = [(heads, study(connection, heads)), (necks, study(connection, necks)), (necks, None), (None, None)]
        for number, (project_id, study_id) in enumerate(places):
            connection.execute(insert(jobs).values(id=f"{number}", kind="k", project_id=project_id, study_id=study_id))
        ann = users.create(connection, "ann", "reader", NOW, projects_in=[heads])

        def ids(who: Caller) -> list[str]:
            rule = visible(who, jobs.c.project_id, jobs.c.study_id)
            return list(connection.execute(select(jobs.c.id).where(rule).order_by(jobs.c.seq)).scalars())

        assert ids(caller(ann)) == ["0"]
        assert ids(caller(ann, frozenset({str(places[1][1])}))) == ["0", "1"]
        assert ids(caller(replace(ann, projects=frozenset()))) == []


def test_a_caller_without_open_glass_is_asked_for_by_projects_alone() -> None:
    who = Caller("u", "ann", "reader", frozenset({"a"}), "session")
    assert rows_of(who, schema.predictions) == frozenset({"a"})
    assert "glass" not in str(studies_of(who))
    opened = replace(who, opened=frozenset({"s"}))
    assert "predictions.study_id" in str(rows_of(opened, schema.predictions))
    assert "studies.id" in str(rows_of(opened, schema.studies))


@pytest.mark.parametrize("reason", ["", "x" * 19, f"{'x' * 18}   ", " " * 40, "x" * 2001, f"{REASON}\0"])
def test_a_reason_is_asked_for(records: Engine, reason: str) -> None:
    with writing(records) as connection:
        two = study(connection, project(connection, "Necks"))
        with pytest.raises(RequestError, match="reason"):
            glass.break_glass(connection, caller(person(connection)), two, reason, NOW)


def test_not_everybody_may_and_not_every_study_needs_it(records: Engine) -> None:
    with writing(records) as connection:
        heads = project(connection, "Heads")
        one = study(connection, heads)
        ann = caller(users.create(connection, "ann", "reader", NOW, projects_in=[heads]))
        auditor = caller(person(connection, "aud", "auditor"))
        by_key = replace(caller(person(connection, "ben")), how="key", scopes=frozenset({"glass.break"}))
        for who, study_id, status in ((ann, one, 409), (ann, "0" * 32, 404), (auditor, one, 403), (by_key, one, 403)):
            with pytest.raises(RequestError) as got:
                glass.break_glass(connection, who, study_id, REASON, NOW)
            assert got.value.status == status
        assert glass.page(connection) == []


def test_openings_are_listed_with_the_past_ones(records: Engine) -> None:
    with writing(records) as connection:
        necks = project(connection, "Necks")
        studies = [study(connection, necks, f"p{n}") for n in range(3)]
        ann, ben = person(connection, "ann"), person(connection, "ben")
        for who, study_id in ((ann, studies[0]), (ben, studies[1]), (ann, studies[2])):
            glass.break_glass(connection, caller(who), study_id, REASON, NOW - timedelta(days=9))
        first = glass.page(connection, limit=1)
        assert [o.study_id for o in first + glass.page(connection, first[0].seq)] == studies
        assert [o.study_id for o in glass.page(connection, user_id=ann.id)] == [studies[0], studies[2]]
        assert [o.user_id for o in glass.page(connection, study_id=studies[1])] == [ben.id]
        last = glass.newest(connection, limit=2)
        assert [o.study_id for o in last + glass.newest(connection, last[-1].seq)] == studies[::-1]
