from __future__ import annotations

from typing import Any

import pytest

from insula.serve.faults import RequestError
from insula.serve.intake import Intake
from insula.serve.one_patient import Whom, agree, facts_with, named

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


def whom(*families: str, born: str = "") -> Whom:
    found = facts_with(Intake((), {"scan": {}}, "UNKNOWN"), b"k" * 32, families, [born] if born else ())
    assert not any(one in str(found) for one in ("doe", "roe", "1970"))
    return named(found)


@pytest.mark.parametrize(
    ("new", "by"),
    [
        (whom("roe"), "family name"),
        (whom("doe", born="19700202"), "birth date"),
        (whom("roe", born="19700202"), "family name and birth date"),
    ],
)
def test_people_with_one_number_are_told_apart_by_name_and_birth(new: Whom, by: str) -> None:
    with pytest.raises(RequestError, match=rf"\(by {by}\)"):
        agree([whom("doe", born="19700101")], new, False)
    agree([whom("doe", born="19700101")], new, True)


def test_what_is_not_said_is_not_compared_and_one_spelling_suffices() -> None:
    for new in (whom(), whom("doe"), whom(born="19700101"), whom("doe", "山田"), whom("roe", "doe")):
        agree([whom("doe", born="19700101")], new, False)
    agree([whom()], whom("roe", born="19700202"), False)
    agree([whom("doe"), whom("roe")], whom("roe"), False)
