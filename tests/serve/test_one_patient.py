from __future__ import annotations

from typing import Any

import pytest

from insula.serve.faults import RequestError
from insula.serve.intake import Intake
from insula.serve.one_patient import agree, facts_with, named

pytestmark = pytest.mark.serve


def facts(*names: str) -> dict[str, Any]:
    intake = {name: Intake((), {"ct": {"scans": []}}, name) for name in names}
    return {f"ct.{n}": facts_with(one, b"k" * 32)["ct"] for n, one in enumerate(intake.values())}


def test_the_facts_hold_a_digest_that_another_key_makes_otherwise() -> None:
    one = Intake((), {"ct": {"scans": []}}, "Anna-1")
    assert "Anna" not in str(facts_with(one, b"k" * 32))
    assert named(facts_with(one, b"k" * 32)) == named(facts("Anna-1"))
    assert named(facts_with(one, b"l" * 32)) != named(facts("Anna-1"))
    assert "Anna" not in repr(one)


def test_headers_that_name_nobody_or_the_same_patient_pass() -> None:
    agree([named(facts("A")), named(facts(""))], named(facts("A")), False)
    agree([], named(facts("A")), False)
    agree([named(facts("A"))], named(facts("")), False)
    agree([named({"scan": {"kinds": ["nifti"]}})], named(facts("A")), False)


def test_another_patient_is_refused_without_telling_who() -> None:
    with pytest.raises(RequestError, match="another patient") as told:
        agree([named(facts("Anna-1"))], named(facts("Bert-2")), False)
    assert told.value.status == 409
    assert "Anna" not in str(told.value)
    assert "Bert" not in str(told.value)
    agree([named(facts("Anna-1"))], named(facts("Bert-2")), True)
