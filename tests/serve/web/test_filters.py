from __future__ import annotations

from datetime import UTC, datetime

import pytest

from insula.serve.web.filters import FILTERS, day, dicom_day, moment, person, share, short_id, size, thousands


def test_instants_are_written_alike_and_none_is_a_dash() -> None:
    at = datetime(2026, 1, 31, 8, 5, 59, tzinfo=UTC)
    assert moment(at) == "2026-01-31 08:05 UTC"
    assert day(at) == "2026-01-31"
    assert moment(None) == day(None) == "–"


def test_days_of_headers_are_written_as_instants_are() -> None:
    assert dicom_day("20260131") == "2026-01-31"
    assert dicom_day("") == "–"
    for other in ("2026.01.31", "２０２６０１３１", "2026"):
        assert dicom_day(other) == other


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Maria^Dr.^MD", "Doe, Dr. Jane Maria MD"),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("", "–"),
        ("^^^^", "–"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)"),
        ("=山田^太郎=やまだ^たろう", "山田, 太郎"),
        ("==やまだ^たろう", "やまだ, たろう"),
        ("Doe^Jane=Doe^Jane", "Doe, Jane"),
        ("A^B^C^D^E^F", "A, D B C E"),
    ],
)
def test_names_of_headers_are_written_as_people_do(name: str, said: str) -> None:
    assert person(name) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (1.0, "1.00"),
        (0.0001, "<0.01"),
        (0.00499, "<0.01"),
        (0.005, "0.01"),
        (0.87, "0.87"),
        (0.994, "0.99"),
        (0.995, ">0.99"),
        (0.99999, ">0.99"),
    ],
)
def test_a_share_that_is_neither_0_nor_1_is_not_written_as_one(value: float | None, said: str) -> None:
    assert share(value) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_400_000, "3.4 MB"),
        (250_000_000, "250 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_have_few_digits(count: int, said: str) -> None:
    assert size(count) == said


def test_an_id_is_cut_and_each_filter_is_there() -> None:
    assert short_id("0123456789abcdef") == "01234567"
    assert set(FILTERS) >= {"moment", "day", "share", "size", "short_id"}


def test_long_counts_are_read_in_groups() -> None:
    assert [thousands(count) for count in (0, 999, 1000, 50_000, 1_234_567)] == [
        "0", "999", "1\u202f000", "50\u202f000", "1\u202f234\u202f567",
    ]  # fmt: skip
