"""Nothing of a report lies beyond the edge: on screens of several widths, and on the sheets of its PDF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report import hard, made_report
from tests.report.browser import CHROMIUM, Tab, browser

from insula.report import page, pdf
from insula.report.record import Record

WIDTHS = (1200, 1000, 800, 641, 400, 360)
RECORDS = {"hard": hard.record, "plain": made_report.record}
BEYOND = """[...document.querySelectorAll('.scroll, .figures > *, td, th, p, li, main')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("name", RECORDS)
def test_nothing_is_wider_than_its_place_on_any_screen(name: str, tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page.render(RECORDS[name]()), encoding="utf-8")
    for width in WIDTHS:
        tab.open(path, width=width)
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.run(BEYOND) == [], width


def sheets(record: Record) -> list[Any]:
    weasyprint = pytest.importorskip("weasyprint")
    pdf.needed()
    pages: list[Any] = weasyprint.HTML(string=page.render(record)).render().pages
    return pages


def words_of(box: Any) -> Iterator[tuple[str, float, float]]:
    """The text of a sheet with its left and right edge, the margins' own left out."""
    for child in getattr(box, "children", ()):
        if type(child).__name__ != "MarginBox":
            yield from words_of(child)
    if hasattr(box, "text") and box.text.strip():
        yield box.text, box.position_x, box.position_x + box.width


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RECORDS)
def test_nothing_is_cut_at_the_edge_of_a_sheet_and_none_is_all_but_empty(name: str) -> None:
    found = sheets(RECORDS[name]())
    millimetre = 96 / 25.4
    for number, sheet in enumerate(found, start=1):
        written = list(words_of(sheet._page_box))
        assert len(written) > 12, (number, written)
        for text, left, right in written:
            assert left >= 14 * millimetre - 1, (number, text)
            assert right <= (210 - 14) * millimetre + 1, (number, text)


def test_the_standing_limits_are_at_the_foot_of_every_sheet() -> None:
    from insula.core.style import sheet
    from insula.evaluate.outcome import LIMITS

    assert f'@bottom-left {{ content: "{LIMITS}"' in sheet()
