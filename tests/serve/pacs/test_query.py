"""What may be asked, and what becomes of what a peer says."""

from __future__ import annotations

from datetime import date

import pytest

from insula.core.errors import UsageError
from insula.serve.pacs.query import (
    FoundSeries,
    FoundStudy,
    Query,
    check_uid,
    checked,
    count,
    in_order,
    is_uid,
    newest_first,
    printable,
)


def test_a_name_fits_from_its_beginning_and_a_description_anywhere() -> None:
    assert checked(Query(patient_name=" Doe ")).patient_name == "Doe*"
    assert checked(Query(description="head")).description == "*head*"
    assert checked(Query(patient_name="D?e", description="h*d")) == Query(patient_name="D?e", description="h*d")
    assert checked(Query()) == Query()


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (None, None, ""),
        (date(2026, 1, 2), None, "20260102-"),
        (None, date(2026, 1, 3), "-20260103"),
        (date(2026, 1, 2), date(2026, 1, 2), "20260102-20260102"),
    ],
)
def test_a_range_of_dates(since: date | None, until: date | None, said: str) -> None:
    assert checked(Query(since=since, until=until)).dates == said


@pytest.mark.parametrize(
    "wrong",
    [
        Query(patient_id="a\\b"),
        Query(patient_name="a\nb"),
        Query(accession_number="1" * 17),
        Query(study_uid="1.2.x"),
        Query(since=date(2026, 2, 1), until=date(2026, 1, 1)),
        Query(limit=0),
        Query(limit=1001),
    ],
)
def test_what_no_value_can_be_is_refused(wrong: Query) -> None:
    with pytest.raises(UsageError):
        checked(wrong)


@pytest.mark.parametrize("text", ["", "1.2.3\n", "1..2", "1.2.", ".1", "1.2.3/..", "1." + "2" * 64, "../1", "١.٢"])
def test_what_is_no_uid(text: str) -> None:
    assert not is_uid(text)
    with pytest.raises(UsageError):
        check_uid(text)


def test_a_uid_is_one() -> None:
    assert is_uid("1.2.826.0.1")
    check_uid("1.2.826.0.1")


def test_what_a_peer_says_has_no_control_characters_nor_marks_that_turn_it() -> None:
    assert printable(" a\x1b[31mb\u202ec\n\u2028d\x00 ", 64) == "a[31mbcd"
    assert printable("x" * 100, 64) == "x" * 64


@pytest.mark.parametrize(
    ("value", "said"),
    [("12", 12), (" 7 ", 7), (None, None), ("-1", None), ("1e3", None), ("9" * 40, None), ("²", None)],
)
def test_counts(value: object, said: int | None) -> None:
    assert count(value) == said


def test_orders() -> None:
    studies = [FoundStudy("1.1"), FoundStudy("1.2", "20260102"), FoundStudy("1.3", "20260103")]
    assert [one.study_uid for one in newest_first(studies)] == ["1.3", "1.2", "1.1"]
    series = [FoundSeries("1.1"), FoundSeries("1.2", number=10), FoundSeries("1.3", number=2)]
    assert [one.series_uid for one in in_order(series)] == ["1.3", "1.2", "1.1"]
