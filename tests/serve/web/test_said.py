"""People read the words of a recipe, wherever a label is shown to them; programs get the class's own name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.serve.api.made import Made, service
from tests.serve.web.reading import read
from tests.tiny_bundle import parts, recipe, weights

from insula.bundle.save import save
from insula.core import recipe as recipes
from insula.report.case.record import Summary
from insula.serve import case
from insula.serve.narrative.facts import template_summary
from insula.serve.store import predictions, schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.said import sayer

pytestmark = pytest.mark.serve
WORDS = {"any": "intracranial haemorrhage", "subdural": "subdural haemorrhage"}


@pytest.fixture
def spoken(tmp_path: Path) -> Iterator[Made]:
    """A service whose model has labels that stand together, and words for two of them."""
    plain = json.loads(recipe("multilabel").model_dump_json(by_alias=True))
    plain["targets"]["answer"]["words"] = WORDS
    made = recipes.parse(plain, "spoken")
    bundle = save(tmp_path / "bundle", parts(made, weights(1, 3)))
    with service(bundle, f"sqlite:///{tmp_path / 'records.db'}", tmp_path) as found:
        yield found


def _answered(found: dict[str, Any]) -> str:
    """The label of a prediction in the words of the recipe, by hand."""
    label = str(found["answer"]["label"])
    assert label in ("any", "no any")
    return label.replace("any", WORDS["any"])


def test_pages_speak_in_words_and_the_api_in_classes(spoken: Made) -> None:
    found = spoken.predicted(patient="C-1")
    words, client = _answered(found), spoken.client("reviewer")
    assert set(found["answer"]["probabilities"]) == {"any", "subdural", "epidural"}
    for address in (f"/studies/{found['study_id']}", "/worklist", "/history"):
        assert words in read(client, address).text, address
    row = client.get("/api/v1/worklist").json()["items"][0]
    assert row["prediction"]["label"] == found["answer"]["label"]
    form = client.get(f"/studies/{found['study_id']}", headers={"Accept": "text/html"}).text
    assert '<input type="checkbox" value="subdural"> <bdi>subdural haemorrhage</bdi>' in form
    assert '<input type="checkbox" value="epidural"> <bdi>epidural</bdi>' in form
    assert '<option value="any">intracranial haemorrhage</option>' in client.get("/history").text


def test_a_review_is_sent_as_classes_and_read_in_words(spoken: Made) -> None:
    found = spoken.predicted(patient="C-1")
    said = {"target": "answer", "verdict": "override", "signature": "Dr R", "label": "any;subdural"}
    client = spoken.client("reviewer")
    kept = client.post(f"/api/v1/studies/{found['study_id']}/reviews", json=said | {"prediction": found["id"]})
    assert kept.status_code == 201, kept.text
    assert kept.json()["label"] == "any;subdural"
    assert "intracranial haemorrhage; subdural haemorrhage" in read(client, f"/studies/{found['study_id']}").text
    report = client.get(f"/api/v1/predictions/{found['id']}/report", params={"format": "json"}).json()
    assert report["review"]["label"] == "intracranial haemorrhage; subdural haemorrhage"


def test_reports_and_summaries_speak_in_words(spoken: Made) -> None:
    found = spoken.predicted(patient="C-1")
    words, client = _answered(found), spoken.client("reviewer")
    report = f"/api/v1/predictions/{found['id']}/report"
    plain = client.get(report, params={"format": "json"}).json()
    assert plain["answer"]["label"] == words
    assert [row["name"] for row in plain["answer"]["classes"]] == [*WORDS.values(), "epidural"]
    for kind in ("html", "fhir"):
        assert words in client.get(report, params={"format": kind}).text, kind
    with reading(spoken.service.records) as connection:
        facts = case.facts_of(connection, spoken.service, predictions.get(connection, found["id"], None))
    shown = case.report(facts, "en", Summary(template_summary(case.record(facts))))
    assert shown.summary is not None
    assert "'intracranial haemorrhage'" in shown.summary.text
    assert "'any'" not in shown.summary.text
    assert {one.finding for one in shown.pictures} <= {*WORDS.values(), "epidural"}


def test_a_model_that_is_not_known_or_not_read_is_said_as_it_is(spoken: Made) -> None:
    spoken.predicted(patient="C-1")
    with writing(spoken.service.records) as connection:
        bundle = str(connection.scalar(select(schema.models.c.bundle_id)))
        assert sayer(connection, {bundle})(bundle, "no any") == "no intracranial haemorrhage"
        assert sayer(connection, {bundle})("gone", "no any") == "no any"
        info = connection.scalar(select(schema.models.c.info)) or {}
        connection.execute(schema.models.update().values(info={**info, "recipe": {"targets": {}}}))
        assert sayer(connection, {bundle})(bundle, "any") == "any"
