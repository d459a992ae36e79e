"""Lines of CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io

import pytest

from insula.core.cells import harmless
from insula.serve.sheet import line

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "  =", " \t"])
def test_a_formula_becomes_text(start: str) -> None:
    assert harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("text", ["", "a=b", "KEY-1", "1+1", "'quoted", "Größe, ≤ 3"])
def test_other_text_stays(text: str) -> None:
    assert harmless(text) == text


def test_a_line_is_read_back_as_it_was_written() -> None:
    cells = ["a", 'quote " and, comma', "line\nend", "", "=1"]
    (found,) = csv.reader(io.StringIO(line(cells), newline=""))
    assert found == [*cells[:4], "'=1"]
    assert line(cells).endswith("\r\n")


def test_what_no_encoding_holds_stands_as_an_escape() -> None:
    assert line(["\udcff"]).encode() == b'"\\udcff"\r\n'
