"""The whole report of an evaluation or audit: who may open it, under which policy, and that the trail is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from tests.report import made_audit, made_report
from tests.serve.api.made import Made
from tests.serve.web.reading import read

from insula.report import audit_page
from insula.report import page as report_page
from insula.report.record import described
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
PAGES = ("evaluation", "audit", "audit/sheet")


@pytest.fixture
def judged(made: Made) -> Iterator[str]:
    """The id of a model beside whose bundle an evaluation and an audit lie."""
    bundle = made.service.pool.all()[0].bundle
    held = made_audit.held(made_audit.plain())
    content = {
        "report": {**made_report.record(), "model": described(bundle.recipe, bundle)},
        "audit": {**held, "facts": {**held["facts"], "bundle": bundle.id}},
    }
    places = {what: bundle.path.with_name(f"{bundle.path.name}.{what}.json") for what in content}
    for what, place in places.items():
        place.write_text(json.dumps(content[what]), encoding="utf-8")
    yield bundle.id
    for place in places.values():
        place.unlink(missing_ok=True)


def told(made: Made) -> list[tuple[str, str, str]]:
    with reading(made.service.records) as connection:
        rows = connection.execute(
            select(schema.trail.c.actor, schema.trail.c.action, schema.trail.c.subject)
            .where(schema.trail.c.action.like("model.%"))
            .order_by(schema.trail.c.seq)
        )
        return [(row.actor, row.action, row.subject) for row in rows]


def test_they_are_shown_whole_under_a_policy_of_their_own_and_told_to_the_trail(made: Made, judged: str) -> None:
    client = made.client("auditor")
    before = len(told(made))
    for name, title, policy in (
        ("evaluation", "Evaluation: made-ct", report_page.content_policy()),
        ("audit", "Audit: made-ct", audit_page.content_policy()),
        ("audit/sheet", "Audit summary: made-ct", audit_page.content_policy()),
    ):
        answer = client.get(f"/models/{judged}/{name}", headers={"Accept": "text/html"})
        assert answer.status_code == 200, answer.text
        assert f"<title>{title}</title>" in answer.text
        assert answer.headers["content-security-policy"] == policy
        assert answer.headers["cache-control"] == "no-store"
    assert told(made)[before:] == [
        ("auditor", "model.evaluation", judged),
        ("auditor", "model.audit", judged),
        ("auditor", "model.audit", judged),
    ]


@pytest.mark.parametrize("role", ["reader", "reviewer"])
def test_who_does_not_read_the_trail_does_not_see_names_of_cases(made: Made, judged: str, role: str) -> None:
    for name in PAGES:
        assert "trail.read" in read(made.client(role), f"/models/{judged}/{name}", 403).alert


def test_what_is_not_there_or_of_another_bundle_is_refused_with_a_reason(made: Made, judged: str) -> None:
    admin, bundle = made.client("admin"), made.service.pool.all()[0].bundle
    place = bundle.path.with_name(f"{bundle.path.name}.audit.json")
    held = json.loads(place.read_text(encoding="utf-8"))
    place.write_text(json.dumps({**held, "facts": {**held["facts"], "bundle": "cd34"}}), encoding="utf-8")
    assert "It is of the bundle cd34" in read(admin, f"/models/{judged}/audit", 404).alert
    place.write_text(json.dumps({**held, "parts": [{}]}), encoding="utf-8")
    assert "cannot be shown" in read(admin, f"/models/{judged}/audit", 422).alert
    place.unlink()
    assert f"There is no {place.name} beside it." in read(admin, f"/models/{judged}/audit", 404).alert
    read(admin, f"/models/{'0' * 16}/audit", 404)
