"""The page as markup: nothing from outside, nothing injected, and a shape that a screen reader can follow."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise

from PIL import Image
from tests.report.made_report import held, item, make, pictures, record
from tests.report.parsed import Page

from insula.evaluate.evidence import Guard
from insula.evaluate.outcome import Failure
from insula.report import page

HOSTILE = """</style></svg><b>bold</b>"><img src=x onerror=alert(1)> {{ 7 * 7 }} &lt; <script>alert(1)</script>"""
HARMLESS = re.sub(r"[^\w\s]", "x", HOSTILE)  # as long, and broken into lines at the same places


@cache
def html() -> str:
    return page.render(record(), pictures(item(), item(outcome="FN")))


@cache
def shown() -> Page:
    return Page(html())


def test_nothing_is_fetched_from_outside() -> None:
    assert not [
        e.tag for e in shown().all("script", "link", "iframe", "object", "embed", "base", "image", "foreignobject")
    ]
    targets = [v for e in shown().elements for k, v in e.attributes.items() if k.split(":")[-1] in ("src", "href")]
    assert len(targets) > 2
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"https?:|@import|\bsrcset=|url\(", html())


def worded(text: str) -> Page:
    """A page with one text in every place that a recipe, a folder or a scan can fill."""
    report = make(("normal", text), source={"cohort": text}, optimistic=(f"reason {text}",), notes=(f"note {text}",))
    facts = replace(report.facts, question=f"question {text}", name=f"name {text}")
    guard = Guard(f"guard {text}", "fail", f"finding {text}", (f"evidence {text}",))
    report = replace(report, facts=facts, failures=(Failure(text, f"failure {text}"),), guards=(guard,))
    one = item(f"caption {text}")
    return Page(page.render(held(report, (one,)), pictures(one)))


def test_text_from_outside_stays_text() -> None:
    made = worded(HOSTILE)
    for place in ("reason", "note", "question", "name", "failure", "caption", "guard", "finding", "evidence"):
        assert f"{place} {HOSTILE}" in made.text
    assert ["cohort", HOSTILE] in made.rows
    assert made.all("img")[0].attributes["alt"] == f"caption {HOSTILE}"
    assert made.all("title")[0].text == f"Evaluation: name {HOSTILE}"
    assert f"ROC curve of {HOSTILE}" in [e.attributes.get("aria-label") for e in made.all("svg")]
    assert [e.tag for e in made.elements] == [e.tag for e in worded(HARMLESS).elements]
    assert not [name for e in made.elements for name in e.attributes if name.startswith("on")]


def test_pictures_are_inside_the_page_and_whole() -> None:
    found = shown().all("img")
    assert len(found) == 2
    for picture in found:
        raw = base64.b64decode(picture.attributes["src"].partition(",")[2], validate=True)
        assert raw == item().png
        with Image.open(io.BytesIO(raw)) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (8, 12))
        assert picture.attributes["alt"] == item().caption


def test_a_picture_that_was_deleted_is_said_to_be_gone() -> None:
    made = Page(page.render(record()))
    assert made.all("img") == []
    assert made.text.count("its picture is no longer in heatmaps/") == 2


def test_a_screen_reader_finds_its_way() -> None:
    assert shown().all("html")[0].attributes["lang"] == "en"
    assert shown().all("title")[0].text == "Evaluation: made-ct"
    headings = [int(e.tag[1]) for e in shown().all("h1", "h2", "h3", "h4")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(e.text for e in shown().all("h1", "h2", "h3", "th", "figcaption", "caption"))
    assert all("scope" in e.attributes for e in shown().all("th"))
    drawings = [e for e in shown().all("svg") if e.attributes.get("aria-hidden") != "true"]
    assert len(drawings) == 7
    assert all(e.attributes["role"] == "img" and e.attributes["aria-label"] for e in drawings)
    assert len({e.attributes["aria-label"] for e in drawings}) == 7


def test_ids_are_unique_and_every_reference_finds_one() -> None:
    ids = Counter(e.attributes["id"] for e in shown().elements if "id" in e.attributes)
    assert set(ids.values()) == {1}
    used = {v[1:] for e in shown().elements for k, v in e.attributes.items() if k.endswith("href")}
    assert used <= set(ids)
    assert {"figures", "curves", "misses", "checklists", "provenance"} <= used


def test_wide_tables_can_be_scrolled_and_tables_repeat_their_heads_on_paper() -> None:
    for table in re.findall(r"<table.*?</table>", html(), re.DOTALL):
        columns = max(row.count("<td") for row in table.split("<tr"))
        assert columns < 3 or "<thead>" in table
    assert html().count('<div class="scroll">') >= 10
