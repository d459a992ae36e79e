"""The pages of the people: who is shown them, what they list, and whom a form is about."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.serve.api.made import PASSWORD, Made
from tests.serve.web.reading import read

from insula.serve.people import keys, sessions, users
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now
from insula.serve.web import people_page

pytestmark = pytest.mark.serve


def entries(made: Made) -> int:
    with reading(made.service.records) as connection:
        return len(connection.execute(select(schema.trail.c.seq)).all())


@pytest.mark.parametrize("role", ["reader", "reviewer", "auditor"])
def test_only_who_manages_people_sees_them(made: Made, role: str) -> None:
    for path in ("/people", "/people/new", f"/people/{made.ids['reader']}"):
        said = read(made.client(role), path, 403)
        assert "user.manage" in said.alert
        assert "stranger" not in said.text


def test_the_list_tells_of_each_person_what_counts(made: Made) -> None:
    admin, at = made.client("admin"), now()
    with writing(made.service.records) as connection:
        users.create(
            connection, "dora", "reader", at, full_name="<Dora>", issuer="https://id.example", subject="1",
            projects_in=[made.inside, made.outside],
        )  # fmt: skip
        off = users.create(connection, "odd", "reader", at, password=PASSWORD)
        users.change(connection, off.id, at, active=False)
        rule = schema.users.c.id == made.ids["auditor"]
        connection.execute(update(schema.users).where(rule).values(locked_until=at + timedelta(hours=1)))
    rows = {row[0]: row[1:] for row in read(admin, "/people").rows}
    assert rows["dora"][:5] == ["<Dora>", "reader", "on", "issuer", rows["dora"][4]]
    assert sorted(rows["dora"][4].split(", ")) == ["Inside", "Outside"]
    assert rows["dora"][5] == "–"
    assert rows["odd"][2:5] == ["switched off", "password", "–"]
    assert rows["auditor"][2].startswith("locked until ")
    assert rows["admin"][5].endswith("UTC"), "who asks was seen just now"
    with writing(made.service.records) as connection:
        connection.execute(update(schema.users).values(locked_until=None))


def test_it_is_filtered_and_paged_without_losing_the_filter(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_page, "ROWS", 2)
    admin = made.client("admin")
    with writing(made.service.records) as connection:
        for n in range(5):
            users.create(connection, f"row{n}", "auditor" if n == 4 else "reader", now(), full_name=f"Row & Co {n}")
    page, found = read(admin, "/people", text="row &", role="reader"), []
    assert page.fields == {"text": "row &", "role": "reader", "state": "", "theme": "dark", "language": "de"}
    assert "first" not in page.rels
    while True:
        found += [row[0] for row in page.rows]
        if "next" not in page.rels:
            break
        page = read(admin, page.rels["next"])
        assert page.rels["first"] == "/people?text=row+%26&role=reader"
    assert found == ["row0", "row1", "row2", "row3"]
    assert [row[0] for row in read(admin, "/people", text="row", role="auditor", state="on").rows] == ["row4"]
    assert "Nobody fits" in read(admin, "/people", text="nobody at all").text
    assert "no role 'god'" in read(admin, "/people", 422, role="god").alert
    read(admin, "/people", 400, after="x;")


def test_a_person_is_shown_with_keys_and_sessions_and_nobody_elses(made: Made) -> None:
    admin, at = made.client("admin"), now()
    with writing(made.service.records) as connection:
        ann = users.create(connection, "ann", "reviewer", at, password=PASSWORD, projects_in=[made.outside])
        key = keys.create(connection, ann.id, "night <run>", ["study.read"], at + timedelta(days=3), at).key
        gone = keys.create(connection, ann.id, "old", ["study.read"], at + timedelta(days=3), at).key
        keys.revoke(connection, gone.id, at)
        keys.create(connection, made.ids["reader"], "of another", ["study.read"], at + timedelta(days=3), at)
        sessions.start(connection, ann.id, at, made.service.people)
    before = entries(made)
    text = admin.get(f"/people/{ann.id}").text
    page = read(admin, f"/people/{ann.id}")
    assert entries(made) == before, "these pages tell of no patient"
    assert [row[0].split(" ins_")[0] for row in page.rows[:2]] == ["night <run>", "old"]
    assert page.rows[1][3].startswith("ended ")
    assert len(page.rows) == 3
    assert "of another" not in page.text
    assert f'value="{made.outside}" data-as="list" checked' in text
    assert f'value="{made.inside}" data-as="list">' in text
    assert 'name="role" value="reviewer" required checked' in text
    assert f"DELETE /api/v1/users/{ann.id}/keys/{key.id}" in text
    assert f"DELETE /api/v1/users/{ann.id}/keys/{gone.id}" not in text
    assert f"DELETE /api/v1/users/{ann.id}/sessions" in text
    assert "data-warns" not in text
    read(admin, f"/people/{'0' * 32}", 404)
    read(admin, "/people/x", 422)


def test_ones_own_role_and_account_are_asked_about_twice(made: Made) -> None:
    text = made.client("admin").get(f"/people/{made.ids['admin']}").text
    assert "/password" not in text
    assert "/sessions" not in text
    assert 'data-warns="This is your own role.' in text
    assert 'data-confirm="This is your own account: you are logged out at once' in text


def test_the_form_to_let_somebody_in_says_the_rules(made: Made) -> None:
    page = read(made.client("admin"), "/people/new")
    assert "12 to 128 characters" in page.text
    assert {"name", "full_name", "role", "projects", "password", "subject"} <= set(page.fields)
    assert page.options["issuer"] == [("", "by a password of this service")]


def test_a_person_who_was_switched_off_can_be_switched_on(made: Made) -> None:
    admin, at = made.client("admin"), now()
    with writing(made.service.records) as connection:
        back = users.create(connection, "back", "reader", at, password=PASSWORD)
        users.change(connection, back.id, at, active=False)
    assert read(admin, f"/people/{back.id}").fields["active"] == "true"
    assert admin.patch(f"/api/v1/users/{back.id}", json={"active": True}).status_code == 200
    assert read(admin, f"/people/{back.id}").fields["active"] == "false"
