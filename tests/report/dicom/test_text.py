"""Texts fit into the fields that hold them, and what they are for is never cut."""

from __future__ import annotations

import pytest

from insula.report.dicom import text


@pytest.mark.parametrize(
    ("said", "held"),
    [("two\nlines", "two lines"), ("a\\b", "a/b"), ("x" * 70, "x" * 63 + "…"), ("x" * 64, "x" * 64), ("\x00\x1b", "")],
)
def test_a_long_string_is_one_line_of_64(said: str, held: str) -> None:
    assert text.long(said) == held


def test_a_short_one_has_16() -> None:
    assert text.short("intraparenchymal bleeding") == "intraparenchyma…"


@pytest.mark.parametrize("name", ["", "m", "a model with a name of very many words " * 4])
@pytest.mark.parametrize("what", ["report", "heat of something with a very long name indeed"])
def test_a_description_always_says_research(name: str, what: str) -> None:
    found = text.described(name, what)

    assert found.endswith("(research use only)")
    assert len(found) <= 64


@pytest.mark.parametrize(
    ("name", "held"),
    [("Dr. Who", "Dr. Who^"), ("Who^John", "Who^John"), ("a=b", "a b^"), ("", ""), ("王小明", "王小明^")],
)
def test_a_name_without_parts_is_a_family_name(name: str, held: str) -> None:
    assert text.person(name) == held


def test_burnt_words_are_ascii() -> None:
    assert text.BURNT == ("RESEARCH USE ONLY", "Not a medical device")
