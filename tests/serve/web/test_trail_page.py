"""The trail's pages: every filter, details in words, links for who may follow them, damaged entries, break-glass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update
from tests.serve.api.made import KEY, Made
from tests.serve.store.made_records import predicted, study
from tests.serve.web.reading import Page, read

from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.trail.append import append
from insula.serve.web import trail_page

pytestmark = pytest.mark.serve
START = datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.fixture
def subjects(made: Made) -> Mapping[str, str]:
    """A trail of eight entries of March, about a study and a prediction of each of two projects."""
    for role in ("admin", "auditor", "reader"):
        made.client(role)
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.studies))
        ids = {}
        for where, project in (("in", made.inside), ("out", made.outside)):
            ids[f"study-{where}"] = study(connection, project, f"T-{where}")
            ids[f"prediction-{where}"] = predicted(connection, ids[f"study-{where}"])
        connection.execute(delete(schema.trail))
        for i, (name, one) in enumerate(ids.items()):
            for actor in ("ada", "bob"):
                append(
                    connection,
                    KEY.encode(),
                    actor=actor,
                    action=f"{name.partition('-')[0]}.read",
                    subject=one,
                    outcome="done" if actor == "ada" else "refused",
                    detail={"rows": i, "scopes": ["a", "b"], "ok": True, "names": {"x": 1}},
                    at=START + timedelta(days=i),
                )
    return ids


def ask(made: Made, role: str = "auditor", **asked: str) -> Page:
    return read(made.client(role), "/trail", 200, **asked)


def told(shown: Page) -> list[int]:
    """The numbers of the entries of March on a page."""
    return [int(row[0]) for row in shown.rows if row[1].startswith("2026-03")]


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"actor": "ada"}, [7, 5, 3, 1]),
        ({"action": "study.read"}, [6, 5, 2, 1]),
        ({"outcome": "refused", "action": "prediction.read"}, [8, 4]),
        ({"since": "2026-03-02", "until": "2026-03-03"}, [6, 5, 4, 3]),
        ({"actor": "nobody"}, []),
    ],
)
def test_each_filter_finds_its_entries(
    made: Made, subjects: Mapping[str, str], asked: Mapping[str, str], numbers: list[int]
) -> None:
    shown = ask(made, **asked)
    assert told(shown) == numbers
    assert {name: shown.fields[name] for name in asked} == dict(asked)
    assert told(ask(made, subject=subjects["study-in"], **asked)) == [n for n in numbers if n <= 2]
    assert ("study.read", "study.read") in shown.options["action"]


def test_details_are_told_in_words(made: Made, subjects: Mapping[str, str]) -> None:
    row = ask(made, subject=subjects["prediction-in"], actor="ada").rows[0]
    assert row[1:4] == ["2026-03-02 08:00:00", "ada", "prediction.read"]
    assert row[6].startswith('names {"x": 1} ok true rows 1 scopes a, b')
    assert row[5] == "carried out"


def test_entries_lead_to_their_case_where_it_may_be_seen(made: Made, subjects: Mapping[str, str]) -> None:
    wanted = {
        f"/studies/{subjects['study-in']}",
        f"/studies/{subjects['study-in']}?prediction={subjects['prediction-in']}",
    }
    found = {link for link in ask(made, "admin").links if link.startswith("/studies/")}
    assert found == wanted, "of one's own projects alone"
    assert not [link for link in ask(made, "auditor").links if link.startswith("/studies/")]


def test_pages_keep_the_filters_and_exports_have_them(
    made: Made, subjects: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail_page, "_ROWS", 3)
    shown = ask(made, actor="ada", since="2026-03-01", until="2026-03-04")
    export = next(link for link in shown.links if "format=jsonl" in link)
    found = told(shown)
    shown = read(made.client("auditor"), shown.rels["next"])
    assert shown.rels["first"] == "/trail?actor=ada&since=2026-03-01&until=2026-03-04"
    assert found + told(shown) == [7, 5, 3, 1]
    lines = made.client("auditor").get(export).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 3, 5, 7]
    assert subjects


@pytest.mark.parametrize(("asked", "said"), [({"since": "soon"}, "'soon' is no day"), ({"after": "?"}, "no cursor")])
def test_what_cannot_be_asked_is_said_beside_the_form(made: Made, asked: Mapping[str, str], said: str) -> None:
    shown = read(made.client("auditor"), "/trail", 422, **asked)
    assert said in shown.alert
    assert shown.rows == []


@pytest.mark.parametrize("detail", ["no json", "[1]", '{"a":' * 3000])
def test_a_damaged_entry_is_shown_as_it_is(made: Made, subjects: Mapping[str, str], detail: str) -> None:
    with writing(made.service.records) as connection:
        connection.execute(update(schema.trail).where(schema.trail.c.seq == 8).values(detail=detail))
    assert ask(made, actor="bob").rows[0][6].startswith(detail[:20])
    assert subjects


def test_bytes_that_are_no_text_are_shown_as_escapes(made: Made, subjects: Mapping[str, str]) -> None:
    if made.service.records.dialect.name != "sqlite":  # PostgreSQL keeps none
        return
    with writing(made.service.records) as connection:
        connection.exec_driver_sql("UPDATE trail SET detail = CAST(X'7B22FF' AS TEXT), actor = X'00FF' WHERE seq = 8")
    shown = ask(made, action="prediction.read")
    assert shown.rows[0][6].startswith('{"\\udcff')
    assert "\\udcff" in shown.rows[0][2]
    (entry,) = made.client("auditor").get("/api/v1/trail", params={"after": "OQ", "limit": 1}).json()["items"]
    assert (entry["seq"], entry["detail"]) == (8, '{"\\udcff')
    assert subjects


def test_only_who_reads_the_trail_sees_it(made: Made) -> None:
    for path in ("/trail", "/glass"):
        assert made.client("reader").get(path, headers={"Accept": "text/html"}).status_code == 403


def test_openings_by_break_glass_and_their_reasons(
    made: Made, subjects: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nobody has opened a study by break-glass." in read(made.client("auditor"), "/glass").text
    with writing(made.service.records) as connection:
        for i in range(3):
            at = schema.now() - timedelta(hours=2 - i)
            values = {"user_id": made.ids["reader"], "study_id": subjects["study-in"], "created_at": at}
            values |= {"reason": f"<b>Reason</b> number {i}", "ends_at": at + timedelta(hours=1)}
            connection.execute(insert(schema.glass).values(values))
    monkeypatch.setattr(trail_page, "_ROWS", 2)
    shown = read(made.client("auditor"), "/glass")
    assert [row[3] for row in shown.rows] == ["<b>Reason</b> number 2", "<b>Reason</b> number 1"]
    assert shown.rows[0][1] == "reader"
    assert ["still open" in row[4] for row in shown.rows] == [True, False]
    assert f"/trail?subject={subjects['study-in']}" in shown.links
    assert f"/studies/{subjects['study-in']}" not in shown.links
    assert f"/studies/{subjects['study-in']}" in read(made.client("admin"), "/glass").links
    assert len(read(made.client("auditor"), shown.rels["next"]).rows) == 1
    assert "/trail" in shown.links
