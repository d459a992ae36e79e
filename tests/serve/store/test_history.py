"""Predictions are kept as they were said, and found again by every filter."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, update
from tests.serve.store.made_records import MADE, predicted, project, study, user

from insula.serve.faults import RequestError
from insula.serve.store import history, predictions, reviews, schema
from insula.serve.store.connect import writing
from insula.serve.store.history import Filters
from insula.serve.store.reviews import Said

pytestmark = pytest.mark.serve
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_prediction_is_kept_as_the_writers_say_it(records: Engine) -> None:
    with writing(records) as connection:
        one = study(connection, project(connection))
        made = replace(MADE, arm="shadow", milliseconds=12.5, monitored={"mean": 0.5})
        found = predictions.get(connection, predicted(connection, one, 0.75, "refer", made), None)
        assert (found.study_id, found.bundle_id, found.model_name, found.arm) == (one, "b1", "stroke-ct", "shadow")
        assert (found.action, found.label, found.confidence, found.domain_score) == ("refer", "stroke", 0.75, 0.25)
        assert found.answer["probabilities"] == {"normal": 0.25, "stroke": 0.75}
        assert found.answer["decision"] == "refer"
        assert found.entropy == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), abs=1e-6)
        assert (found.milliseconds, found.reviewed, found.disagreed) == (12.5, False, False)
        assert [row.id for row in predictions.of_study(connection, one)] == [found.id]
        with pytest.raises(RequestError, match="no such prediction"):
            predictions.get(connection, found.id, set())


def test_of_a_rejected_scan_no_score_is_kept(records: Engine) -> None:
    with writing(records) as connection:
        one = study(connection, project(connection))
        found = predictions.get(connection, predicted(connection, one, 0.9, "reject"), None)
        assert (found.label, found.entropy, found.answer["probabilities"]) == ("", None, {})


def test_a_job_that_runs_twice_leaves_one_prediction_of_a_bundle(records: Engine) -> None:
    with writing(records) as connection:
        one = study(connection, project(connection))
        made = replace(MADE, job_id="j" * 32)
        assert predicted(connection, one, 0.9, made=made) == predicted(connection, one, 0.2, made=made)
        assert [row.label for row in predictions.of_study(connection, one)] == ["stroke"]


def lay(connection: Connection) -> dict[str, Any]:
    """Two projects, four patients, 40 predictions an hour apart; every fourth is reviewed, half of these overridden."""
    a, b = project(connection, "A"), project(connection, "B")
    reader = user(connection)
    ids = []
    predicted(connection, study(connection, a, "Key-1_X"), made=replace(MADE, arm="shadow"))  # shown to nobody
    for i in range(40):
        one = study(connection, (a, b)[i % 2], f"Key-{i % 4}_X", f"S{i}")
        ids.append(predicted(connection, one, (0.9, 0.1, 0.6)[i % 3], ("accept", "accept", "refer")[i % 3]))
        values = {"created_at": START + timedelta(hours=i), "bundle_id": ("b1", "b2")[i // 20]}
        connection.execute(update(schema.predictions).where(schema.predictions.c.id == ids[-1]).values(values))
        if i % 4 == 0:
            said = Said("answer", "agree", "Ada")
            if i % 8 == 0:
                said = Said("answer", "override", "Ada", "other")
            reviews.write(connection, one, reader, said, ids[-1])
    return {"a": a, "b": b, "reader": reader, "ids": ids}


CASES: list[tuple[Filters, Any]] = [
    (Filters(), lambda i: True),
    (Filters(action="refer"), lambda i: i % 3 == 2),
    (Filters(label="normal"), lambda i: i % 3 == 1),
    (Filters(bundle_id="b2"), lambda i: i >= 20),
    (Filters(disagreed=True), lambda i: i % 8 == 0),
    (Filters(disagreed=False), lambda i: i % 8 != 0),
    (Filters(reviewed=True), lambda i: i % 4 == 0),
    (Filters(reviewed=False), lambda i: i % 4 != 0),
    (Filters(reviewed=True, disagreed=False), lambda i: i % 8 == 4),
    (Filters(since=START + timedelta(hours=10)), lambda i: i >= 10),
    (Filters(until=START + timedelta(hours=10)), lambda i: i < 10),
    (Filters(since=START + timedelta(hours=3.5), until=START + timedelta(hours=7)), lambda i: 4 <= i < 7),
    (Filters(since=START + timedelta(hours=99)), lambda i: False),
    (Filters(until=START - timedelta(hours=1)), lambda i: False),
    (Filters(since=START + timedelta(hours=7), until=START + timedelta(hours=7)), lambda i: False),
    (Filters(patient="key-1"), lambda i: i % 4 == 1),
    (Filters(patient="_x"), lambda i: True),
    (Filters(patient="%"), lambda i: False),
    (Filters(patient="y_X"), lambda i: False),
    (Filters(label="stroke", action="refer", bundle_id="b1", patient="2_"), lambda i: i % 12 == 2 and i < 20),
]


def test_every_filter_finds_its_rows_by_pages(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        one_project = schema.predictions.c.project_id == made["b"]
        for filters, wanted in CASES:
            everything = [i for i in range(40) if wanted(i)][::-1]
            for visible, rows in (
                (None, everything),
                ({made["a"], made["b"]}, everything),
                ({made["b"]}, [i for i in everything if i % 2]),
                (one_project, [i for i in everything if i % 2]),
                (set(), []),
            ):
                assert paged(connection, visible, filters) == [made["ids"][i] for i in rows], filters


def paged(connection: Connection, visible: Any, filters: Filters) -> list[str]:
    found: list[str] = []
    page = history.page(connection, visible, filters, None, limit=3)
    found += [row.id for row in page.rows]
    while page.before is not None:
        page = history.page(connection, visible, filters, page.before, limit=3)
        assert page.rows
        found += [row.id for row in page.rows]
    return found


def test_a_reviewer_has_his_own_history_without_repeats(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        line = history.page(connection, None, Filters(reviewer_id=made["reader"])).rows
        assert [row.id for row in line] == [made["ids"][i] for i in range(36, -1, -4)]
        assert [row.disagreed for row in line] == [i % 8 == 0 for i in range(36, -1, -4)]
        assert (line[0].patient_key, line[0].title, line[0].reviewed) == ("Key-0_X", "S36", True)
        reviews.write(connection, line[0].study_id, made["reader"], Said("answer", "cannot_tell", "Ada"), line[0].id)
        reviews.write(connection, line[0].study_id, made["reader"], Said("stage", "agree", "Ada"), line[0].id)
        again = history.page(connection, None, Filters(reviewer_id=made["reader"])).rows
        assert [row.id for row in again] == [row.id for row in line]
        assert history.page(connection, None, Filters(reviewer_id="nobody")).rows == ()


def test_a_reader_is_told_of_no_disagreement_before_his_own_answer(records: Engine) -> None:
    with writing(records) as connection:
        made, bob = lay(connection), user(connection, "bob")

        def rows(filters: Filters) -> dict[str, bool | None]:
            found = history.page(connection, None, filters, None, 50, bob).rows
            return {row.id: row.disagreed for row in found}

        told = rows(Filters())
        assert [told[name] for name in made["ids"]] == [None if i % 4 == 0 else False for i in range(40)]
        assert rows(Filters(disagreed=True)) == {}
        assert set(rows(Filters(disagreed=False))) == {name for i, name in enumerate(made["ids"]) if i % 4}
        overridden, agreed = made["ids"][8], made["ids"][4]
        for name in (overridden, agreed):
            study_id = predictions.get(connection, name, None).study_id
            reviews.write(connection, study_id, bob, Said("answer", "cannot_tell", "Bob"), name)
        assert rows(Filters(disagreed=True)) == {overridden: True}
        assert rows(Filters(reviewed=True, disagreed=False)) == {agreed: False}
        told = rows(Filters())
        assert (told[overridden], told[agreed], told[made["ids"][0]]) == (True, False, None)


def test_rows_that_came_out_of_order_are_found_by_their_instants(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        late = START + timedelta(hours=20, minutes=-50)  # 19:10, and the 21st row is made one of 18:50
        early = update(schema.predictions).where(schema.predictions.c.id == made["ids"][20])
        connection.execute(early.values(created_at=late - timedelta(minutes=20)))
        found = history.page(connection, None, Filters(since=late - timedelta(minutes=15), until=late)).rows
        assert [row.id for row in found] == [made["ids"][19]]
        found = history.page(connection, None, Filters(until=late - timedelta(minutes=11)), limit=2).rows
        assert [row.id for row in found] == [made["ids"][20], made["ids"][18]]


def test_a_text_that_finds_too_many_patients_is_told(records: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_PATIENTS", 3)
    with writing(records) as connection:
        lay(connection)
        asked: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
        with pytest.raises(RequestError, match="more than 3") as caught:
            history.page(connection, None, Filters(patient="key"))
        assert caught.value.fault_code == "too_many"
        assert len(asked) == 1, "their studies are not fetched first"
        monkeypatch.setattr(history, "MOST_PATIENTS", 500)
        monkeypatch.setattr(history, "_MOST", 2)
        with pytest.raises(RequestError, match="Too many"):
            history.page(connection, None, Filters(patient="key"))
        assert all("LIMIT" in one for one in asked)
        with pytest.raises(RequestError, match="is empty"):
            history.page(connection, None, Filters(patient="  "))
