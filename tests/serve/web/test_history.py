"""The history's page and sheet: each filter, pages by cursor, nothing of a rejected scan, no leak to second readers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from tests.serve.api.made import Made
from tests.serve.store.made_records import MADE, predicted, study
from tests.serve.web.reading import Page, read

from insula.serve.store import reviews, schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.reviews import Said
from insula.serve.web import history, history_sheet

pytestmark = pytest.mark.serve
START = datetime(2026, 1, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def laid(made: Made) -> Made:
    """Six predictions a day apart, one each rejected, overridden and agreed with; one more in another project."""
    made.client("reviewer")
    with writing(made.service.records) as connection:
        for i in range(6):
            one = study(connection, made.inside, f"LAID-{i}", f"Head {i}")
            of = predicted(connection, one, (0.9, 0.1)[i % 2], ("accept", "refer", "reject")[i % 3], MADE)
            values = {"created_at": START + timedelta(days=i)}
            connection.execute(update(schema.predictions).where(schema.predictions.c.id == of).values(values))
            if i == 3:
                reviews.write(connection, one, made.ids["reviewer"], Said("answer", "override", "R", "other"), of)
            if i == 4:
                reviews.write(connection, one, made.ids["reviewer"], Said("answer", "agree", "R"), of)
        predicted(connection, study(connection, made.outside, "LAID-OUT"))
    return made


def keys(shown: Page) -> list[str]:
    """The patients of a page's table."""
    return [row[0] for row in shown.rows]


def ask(made: Made, role: str = "reader", **asked: str) -> Page:
    return read(made.client(role), "/history", 200, **asked)


CASES: list[tuple[Mapping[str, str], list[int]]] = [
    ({}, [5, 4, 3, 2, 1, 0]),
    ({"since": "2026-02-01", "until": "2026-02-02"}, [3, 2]),
    ({"since": "2026-02-03"}, [5, 4]),
    ({"until": "2026-01-30"}, [0]),
    ({"action": "refer"}, [4, 1]),
    ({"label": "normal"}, [3, 1]),
    ({"model": "b1", "reviewed": "true"}, [4, 3]),
    ({"reviewed": "false", "action": "accept"}, [0]),
    ({"disagreed": "true"}, [3]),
    ({"patient": "laid-2"}, [2]),
    ({"patient": "laid", "action": "accept", "label": "stroke"}, [0]),
]


@pytest.mark.parametrize(("asked", "found"), CASES)
def test_each_filter_finds_its_rows(laid: Made, asked: Mapping[str, str], found: list[int]) -> None:
    shown = ask(laid, **{"patient": "laid", **asked})
    assert keys(shown) == [f"LAID-{i}" for i in found]
    everything = ask(laid, **asked)
    assert [key for key in keys(everything) if key.startswith("LAID")] == [f"LAID-{i}" for i in found]
    for name, value in asked.items():  # the form shows what was asked
        assert shown.fields[name] == ("laid" if name == "patient" and "patient" not in asked else value)


def test_a_reviewers_own_history(laid: Made) -> None:
    shown = ask(laid, reviewer=laid.ids["reviewer"])
    assert keys(shown) == ["LAID-4", "LAID-3"]
    assert (laid.ids["reviewer"], "reviewer") in shown.options["reviewer"]
    assert [name for _, name in shown.options["reviewer"]] == ["any", "reviewer"], "who has read nothing is not offered"
    left = ask(laid, reviewer="f" * 32, label="gone", model="e" * 64)
    assert [left.fields[name] for name in ("reviewer", "label", "model")] == ["f" * 32, "gone", "e" * 64]
    assert left.rows == []


def test_a_row_leads_to_its_case(laid: Made) -> None:
    shown = ask(laid, patient="LAID-1")
    with reading(laid.service.records) as connection:
        one = connection.execute(
            select(schema.predictions.c.id, schema.predictions.c.study_id)
            .join(schema.studies, schema.studies.c.id == schema.predictions.c.study_id)
            .where(schema.studies.c.title == "Head 1")
        ).one()
    assert f"/studies/{one.study_id}?prediction={one.id}" in shown.links
    assert "Head 1" in shown.rows[0][1]


def test_a_rejected_scan_has_no_answer_and_no_confidence(laid: Made) -> None:
    shown = ask(laid, patient="LAID-2")
    assert shown.rows[0][3:5] == ["none", "–"]
    sheet = lines(laid, patient="LAID-2")
    assert [sheet[1][sheet[0].index(name)] for name in ("answer", "confidence", "entropy (nats)")] == ["", "", ""]
    assert [one[3:5] for one in ask(laid, patient="LAID-0").rows] == [["stroke", "0.90"]]


def test_a_second_reader_is_told_of_no_disagreement(laid: Made) -> None:
    assert [row[-1] for row in ask(laid, "reader", patient="laid").rows][1:3] == ["read", "disagreed"]
    assert [row[-1] for row in ask(laid, "admin", patient="laid").rows][1:3] == ["read, not yet by you"] * 2
    assert keys(ask(laid, "admin", patient="laid", disagreed="true")) == []
    assert "told after your own review" in lines(laid, "admin", patient="LAID-3")[1]
    assert keys(ask(laid, "reviewer", patient="laid", disagreed="true")) == ["LAID-3"]


def test_pages_follow_each_other_and_keep_the_filters(laid: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_ROWS", 2)
    shown = ask(laid, patient="laid", action="")
    found = keys(shown)
    assert "first" not in shown.rels
    while "next" in shown.rels:
        shown = read(laid.client("reader"), shown.rels["next"])
        assert shown.rels["first"] == "/history?patient=laid"
        found += keys(shown)
    assert found == [f"LAID-{i}" for i in range(5, -1, -1)]
    assert "This is the last page." in shown.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "yesterday"}, "'yesterday' is no day"),
        ({"until": "9999-12-31"}, "'9999-12-31' is no day"),
        ({"after": "x"}, "is no cursor"),
    ],
)
def test_what_cannot_be_asked_is_said_beside_the_form(laid: Made, asked: Mapping[str, str], said: str) -> None:
    shown = read(laid.client("reader"), "/history", 422, **asked)
    assert said in shown.alert
    assert shown.rows == []
    assert shown.fields.keys() >= {"patient", "since", "until"}
    if "after" not in asked:  # a sheet has no pages
        assert laid.client("reader").get("/history.csv", params=dict(asked)).status_code == 422


def test_months_are_one_click_away(laid: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "now", lambda: datetime(2026, 2, 10, tzinfo=UTC))
    shown = ask(laid, patient="laid")
    assert {"/history?patient=laid&since=2026-02-01", "/history?patient=laid"} <= set(shown.links)
    last = next(link for link in shown.links if "until" in link and link.startswith("/history?"))
    assert keys(read(laid.client("reader"), last)) == ["LAID-1", "LAID-0"]


def test_an_empty_history_says_why(laid: Made) -> None:
    assert "No prediction fits these filters." in ask(laid, patient="none such").text
    assert keys(ask(laid, "stranger")) == ["LAID-OUT"]
    with writing(laid.service.records) as connection:
        connection.execute(delete(schema.members).where(schema.members.c.user_id == laid.ids["stranger"]))
    assert "You are in no project yet" in ask(laid, "stranger").text


def test_it_is_told_to_the_trail_and_shown_to_readers_only(laid: Made) -> None:
    ask(laid, patient="LAID-2")
    entry = newest(laid)
    assert (entry["actor"], entry["action"], entry["detail"]) == ("reader", "prediction.history", '{"rows":1}')
    for path in ("/history", "/history.csv"):
        assert laid.client("auditor").get(path, headers={"Accept": "text/html"}).status_code == 403
        assert laid.fresh().get(path, headers={"Accept": "text/html"}, follow_redirects=False).status_code == 303


def newest(made: Made) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        made.client("auditor").get("/api/v1/trail", params={"limit": 1, "actor": "reader"}).json()["items"][0]
    )
    return found


def lines(made: Made, role: str = "reader", **asked: str) -> list[list[str]]:
    answer = made.client(role).get("/history.csv", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def test_the_sheet_has_all_that_fit_in_batches(laid: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_sheet, "_BATCH", 2)
    head, *rows = lines(laid, patient="laid")
    assert [row[head.index("patient")] for row in rows] == [f"LAID-{i}" for i in range(5, -1, -1)]
    assert [row[head.index("a reader disagreed")] for row in rows] == ["no", "no", "yes", "no", "no", "no"]
    assert rows[-1][:2] == ["2026-01-30 12:00:00", "LAID-0"]
    assert (newest(laid)["action"], newest(laid)["detail"]) == ("prediction.export", '{"cut":false,"rows":6}')
    assert len(lines(laid, patient="laid", action="refer")) == 3


def test_a_long_sheet_is_cut_and_says_so(laid: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_sheet, "_BATCH", 2)
    for most, cut in ((3, True), (5, True), (6, False)):
        monkeypatch.setattr(history_sheet, "MOST_ROWS", most)
        _, *rows = lines(laid, patient="laid")
        assert len(rows) == most + cut
        assert ("The list was cut here" in rows[-1][0]) == cut
        assert newest(laid)["detail"] == f'{{"cut":{str(cut).lower()},"rows":{most}}}'


def test_no_cell_of_the_sheet_is_a_formula(laid: Made) -> None:
    with writing(laid.service.records) as connection:
        for start in ("=", "+", "-", "@"):
            predicted(connection, study(connection, laid.inside, f"{start}cmd", f"{start}1+1"))
    found = [lines(laid, patient=f"{start}cmd")[1] for start in ("=", "+", "-", "@")]
    assert [row[1] for row in found] == ["'=cmd", "'+cmd", "'-cmd", "'@cmd"]
    assert [row[2] for row in found] == ["'=1+1", "'+1+1", "'-1+1", "'@1+1"]
