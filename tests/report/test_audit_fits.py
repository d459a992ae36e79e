"""The pages of an audit on screens of several widths, in the dark, and on paper."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report import made_audit
from tests.report.browser import CHROMIUM, Tab, browser
from tests.report.made_audit import facts, found, held, report
from tests.report.test_fits import BEYOND, WIDTHS, words_of

from insula.report import audit_page, pdf
from insula.report.record import Record

OPEN = "document.querySelectorAll('details').forEach(fold => { fold.open = true })"
LONG = "Wide_and_without_a_space_" * 12


def worst() -> Record:
    """Five failures, each reason, and every text as long as it can be."""
    some = [found(f"subgroups/{LONG}{i}/sensitivity") for i in range(4)]
    some += [found(check) for check in ("evidence/chance", "exchange/background", "baselines/metadata", "marks/device")]
    made = report(
        (*made_audit.FINDINGS, *some), LONG, facts=facts(LONG, question=LONG, cohort=LONG, positive=LONG, split=LONG)
    )
    content: dict[str, Any] = dict(held(made))
    content["findings"] = [{**one, "evidence": f"{one['evidence']} {LONG}"} for one in content["findings"]]
    return content


RECORDS: dict[str, Callable[[], Record]] = {
    "plain": lambda: held(made_audit.plain()),
    "real": lambda: held(made_audit.real()),
    "crowded": lambda: held(made_audit.crowded()),
    "empty": lambda: held(made_audit.empty()),
    "worst": worst,
}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("name", RECORDS)
def test_nothing_is_wider_than_its_place_folded_or_not(name: str, tab: Tab, tmp_path: Path) -> None:
    for which, render in (("audit", audit_page.render), ("summary", audit_page.brief)):
        path = tmp_path / f"{which}.html"
        path.write_text(render(RECORDS[name]()), encoding="utf-8")
        for width in (*WIDTHS, 500):
            tab.open(path, width=width)
            for script in ("true", OPEN):
                tab.run(script)
                assert tab.run("document.documentElement.scrollWidth") <= width
                assert tab.run(BEYOND) == [], (which, width)
    assert tab.errors == []


def paper(tab: Tab, html: str, path: Path) -> bytes:
    path.write_text(html, encoding="utf-8")
    tab.open(path)
    found = tab.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    return base64.b64decode(found["data"])


@pytest.mark.parametrize("name", RECORDS)
def test_the_summary_is_one_sheet_of_a_browser(name: str, tab: Tab, tmp_path: Path) -> None:
    made = paper(tab, audit_page.brief(RECORDS[name]()), tmp_path / "summary.html")
    assert made.count(b"/Type /Page\n") == 1


def test_what_is_folded_on_the_screen_is_open_on_paper(tab: Tab, tmp_path: Path) -> None:
    html = audit_page.render(RECORDS["crowded"]())
    folded = paper(tab, html, tmp_path / "a.html").count(b"/Type /Page\n")
    opened = paper(tab, html.replace("<details>", "<details open>"), tmp_path / "b.html").count(b"/Type /Page\n")
    assert folded == opened > 20


def short(record: Record) -> Record:
    """A record with every table and a few rows of each, since WeasyPrint takes its time."""
    parts = [
        {**part, "tables": [{**table, "rows": table["rows"][:4]} for table in part["tables"]]}
        for part in record["parts"]
    ]
    return {**record, "findings": record["findings"][:6], "parts": parts}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RECORDS)
def test_both_are_sheets_of_paper_with_nothing_cut_off(name: str) -> None:
    weasyprint = pytest.importorskip("weasyprint")
    pdf.needed()
    millimetre = 96 / 25.4
    record = RECORDS[name]()
    one, *more = weasyprint.HTML(string=audit_page.brief(record)).render().pages
    assert more == []
    for number, sheet in enumerate((one, *weasyprint.HTML(string=audit_page.render(short(record))).render().pages)):
        for text, left, right in words_of(sheet._page_box):
            assert left >= 14 * millimetre - 1, (number, text)
            assert right <= (210 - 14) * millimetre + 1, (number, text)
