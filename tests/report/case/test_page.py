"""The page: what stands in it, what never does, and that it needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tests.report.browser import CHROMIUM, Tab, browser
from tests.report.case.made_case import CHINESE, LONG, MODEL, TURKISH, case, picture, referred, rejected
from tests.report.parsed import Page

from insula.core.errors import UsageError
from insula.report.case.page import case_html, content_policy
from insula.report.case.record import CaseReport, ClassRow, Given, Patient, Review, ScanFacts, Study, Summary
from insula.report.case.texts import texts

HOSTILE = """</style></svg><b>bold</b>"><img src=x onerror=alert(1)> {{ 7 * 7 }} &lt; <script>alert(1)</script>"""
HARMLESS = re.sub(r"[^\w\s]", "x", HOSTILE)


def worded(text: str) -> CaseReport:
    """A report with one text in every place that a person, a file or a model can fill."""
    made = case()
    return replace(
        made,
        id=f"id {text}",
        patient=Patient(f"subject {text}", f"name {text}", f"number {text}"),
        study=Study(
            f"title {text}",
            f"date {text}",
            (ScanFacts(f"role {text}", f"modality {text}", 3, None, f"units {text}", (f"warning {text}",)),),
        ),
        question=f"question {text}",
        answer=Given(
            "refer", f"label {text}", 0.87, True, f"finding {text}", (ClassRow(f"class {text}", 0.87, 0.1, 0.5, True),),
            (f"reason {text}",), (f"kind {text}",), 0.1, 0.9, f"source {text}",
        ),
        pictures=(replace(picture(), role=f"role {text}", finding=f"evidence {text}", unit=f"unit {text}"),),
        summary=Summary(f"summary {text}", "model"),
        notes=(f"note {text}",),
        review=Review(f"verdict {text}", f"reader {text}", made.made_at, f"own {text}", f"comment {text}"),
        model=replace(
            MODEL, name=f"model {text}", bundle_id=f"bundle {text}", encoder=f"encoder {text}", measured_on=f"on {text}"
        ),
    )  # fmt: skip


def test_text_from_outside_stays_text() -> None:
    made = Page(case_html(worded(HOSTILE)))
    places = (
        "subject", "name", "number", "title", "date", "role", "modality", "units", "warning", "question", "label",
        "finding", "class", "reason", "source", "summary", "note", "verdict", "reader", "own", "comment", "model",
        "bundle", "encoder", "on", "unit",
    )  # fmt: skip
    for place in places:
        assert f"{place} {HOSTILE}" in made.text, place
    assert f"vidence for “evidence {HOSTILE}”" in made.text
    assert any(f"evidence {HOSTILE}" in e.attributes["alt"] for e in made.all("img"))
    assert [e.tag for e in made.elements] == [e.tag for e in Page(case_html(worded(HARMLESS))).elements]
    assert not [name for e in made.elements for name in e.attributes if name.startswith("on")]


@pytest.mark.parametrize("make", [case, referred, rejected])
def test_nothing_is_run_and_nothing_is_fetched(make: Callable[[], CaseReport]) -> None:
    html = case_html(make())
    made = Page(html)
    assert not made.all("script", "link", "iframe", "object", "embed", "base", "image", "foreignobject", "form", "a")
    targets = [v for e in made.elements for k, v in e.attributes.items() if k.split(":")[-1] in ("src", "href")]
    assert targets
    assert all(target.startswith("data:image/png;base64,") for target in targets)
    assert not re.search(r"https?:|@import|\bsrcset=|url\(|Noto Color Emoji", html)
    assert not [e for e in made.elements if "style" in e.attributes]


def test_the_policy_allows_this_style_and_no_other() -> None:
    inside = re.search(r"<style>(.*?)</style>", case_html(case()), re.DOTALL)
    assert inside is not None
    digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in content_policy()
    assert "default-src 'none'" in content_policy()


def test_everything_of_the_record_is_shown_as_it_is() -> None:
    made = Page(case_html(case()))
    for said in (TURKISH, "TR-0042", "subject-7f3a", "Beyin BT, kontrastsız", "2026-11-25", "0.87", "0.412345", "0.034",
                 "0.42", "{ any, intraparenchymal, subarachnoid }", "slice 12 of 28", "0.488 × 0.488 × 5",
                 "Fall from a ladder", "b0" * 32, "efficientnet_b0", "0.902 to 0.971", "199 of 211 patients",
                 "Research use only; not a medical device.", "one that lies on it is no proof", "90%"):  # fmt: skip
        assert said in made.text, said
    assert ["any", "0.87", "any: 0.87 of 1 as a bar", "0.034", "0.412345", "yes"] in made.rows
    assert ["1%", "7.4% 6.0% to 9.2%", "99.9% 99.9% to 99.97%", "127 105 to 152"] in made.apart
    assert [e.text for e in made.all("p") if e.attributes.get("class") == "signature"] == ["ReaderDateSignature"]


def test_a_referral_in_turkish_has_its_reasons_stages_and_review() -> None:
    made = Page(case_html(referred()))
    assert made.all("html")[0].attributes["lang"] == "tr"
    for said in (
        CHINESE,
        "病历-0001",
        "Sevk: bu olguya bir uzman bakmalıdır.",
        "Güven sınırın altında: confidence 0.62 is below 0.70.",
        "en olası: III",
        "365. günde “death” olmadan",
        "Dr. Ayşe Yılmaz",
        "başka karar veriyor",
        "kesit 12 / 28",
        "Yalnızca araştırma içindir; tıbbi cihaz değildir.",
        "211 hastadan 199",
        "%29.4",
    ):
        assert said in made.text, said
    english = texts("en")
    assert not [key for key in ("limits", "refer", "sides", "no_proof", "meaning_from") if english[key] in made.text]


def test_a_rejected_case_shows_no_class_no_probability_no_set_and_no_map() -> None:
    html = case_html(rejected(question="Q?", notes=()))
    made = Page(html)
    assert "Rejected: there is no answer for this scan." in made.text
    assert "1.8 times as far" in made.text
    for hidden in ("0.87", "0.412345", "0.034", "0.6123", "intraparenchymal", "Threshold", "Prevalence", "In the set",
                   "Confidence", "0.943", "brightest", "any", "IV"):  # fmt: skip
        assert not re.search(rf"\b{re.escape(hidden)}\b", made.text), hidden
    pictures = [e.attributes for e in made.all("img")]
    assert [one["alt"] for one in pictures] == ["ct, slice 12 of 28, without map"]
    over = case().pictures[0].map
    assert over is not None
    assert base64.b64encode(over).decode() not in html


def test_a_screen_reader_finds_its_way() -> None:
    made = Page(case_html(case()))
    headings = [int(e.tag[1]) for e in made.all("h1", "h2", "h3")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(e.text for e in made.all("h1", "h2", "h3", "th", "dt", "figcaption"))
    assert all("scope" in e.attributes for e in made.all("th"))
    assert all(e.attributes["alt"] for e in made.all("img"))
    assert all(e.attributes["aria-hidden"] == "true" for e in made.all("svg"))


def test_sides_are_marked_only_where_they_are_known() -> None:
    def marks(report: CaseReport) -> list[str]:
        return [e.text for e in Page(case_html(report)).all("p") if e.attributes.get("class") == "sides"]

    assert marks(case()) == ["RScanL", "RWith mapL"]
    unsided = case(pictures=(picture(sided=False),))
    assert marks(unsided) == ["Scan", "With map"]
    assert "Pictures without R and L" in Page(case_html(unsided)).text


def test_a_negative_answer_is_read_by_its_npv() -> None:
    given = replace(case().answer, label="no any", positive=False, confidence=0.97)
    made = Page(case_html(case(answer=given, pictures=(picture(present=False),))))
    assert "This answer is negative for “any”: NPV applies." in made.text
    assert "Evidence for “any”, which the model does not call present" in made.text
    own = [e.text for e in made.all("td") if "own" in e.attributes.get("class", "").split()]
    assert [one.partition("%")[0] for one in own] == ["99.9", "99.7", "98.4"]


def test_what_is_missing_is_said_or_left_out() -> None:
    bare = case(
        patient=Patient("subject-1"), study=Study(""), pictures=(), prevalences=(), summary=None, notes=(),
        model=replace(MODEL, figures=()), answer=Given("accept", "stroke", 0.9, True),
    )  # fmt: skip
    made = Page(case_html(bare))
    assert "(no name given)" in made.text
    assert "No evaluation of this model is at hand" in made.text
    assert [e.text for e in made.all("h2")] == ["Answer", "Review", "Model", "Limits"]


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="does not speak"):
        case_html(case(language="de"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


BEYOND = """[...document.querySelectorAll('.scroll, td, th, p:not(.foot), li, dd, figcaption, main')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' && !e.closest('.scroll'))
  .map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 60)}`)"""


@pytest.mark.parametrize("make", [case, referred, rejected, lambda: worded("Wide_and_without_a_space_" * 8)])
def test_nothing_is_wider_than_the_screen(make: Callable[[], CaseReport], tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "case.html"
    path.write_text(case_html(replace(make(), patient=Patient("s", LONG, "9" * 80))), encoding="utf-8")
    for width in (1200, 800, 641, 400, 360):
        tab.open(path, width=width)
        assert tab.run("document.documentElement.scrollWidth") <= width, width
        assert tab.run(BEYOND) == [], width
    assert tab.errors == []
