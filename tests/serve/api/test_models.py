"""Models over HTTP: candidates, shadows, arms, the one in charge, and what they cost and differ."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
HERE = "/api/v1/models"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, str, str]]:
    """A service with one model in charge, and another of the same name that lies where models may be added."""
    folder = Path(tmp_path_factory.mktemp("models"))
    first = make(folder / "one", unit="series")
    second = make(folder / "two", unit="series", dropout=0.4)
    shutil.copytree(second.path, folder / "models" / "second")
    with service(first, f"sqlite:///{folder}/insula.db", folder, models=folder / "models") as found:
        yield found, first.id, second.id


def test_a_second_version_runs_along_unseen_then_takes_a_share_then_takes_over(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    admin = made.client("admin")
    assert first != second
    assert admin.post(HERE, json={"name": "../models/second"}).status_code == 422
    assert admin.post(HERE, json={"name": "none"}).status_code == 404
    assert admin.post(HERE, json={"name": "second"}).json()["state"] == "candidate"
    assert [one["state"] for one in admin.get(HERE).json()] == ["active", "candidate"]
    assert admin.put(f"{HERE}/{second}/state", json={"state": "shadow", "share": 0.5}).status_code == 422
    assert admin.put(f"{HERE}/{second}/state", json={"state": "shadow"}).json()["state"] == "shadow"
    found = made.predicted(patient="S-1")
    assert (found["bundle_id"], found["arm"]) == (first, "main")
    client = made.client("reviewer")
    assert len(client.get(f"/api/v1/studies/{found['study_id']}/predictions").json()) == 1
    assert {one["arm"] for one in client.get("/api/v1/predictions").json()["items"]} == {"main"}
    with reading(made.service.records) as connection:
        row = connection.execute(
            select(schema.predictions.c.id, schema.predictions.c.bundle_id).where(schema.predictions.c.arm == "shadow")
        ).one()
    assert row.bundle_id == second
    assert client.get(f"/api/v1/predictions/{row.id}").status_code == 404
    assert client.get(f"/api/v1/predictions/{row.id}/report").status_code == 404
    compared = admin.get(f"{HERE}/compare", params={"first": first, "second": second})
    assert compared.status_code == 200, compared.text
    assert compared.json()["studies"] == 1
    assert admin.put(f"{HERE}/{second}/state", json={"state": "ab", "share": 0.5}).json()["share"] == 0.5
    arms: set[str] = set()
    for n in range(64):  # a patient's arm is drawn by a keyed hash, and the key is new: eight of eight alike are seen
        arms.add(made.predicted(patient=f"AB-{n}")["bundle_id"])
        if len(arms) == 2:
            break
    assert arms == {first, second}
    again = [made.predicted(patient="AB-0")["bundle_id"] for _ in range(3)]
    assert len(set(again)) == 1, "a patient stays in one arm"
    assert admin.put(f"{HERE}/{second}/state", json={"state": "active"}).json()["state"] == "active"
    assert [one["state"] for one in admin.get(HERE).json()] == ["retired", "active"]
    assert made.predicted(patient="S-2")["bundle_id"] == second
    assert client.get("/model_info").json()["bundle_id"] == second, "the plain endpoints as well"
    assert admin.put(f"{HERE}/{second}/state", json={"state": "retired"}).json()["state"] == "retired"
    assert client.get("/model_info").status_code == 503
    assert client.get("/health").json()["model_loaded"] is False
    assert admin.put(f"{HERE}/{second}/state", json={"state": "active"}).status_code == 200
    asked = client.post(f"/api/v1/studies/{found['study_id']}/predictions", json={"model": first})
    assert (asked.status_code, asked.json()["code"]) == (409, "not_serving")


def test_the_report_of_a_retired_models_answer_is_still_to_be_had(two: tuple[Made, str, str]) -> None:
    made, first, _ = two
    made.service.pool.remove(first)
    client = made.client("reader")
    old = client.get("/api/v1/predictions", params={"model": first}).json()["items"][0]
    answer = client.get(f"/api/v1/predictions/{old['id']}/report", params={"format": "json"})
    assert answer.status_code == 200, answer.text
    assert first in answer.text


def test_a_model_is_added_by_administrators_from_the_folder_alone(two: tuple[Made, str, str]) -> None:
    made, _, _ = two
    assert made.client("reviewer").post(HERE, json={"name": "second"}).status_code == 403
    (Path(made.settings.models or "") / "broken").mkdir()
    answer = made.client("admin").post(HERE, json={"name": "broken"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bundle")
    assert str(made.settings.models) not in answer.text


def test_metrics_count_what_was_done(two: tuple[Made, str, str]) -> None:
    made, _, _ = two
    text = made.client("admin").get("/metrics").text
    assert 'route="/api/v1/studies"' in text
    assert "insula_predictions_total" in text
    with reading(made.service.records) as connection:
        done = connection.execute(select(func.count()).select_from(schema.jobs)).scalar_one()
    assert f'insula_jobs{{state="done"}} {float(done)}' in text
