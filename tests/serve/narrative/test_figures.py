from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.serve.narrative import figures
from insula.serve.narrative.catalogue import LANGUAGES, Language

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0.87, "0.87 (87%)"),
        (0.875, "0.88 (88%)"),
        (0.0, "0.00 (0%)"),
        (1.0, "1.00 (100%)"),
        (0.996, "0.996 (99.6%)"),
        (0.99996, "0.99996 (99.996%)"),
        (0.004, "0.004 (0.4%)"),
        (0.000001, "0.000001 (0.0001%)"),
        (0.5, "0.50 (50%)"),
    ],
)
def test_a_share_is_never_rounded_to_certainty(value: float, want: str) -> None:
    assert figures.share(value, "en") == want


def test_a_share_in_turkish_has_a_comma_and_the_mark_before_it() -> None:
    assert figures.share(0.996, "tr") == "0,996 (%99,6)"
    assert figures.percent(0.42, "tr") == "%42"
    assert figures.given("0.70", "tr") == "0,70"


@pytest.mark.parametrize(("value", "want"), [(-0.32, "-0.320"), (0.0004, "0.0004"), (31.4, "31.400"), (-0.0, "0.000")])
def test_any_other_figure_has_three_decimals(value: float, want: str) -> None:
    assert figures.plain(value, "en") == want


def test_a_figure_is_read_by_value_and_a_percentage_is_another_writing() -> None:
    assert figures.read("0.870", "en") == figures.read("0.87", "en") == (Decimal("0.87"), False)
    assert figures.read("87%", "en") == (Decimal(87), True)
    assert figures.read("%87,5", "tr") == (Decimal("87.5"), True)
    others: list[tuple[str, Language]] = [("0,87", "en"), ("%87", "en"), ("0.87", "tr"), ("87%", "tr"), ("1e3", "en")]
    for text, language in (*others, ("٨", "en"), ("８", "en"), ("", "en"), ("nan", "en")):
        assert figures.read(text, language) is None


@settings(deadline=None, derandomize=True)
@given(st.floats(0, 1, allow_nan=False), st.sampled_from(LANGUAGES))
def test_a_share_reads_back_within_half_of_its_last_digit(value: float, language: Language) -> None:
    plain, percent = figures.share(value, language).removesuffix(")").split(" (")
    one, other = figures.read(plain, language), figures.read(percent, language)
    assert one is not None
    assert other is not None
    assert one[0] == other[0] / 100
    assert (one[1], other[1]) == (False, True)
    assert abs(float(one[0]) - value) <= 0.5000001 * 10.0 ** int(str(one[0].as_tuple().exponent))
