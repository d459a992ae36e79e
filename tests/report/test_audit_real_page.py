"""The cells of the page on audits of real pictures; the figures themselves need the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripts import audit_real_page as page


def figure(value: float, low: float, high: float, n: int = 9) -> dict[str, Any]:
    return {"value": value, "interval": [low, high], "n": n, "events": 0}


DOCUMENT = Path(__file__).parents[2] / "docs" / "results" / "audit-real.md"


def test_the_document_begins_as_the_script_writes_it_and_names_what_makes_its_tables() -> None:
    assert DOCUMENT.read_text(encoding="utf-8").startswith(page.HEAD)
    assert "scripts/audit_real.py --runs runs/real --work runs/audit-real" in page.HEAD
    script = (DOCUMENT.parents[2] / "scripts" / "audit_real_stroke.py").read_text(encoding="utf-8")
    for name in ("fold", "skull"):
        assert f'work / f"{name}-{{i}}.parquet"' in script
        assert f"`{name}-0.parquet` is" in page.HEAD or f"`{name}-0.parquet` every" in page.HEAD


def test_numbers_have_one_sign_and_their_interval() -> None:
    assert page._of(figure(0.7316, 0.707, 0.755)) == "0.732 (0.707 to 0.755)"
    assert page._signed(figure(-0.082, -0.13, 0.0302)) == "−0.082 (−0.130 to +0.030)"
    assert page._signed(figure(-0.0001, 0.0, 0.1)) == "0.000 (0.000 to +0.100)"
    assert page._with_n(figure(0.5, 0.4, 0.6, 1311)) == "0.500 (0.400 to 0.600), n = 1,311"
    assert page._with_n({"value": float("nan"), "interval": None, "n": 0}) == "none"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "–"),
        (
            {"value": 20.0, "interval": None, "limit": None, "verdict": "fail", "evidence": "216 files here: a, b"},
            "**fail**: 216 files here",
        ),
        ({"value": 0.0, "interval": None, "limit": None, "verdict": "pass", "evidence": "none"}, "pass"),
        (
            {"value": 0.681, "interval": [0.652, 0.709], "limit": 0.7244, "verdict": "pass", "evidence": ""},
            "0.681 (0.652 to 0.709), limit 0.724: pass",
        ),
    ],
)
def test_a_finding_is_told_with_its_verdict(held: Any, said: str) -> None:
    assert page._finding(held) == said


def test_a_common_direction_is_said_only_where_there_is_one() -> None:
    def moves(up: float, down: float) -> str:
        return page._moves({"stroke": {"change": {"value": up}}, "no stroke": {"change": {"value": down}}})

    assert "towards `stroke`" in moves(0.3, -0.4)
    assert {moves(0.3, 0.1), moves(0.3, -0.01), moves(-0.2, -0.3)} == {"No common direction stands out."}


def test_paragraphs_are_wrapped_and_headings_are_not() -> None:
    text = page._wrapped("## " + "word " * 40 + "\n" + "word " * 40)
    first, *rest = text.split("\n")
    assert len(first) > 118
    assert max(map(len, rest)) <= 118
