from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from tests.report.case.made_case import AT, case, rejected

from insula.core.errors import UsageError
from insula.report.case.record import Review, as_shown


def test_a_rejected_case_keeps_its_reasons_and_nothing_that_is_an_answer() -> None:
    whole = rejected()
    shown = as_shown(whole)
    assert (shown.answer.action, shown.answer.reasons) == ("reject", whole.answer.reasons)
    assert shown.answer.domain_score == whole.answer.domain_score
    assert (shown.answer.label, shown.answer.confidence, shown.answer.positive, shown.answer.finding) == (
        "",
        None,
        None,
        "",
    )
    assert not any((shown.answer.classes, shown.answer.prediction_set, shown.prevalences, shown.further))
    assert shown.summary is None
    assert shown.model.figures == ()
    assert [(one.scan, one.map, one.top, one.finding) for one in shown.pictures] == [
        (whole.pictures[0].scan, None, None, "")
    ]


def test_any_other_case_is_shown_whole() -> None:
    assert as_shown(case()) == case()


@pytest.mark.parametrize("field", ["made_at", "review"])
def test_an_instant_without_a_zone_is_refused(field: str) -> None:
    bare = datetime(2026, 11, 26, 14, 3)
    value = bare if field == "made_at" else Review("agree", "Dr. A", bare)
    with pytest.raises(UsageError, match=r"2026-11-26T14:03:00 has no time zone"):
        case(**{field: value})


def test_the_set_is_that_of_its_rows() -> None:
    assert case().answer.prediction_set == ("any", "intraparenchymal", "subarachnoid")
    assert replace(case(), made_at=AT).made_at == AT
