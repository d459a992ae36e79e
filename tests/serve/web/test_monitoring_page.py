"""The monitoring page: drift, accuracy, answers and alerts of one model at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.serve.api.made import Made, service
from tests.serve.monitor.made_records import Made as Rows
from tests.serve.web.reading import read
from tests.tiny_bundle import make

from insula.serve.monitor import kept
from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.store.schema import now

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service whose model served 90 made patients, of which the last 60 lie far from its training cases."""
    folder = Path(tmp_path_factory.mktemp("watched"))
    with service(make(folder, unit="series"), f"sqlite:///{folder}/insula.db", folder) as made:
        bundle = made.service.pool.all()[0].bundle
        known = kept.reference(bundle)
        with writing(made.service.records) as connection:
            rows = Rows(connection)
            one, two = rows.user("first reader"), rows.user("second reader")
            for k in range(90):
                study = rows.study()
                rows.prediction(
                    study,
                    id=f"{k:032x}",  # by which ties among equal distances are settled
                    at=now() - timedelta(hours=90 - k),
                    bundle_id=bundle.id,
                    label="stroke" if k % 3 else "normal",
                    action="refer" if k % 9 == 0 else "accept",
                    milliseconds=100.0 + k,
                    monitored={"distance": float(known.distances[k % 40]) if k < 30 else 9.0 + k / 100},
                )
                if k % 2:
                    rows.review(study, one, "stroke")
                if k % 10 == 1:
                    rows.review(study, two, "stroke" if k > 20 else "normal")
            connection.execute(insert(schema.alerts).values(kind="drift", bundle_id=bundle.id, message="It moved."))
            for n in range(25):
                old = {"kind": "queue_full", "message": f"Full {n}.", "closed_at": now()}
                connection.execute(insert(schema.alerts).values(**old))
        yield made


def test_it_says_what_drifts_and_what_to_do(watched: Made) -> None:
    page = read(watched.client("auditor"), "/monitoring")
    assert "One channel reports drift." in page.alert
    assert "start the watch anew" in page.alert
    assert "In at most 5% of watches" in page.text
    rows = {row[0]: row[1:] for row in page.rows}
    state, _, limit, count, found, against = rows["Distance from the training cases"][:6]
    assert (state, count, against) == ("drift", "90", "validation cases (40)")
    assert 30 < int(found) <= 90
    assert float(limit) > 1.3
    assert rows["Probability of stroke"][0] == "cannot be told"
    assert "Start the watch anew" not in page.text, "an auditor changes nothing"


def test_an_administrator_may_start_anew(watched: Made) -> None:
    text = watched.client("admin").get("/monitoring", headers={"Accept": "text/html"}).text
    name = watched.service.pool.all()[0].bundle.id
    assert f'data-api="POST /api/v1/monitor/models/{name}/drift/anew"' in text
    assert 'class="s-b"' in text, "the line of the limit"


def test_accuracy_is_told_with_intervals_and_what_is_left_out(watched: Made) -> None:
    page = read(watched.client("auditor"), "/monitoring")
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["Accuracy"][1] == "43"
    assert " to " in rows["Accuracy"][0]
    assert rows["Agreement of two readers"][1] == "9"
    assert "2 whose readers differ" in page.text
    assert "no random sample" in page.text
    assert "made after the first was shown" not in page.text, "all were read apart"


def test_answers_are_counted_by_the_day(watched: Made) -> None:
    page = read(watched.client("auditor"), "/monitoring")
    days = [row for row in page.rows if len(row) == 4 and row[0][:2] == "20"]
    assert sum(int(row[1]) + int(row[2]) + int(row[3]) for row in days) == 90
    assert "144 ms each (median)" in page.text


def test_alerts_are_paged_and_those_that_are_open_are_counted(watched: Made) -> None:
    client = watched.client("auditor")
    first = read(client, "/monitoring")
    second = read(client, first.rels["next"].partition("#")[0])
    said = [[row for row in page.rows if row[0] in ("over", "still open")] for page in (first, second)]
    assert [len(rows) for rows in said] == [20, 6]
    assert said[0][0][2] == "Full 24."
    assert said[1][-1][:3] == ["still open", "drift", "It moved."]
    assert second.rels["first"] == "/monitoring#alerts"


@pytest.mark.parametrize("role", ["reader", "reviewer"])
def test_who_may_not_monitor_sees_nothing(watched: Made, role: str) -> None:
    assert "monitor.read" in read(watched.client(role), "/monitoring", 403).alert


def test_a_new_service_says_what_is_missing(made: Made) -> None:
    page = read(made.client("admin"), "/monitoring")
    for said in (
        "No patient was watched yet.", "No answer of this model was reviewed yet.", "There was no alert yet.",
        "This model gave no answer in the last 30 days.",
    ):  # fmt: skip
        assert said in page.text, said
    assert "This model is not serving." in read(made.client("admin"), f"/monitoring?model={'0' * 16}").text


def test_a_model_that_is_not_loaded_is_not_watched(made: Made) -> None:
    bundle = made.service.pool.all()[0].bundle
    made.service.pool.remove(bundle.id)
    try:
        assert "This model is not loaded here." in read(made.client("admin"), "/monitoring").text
    finally:
        made.service.pool.add(bundle.path)
