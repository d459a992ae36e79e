from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from tests.report.case.made_case import CHINESE, TURKISH, case, referred, rejected

from insula.core.provenance import sha256_bytes
from insula.report.case.data import case_json, schema
from insula.report.case.record import CaseReport, ClassRow


def through(report: CaseReport) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(case_json(report), allow_nan=False))
    return found


def valid(data: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema()).is_valid(data))


@pytest.mark.parametrize("make", [case, referred, rejected])
def test_every_kind_of_case_keeps_to_the_schema(make: Callable[[], CaseReport]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(through(make()))


def test_numbers_names_and_pictures_are_those_of_the_record() -> None:
    data = through(case())
    assert data["answer"]["confidence"] == 0.87
    assert data["answer"]["classes"][0] == {
        "name": "any", "probability": 0.87, "spread": 0.034, "threshold": 0.412345, "in_set": True,
    }  # fmt: skip
    assert data["answer"]["prediction_set"] == ["any", "intraparenchymal", "subarachnoid"]
    assert data["patient"] == {"subject": "subject-7f3a", "name": TURKISH, "id": "TR-0042"}
    assert through(referred())["patient"]["name"] == CHINESE
    assert data["pictures"][0]["scan_sha256"] == sha256_bytes(case().pictures[0].scan)
    assert data["model"]["figures"][0]["interval"] == [0.902, 0.971]


def test_what_is_not_defined_is_null() -> None:
    row = ClassRow("any", math.nan, math.nan, None, False)
    data = through(case(answer=replace(case().answer, classes=(row,))))
    assert data["answer"]["classes"][0]["probability"] is None
    assert data["answer"]["classes"][0]["spread"] is None
    assert valid(data)


@pytest.mark.parametrize(
    ("place", "value"),
    [(("label",), "any"), (("confidence",), 0.87), (("classes",), [{"name": "any", "probability": 0.87, "spread": None,
      "threshold": None, "in_set": True}]), (("prediction_set",), ["any"])],
)  # fmt: skip
def test_the_schema_itself_refuses_an_answer_of_a_rejected_case(place: tuple[str], value: object) -> None:
    data = through(rejected())
    assert valid(data)
    data["answer"][place[0]] = value
    assert not valid(data)


def test_the_schema_refuses_maps_of_a_rejected_case_unknown_keys_and_wild_probabilities() -> None:
    data = through(rejected())
    data["pictures"][0]["map_sha256"] = "0" * 64
    assert not valid(data)
    assert not valid(through(case()) | {"more": 1})
    data = through(case())
    data["answer"]["confidence"] = 1.2
    assert not valid(data)
