from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.serve.api.made import Made

from insula.serve.people.roles import GRANTED
from insula.serve.web.reference import Operation, operations
from insula.serve.web.shapes import example_of, fields_of, kind_of

pytestmark = pytest.mark.serve
PAGE = {"accept": "text/html"}


def described(made: Made) -> dict[str, Any]:
    found: dict[str, Any] = made.fresh().get("/openapi.json").json()
    return found


def every(made: Made) -> dict[tuple[str, str], Operation]:
    return {(one.method, one.path): one for _, one in operations(described(made))}


def test_the_page_has_every_operation_of_the_description(made: Made) -> None:
    text = made.fresh().get("/reference", headers=PAGE).text
    known = described(made)
    wanted = {(m.upper(), path) for path, methods in known["paths"].items() for m in methods}
    shown = re.findall(r'<b class="method">([A-Z]+)</b> <code>([^<]+)</code>', text)
    assert set(shown) == wanted
    assert len(shown) == len(wanted) > 50
    anchors = re.findall(r' id="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= {*anchors, "main"}


def test_an_operation_says_who_may_and_what_it_tells(made: Made) -> None:
    found = every(made)
    review = found["POST", "/api/v1/studies/{study_id}/reviews"]
    assert review.roles == tuple(role for role, may in GRANTED.items() if "review.write" in may)
    assert review.told
    assert [field.name for field in review.body.fields if field.needed] == ["target", "verdict", "signature"]  # type: ignore[union-attr]
    assert {status for status, _ in review.errors} >= {"401", "403", "404", "422"}
    assert found["POST", "/api/v1/session"].roles == tuple(GRANTED)
    assert not found["GET", "/api/v1/models"].told
    assert [(place, one.name) for place, one in found["GET", "/api/v1/predictions"].parameters][:2] == [
        ("query", "limit"),
        ("query", "after"),
    ]


def test_the_examples_are_what_the_api_takes(made: Made) -> None:
    known = described(made)
    checked = 0
    for (method, path), one in every(made).items():
        body = known["paths"][path][method.lower()].get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        schema = {**body["schema"], "components": known["components"]}
        example = example_of(body["schema"], known["components"]["schemas"])
        assert list(Draft202012Validator(schema).iter_errors(example)) == [], (method, path)
        assert one.body is not None
        checked += 1
    assert checked > 10


def test_a_search_leaves_what_holds_the_word_and_works_without_a_script(made: Made) -> None:
    text = made.fresh().get("/reference?q=trail.read", headers=PAGE).text
    paths = re.findall(r'<b class="method">[A-Z]+</b> <code>([^<]+)</code>', text)
    assert "/api/v1/trail" in paths
    assert "/api/v1/studies" not in paths
    none = made.fresh().get("/reference", params={"q": '<script>"'}, headers=PAGE).text
    assert "<script>&#34;" not in none
    assert 'class="operation"' not in none
    assert made.fresh().get("/reference", params={"q": "x" * 101}, headers=PAGE).status_code == 422


def test_types_are_said_in_words() -> None:
    schema = {
        "required": ["role"],
        "properties": {
            "role": {"enum": ["reader", "admin"], "type": "string"},
            "days": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]},
            "rows": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "description": "All."},
            "share": {"type": "object", "additionalProperties": {"type": "number"}},
            "on": {"type": "boolean", "default": True},
        },
    }
    kinds = [(one.name, one.kind, one.of, one.needed, one.said.strip()) for one in fields_of(schema)]
    assert kinds == [
        ("role", '"reader" or "admin"', "", True, ""),
        ("days", "whole number or null", "", False, "1 to 9."),
        ("rows", "list of Row", "Row", False, "All."),
        ("share", "object of number", "", False, ""),
        ("on", "true or false", "", False, "Without it: true."),
    ]
    assert kind_of({"type": "string", "format": "date-time"}) == "instant"


def test_a_shape_that_holds_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    assert example_of({"$ref": "#/components/schemas/Node"}, {"Node": node})["next"]
