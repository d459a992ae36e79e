"""The worklist: the newest work and answer of each study, by every filter, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert, update
from tests.serve.store.made_records import MADE, predicted, project, user

from insula.serve.faults import RequestError
from insula.serve.store import patients, reviews, schema, studies, worklist
from insula.serve.store.connect import reading, writing
from insula.serve.store.reviews import Said
from insula.serve.store.schema import now
from insula.serve.store.worklist import Filters, Row, Scan, Work

pytestmark = pytest.mark.serve
FACTS = {"scan": {"scans": [{"modality": "CT", "slices": 28}]}, "mri": {"scans": [{"modality": "MR", "slices": 24}]}}


def study(
    connection: Connection, project_id: str, key: str, title: str = "", by: str | None = None, **more: Any
) -> str:
    patient = patients.get_or_create(connection, project_id, key, more.get("name", ""))
    return studies.create(connection, patient, by, title, facts=more.get("facts", {}))


def job(connection: Connection, study_id: str, state: str, **more: Any) -> str:
    values = {"id": schema.new_id(), "kind": "predict", "state": state, "study_id": study_id, **more}
    connection.execute(insert(schema.jobs).values(values))
    return str(values["id"])


def lay(connection: Connection) -> dict[str, str]:
    """A study of each state, the newest last; their names → ids, with the project and a user."""
    one, ada = project(connection, "A"), user(connection, "ada")
    made = {"project": one, "ada": ada}
    made["new"] = study(connection, one, "P-1", "Head", ada)
    made["answered"] = study(connection, one, "P-2", "Neck", ada, name="Doe, Jane", facts=FACTS)
    first = predicted(connection, made["answered"], 0.2, "refer")
    reviews.write(connection, made["answered"], ada, Said("answer", "agree", "Ada"), first)
    predicted(connection, made["answered"], 0.9)
    predicted(connection, made["answered"], 0.1, "reject", replace(MADE, arm="shadow"))
    job(connection, made["answered"], "dead", kind="pacs_send", error={"code": "x", "message": "a peer is down"})
    made["referred"] = study(connection, one, "P-3")
    read = predicted(connection, made["referred"], 0.6, "refer")
    reviews.write(connection, made["referred"], ada, Said("answer", "agree", "Ada"), read)
    made["rejected"] = study(connection, one, "P-4")
    predicted(connection, made["rejected"], 0.6, "reject")
    made["failed"] = study(connection, one, "P-5")
    predicted(connection, made["failed"], 0.7)
    job(connection, made["failed"], "done")
    job(connection, made["failed"], "dead", error={"code": "lost", "message": "fell silent"})
    made["at_work"] = study(connection, one, "P-6")
    job(connection, made["at_work"], "failed", error={"code": "x", "message": "x"})
    made["job"] = job(connection, made["at_work"], "running", progress=0.5, step="reading and predicting")
    made["only shadow"] = study(connection, one, "p-2b")
    predicted(connection, made["only shadow"], 0.9, made=replace(MADE, arm="shadow"))
    return made


STATES = ("new", "answered", "referred", "rejected", "failed", "at_work")


def names(made: dict[str, str], rows: Any) -> list[str]:
    by_id = {value: name for name, value in made.items()}
    return [by_id[row.id] for row in rows]


def every(connection: Connection, visible: Any, filters: Filters, limit: int = 2) -> list[Row]:
    found: list[Row] = []
    before = None
    while True:
        some = worklist.page(connection, visible, filters, before, limit)
        found += some.rows
        if some.before is None:
            return found
        assert len(some.rows) == limit
        before = some.before


def test_a_row_tells_of_its_newest_work_and_answer_and_never_of_a_shadow(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        rows = {name: row for row in every(connection, None, Filters()) for name in names(made, [row])}
        assert list(rows) == ["only shadow", *STATES[::-1]]
        assert [rows[state].state for state in STATES] == list(STATES)
        assert (rows["only shadow"].state, rows["only shadow"].prediction) == ("new", None)
        answered = rows["answered"]
        assert answered.prediction is not None
        assert (answered.prediction.action, answered.prediction.label) == ("accept", "stroke")
        assert (answered.reviewed, rows["referred"].reviewed) == (False, True)
        assert answered.scans == (Scan("CT", 28), Scan("MR", 24))
        assert (answered.patient_key, answered.patient_name, answered.title) == ("P-2", "Doe, Jane", "Neck")
        assert answered.project == "A"
        assert rows["at_work"].job == Work(made["job"], "running", 0.5, "reading and predicting", None)
        assert rows["failed"].job is not None
        assert rows["failed"].job.error == {"code": "lost", "message": "fell silent"}
        assert rows["rejected"].prediction is not None
        assert rows["rejected"].prediction.label == ""


CASES: list[tuple[Filters, list[str]]] = [
    (Filters(state="new"), ["only shadow", "new"]),
    (Filters(state="at_work"), ["at_work"]),
    (Filters(state="failed"), ["failed"]),
    (Filters(state="answered"), ["failed", "answered"]),  # by its answer, whatever became of later work
    (Filters(state="referred"), ["referred"]),
    (Filters(state="rejected"), ["rejected"]),
    (Filters(state="unread"), ["failed", "rejected", "answered"]),
    (Filters(text="p-2"), ["only shadow", "answered"]),
    (Filters(text=" JANE "), ["answered"]),
    (Filters(text="nec"), ["answered"]),
    (Filters(text="%"), []),
    (Filters(text="P_2"), []),
    (Filters(text="p-2", state="unread"), ["answered"]),
]


@pytest.mark.parametrize("few", [5_000, 0], ids=["named", "walked"])
@pytest.mark.parametrize(("filters", "wanted"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_every_filter_finds_its_studies(
    records: Engine, filters: Filters, wanted: list[str], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "_SOME", few)
    monkeypatch.setattr(worklist, "_FEW", few // 10)
    with writing(records) as connection:
        made = lay(connection)
        assert names(made, every(connection, {made["project"]}, filters, limit=1)) == wanted
        inside = schema.studies.c.project_id == made["project"]
        assert names(made, every(connection, inside, filters, limit=1)) == wanted
        assert every(connection, set(), filters) == []
        mine = replace(filters, created_by=made["ada"])
        assert names(made, every(connection, None, mine)) == [one for one in wanted if one in ("new", "answered")]


def test_studies_that_are_named_in_lists_of_some_length_are_found_too(
    records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "_FEW", 0)
    with writing(records) as connection:
        made = lay(connection)
        assert names(made, every(connection, None, Filters(state="unread"))) == ["failed", "rejected", "answered"]


def test_a_project_is_seen_by_whoever_is_in_it_and_nobody_else(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        other = project(connection, "B")
        far = study(connection, other, "P-9")
        assert [row.id for row in every(connection, {made["project"], other}, Filters(project_id=other))] == [far]
        assert every(connection, {made["project"]}, Filters(project_id=other)) == []
        assert [row.id for row in every(connection, None, Filters(project_id=other))] == [far]
        opened = schema.studies.c.id == far
        assert [row.id for row in every(connection, opened, Filters())] == [far]
        assert every(connection, opened, Filters(project_id=made["project"])) == []
        assert worklist.some(connection, {made["project"]}, [far, made["new"], "0" * 32]) == worklist.some(
            connection, None, [made["new"]]
        )
        assert worklist.some(connection, None, []) == []


def test_a_label_without_a_prediction_counts_as_read(records: Engine) -> None:
    with writing(records) as connection:
        made = lay(connection)
        reviews.write(connection, made["new"], made["ada"], Said("answer", "override", "Ada", "stroke"))
        (row,) = worklist.some(connection, None, [made["new"]])
        assert (row.reviewed, row.state) == (True, "new")


def test_a_page_asks_as_often_for_forty_studies_as_for_four(records: Engine) -> None:
    asked: list[str] = []
    with writing(records) as connection:
        one = project(connection, "A")
        for number in range(40):
            made = study(connection, one, f"P-{number}", facts=FACTS)
            predicted(connection, made)
            job(connection, made, "done")
    event.listen(records, "before_cursor_execute", lambda *given: asked.append(str(given[2])))
    counts = []
    for limit in (4, 40):
        with reading(records) as connection:
            before = len(asked)
            assert len(worklist.page(connection, {one}, Filters(), None, limit).rows) == limit
            counts.append(len(asked) - before)
    assert counts[0] == counts[1] < 9


def test_a_limit_has_its_bounds(records: Engine) -> None:
    with reading(records) as connection, pytest.raises(RequestError, match="ask for 1 to 200"):
        worklist.page(connection, None, Filters(), None, 201)


def test_instants_are_those_of_the_upload(records: Engine) -> None:
    at = now() - timedelta(days=400)
    with writing(records) as connection:
        made = lay(connection)
        connection.execute(update(schema.studies).where(schema.studies.c.id == made["new"]).values(created_at=at))
        assert worklist.some(connection, None, [made["new"]])[0].created_at == at
