"""The page of similar cases: pictures side by side, no script, text that stays text."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.infer.made_store import make
from tests.report.browser import CHROMIUM, browser
from tests.report.parsed import Page

from insula.infer.similar_cases import alike, ready
from insula.report.similar_page import Query, render

HOSTILE = '"><script>alert(1)</script>'


def page(folder: Path, name: str = "scan/one") -> str:
    store = make(folder / "s", more={"case": [f"{name}-{i}" for i in range(80)]})
    answer = alike(ready(store), store.embeddings[6], 5)
    return render(Query(name, store.thumbnail(6), "stroke (0.81), accept", 0.81), answer, store, ("A note.",))


def test_the_scan_and_its_neighbours_stand_side_by_side(tmp_path: Path) -> None:
    made = Page(page(tmp_path))
    figures = made.all("figure")
    assert len(figures) == 6
    assert "This scan" in figures[0].text
    assert "scan/one-6" in figures[1].text
    assert "most likely the same scan" in figures[1].text
    pictures = [base64.b64decode(e.attributes["src"].partition(",")[2]) for e in made.all("img")]
    assert pictures[0] == pictures[1]
    assert all(one.startswith(b"\xff\xd8") for one in pictures)
    assert float(made.all("meter")[0].attributes["value"]) == 1.0
    assert "no proof" in made.text
    assert "A note." in made.text


def test_of_a_rejected_scan_no_share_is_shown(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    answer = alike(ready(store), store.embeddings[6], 5)
    own = Page(render(Query("scan", store.thumbnail(6), "rejected", None), answer, store)).all("figure")[0].text
    assert "rejected" in own
    assert "0." not in own


def test_of_a_rejected_neighbour_no_share_is_shown(tmp_path: Path) -> None:
    store = make(tmp_path / "s", rejected=(6,))
    answer = alike(ready(store), store.embeddings[6], 5)
    figures = Page(render(Query("scan", store.thumbnail(6), "rejected", None), answer, store)).all("figure")
    assert figures[1].text.partition("answer ")[2].startswith("rejected")
    assert "rejected; stroke" not in figures[1].text
    assert f"{answer.cases[1].predicted}" in figures[2].text
    assert f"; stroke {answer.cases[1].probability:.2f}" in figures[2].text


def test_no_script_and_nothing_from_outside(tmp_path: Path) -> None:
    made = Page(page(tmp_path, HOSTILE))
    assert not made.all("script", "link", "iframe")
    assert all(e.attributes["src"].startswith("data:") for e in made.all("img"))
    assert HOSTILE in made.all("h1")[0].text


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_its_own_style_holds_under_its_policy(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(tmp_path), encoding="utf-8")
    with browser(tmp_path) as tab:
        tab.open(tmp_path / "page.html", 390, 844)
        assert tab.errors == []
        assert tab.run("getComputedStyle(document.querySelector('.queries')).display") == "grid"
        assert tab.run("document.documentElement.scrollWidth") <= 390
