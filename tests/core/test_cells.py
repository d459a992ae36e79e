"""Cells that no spreadsheet takes for a formula, whatever a file's header said."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from insula.core import cells

FORMULAS = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1", "  =1", "＝1")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text_and_is_read_back_as_it_was(text: str) -> None:
    assert cells.harmless(text) == f"'{text}"
    for given in (text, f"'{text}", f"''{text}"):
        assert cells.guarded(given) == f"'{given}"
        assert cells.unguarded(cells.guarded(given)) == given


@pytest.mark.parametrize("text", ["", "a=b", "-3.5", "+1", "-1e-05", "'quoted", "P-1"])
def test_numbers_and_plain_words_stay(text: str) -> None:
    assert cells.row([text, 1.5, None]) == [text, 1.5, None]
    assert cells.unguarded(cells.guarded(text)) == text == cells.guarded(text)


def test_a_table_is_harmless_in_its_names_too() -> None:
    made = cells.sheet(pd.DataFrame({"=a": ["=1", "x"], "share": [-0.5, 1.0]}))
    (head, first, _) = csv.reader(io.StringIO(made.to_csv(index=False)))
    assert (head, first) == (["'=a", "share"], ["'=1", "-0.5"])
