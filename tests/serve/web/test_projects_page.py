"""The pages of the projects: what is in them, for how long it is kept, who is a member."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.serve.api.made import PASSWORD, Made
from tests.serve.web.reading import read

from insula.serve.people import projects, users
from insula.serve.store import retention, schema
from insula.serve.store.connect import writing
from insula.serve.store.schema import now
from insula.serve.web import projects_page

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("role", ["reader", "reviewer", "auditor"])
def test_only_who_manages_projects_sees_them(made: Made, role: str) -> None:
    for path in ("/projects", f"/projects/{made.inside}"):
        said = read(made.client(role), path, 403)
        assert "project.manage" in said.alert
        assert "Inside" not in said.text


def test_the_list_counts_and_says_for_how_long(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.study(patient="of a project")
    with writing(made.service.records) as connection:
        retention.set_rules(connection, made.outside, retention.Rules(90, 1))
    admin = made.client("admin")
    rows = {row[0]: row[1:5] for row in read(admin, "/projects").rows}
    assert rows["Inside"] == ["4", "1", "for ever", "for ever"]
    assert rows["Outside"] == ["1", "0", "90 days", "1 day"]
    monkeypatch.setattr(projects_page, "ROWS", 1)
    first = read(admin, "/projects")
    second = read(admin, first.rels["next"])
    assert [first.rows[0][0], second.rows[0][0]] == ["Inside", "Outside"]
    assert second.rels["first"] == "/projects"


def test_a_project_shows_its_members_and_whom_to_let_in(made: Made) -> None:
    admin = made.client("admin")
    with writing(made.service.records) as connection:
        heads = projects.create(connection, "Heads & <Necks>", now()).id
        users.create(connection, "ann", "reader", now(), password=PASSWORD, projects_in=[heads])
        off = users.create(connection, "off", "reader", now(), password=PASSWORD)
        users.change(connection, off.id, now(), active=False)
    page = read(admin, f"/projects/{heads}")
    assert "Heads & <Necks>" in page.text
    assert [row[0] for row in page.rows] == ["ann"]
    choices = dict(page.options["person"])
    assert made.ids["reader"] in choices
    assert "ann" not in choices.values()
    assert off.id not in choices, "who is switched off is not let in"
    assert admin.put(f"/api/v1/projects/{heads}/members/{made.ids['reader']}").status_code == 204
    assert [row[0] for row in read(admin, f"/projects/{heads}").rows] == ["reader", "ann"]
    read(admin, f"/projects/{'0' * 32}", 404)


def test_what_would_go_now_is_said_before_it_goes(made: Made) -> None:
    admin = made.client("admin")
    with writing(made.service.records) as connection:
        kept = projects.create(connection, "Kept for a while", now()).id
    plain = read(admin, f"/projects/{kept}")
    assert (plain.fields["files_days"], plain.fields["predictions_days"]) == ("", "")
    assert "Older than that now" not in plain.text
    answer = admin.put(f"/api/v1/projects/{kept}/retention", json={"files_days": 30})
    assert answer.status_code == 200
    ruled = read(admin, f"/projects/{kept}")
    assert (ruled.fields["files_days"], ruled.fields["predictions_days"]) == ("30", "")
    assert "Nothing is older than that now." in ruled.text
    study = made.study(patient="old one")
    with writing(made.service.records) as connection:
        move = update(schema.studies).where(schema.studies.c.id == study["id"]).values(project_id=kept)
        connection.execute(move)
        aged = update(schema.files).where(schema.files.c.study_id == study["id"])
        connection.execute(aged.values(created_at=now() - timedelta(days=31)))
    assert (
        f"{len(study['files'])} files, 0 pictures and reports, 0 predictions" in read(admin, f"/projects/{kept}").text
    )
    assert admin.put(f"/api/v1/projects/{kept}/retention", json={}).json() == {
        "files_days": None,
        "predictions_days": None,
    }
