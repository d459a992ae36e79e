from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.serve.web import sentences
from tests.serve.web.sentences import PAGES, SCRIPTS, asked_by, handed_on, said, templates

from insula.serve.answers import INTENDED_USE
from insula.serve.people.roles import ROLES
from insula.serve.web.about import FIGURES, MODALITIES
from insula.serve.web.frame import PLACES, environment
from insula.serve.web.language import LANGUAGES, NAMES, Language, catalogue, chosen, for_templates, gettext_of
from insula.serve.web.library import SHELVES

pytestmark = pytest.mark.serve
OTHERS = [one for one in LANGUAGES if one != "en"]
WORDS = {"Insula", "PDF", "JSON", "CSV", "FHIR", "HTML", "DICOM", "NIfTI", "UTC", "HU", "mm", "ms", "p", "ROC-AUC"}
WORDS |= {"English", "Türkçe"}  # languages in their own words
HEADERS = ("study_date", "manufacturer", "model", "kernel", "series_description", "body_part", "slice_thickness")
# sentences that stand in Python, and what is made of the names of headers
ELSEWHERE = {
    *(one.replace("_", " ").capitalize() for one in HEADERS),
    *(one.name for one in PLACES),
    *ROLES,
    INTENDED_USE,
    *SHELVES,
    *MODALITIES.values(),
    *FIGURES.values(),
}
_HOLES = re.compile(r"%\((\w+)\)s")


def needed() -> set[str]:
    shown = {one for name in templates() for one in said(name) | handed_on(name)}
    return shown | {one for path in sentences.script_files() for one in asked_by(path)} | ELSEWHERE


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_the_pages_and_scripts_is_translated(language: str) -> None:
    missing = {name: sorted(lack) for name in templates() if (lack := said(name) - set(catalogue(language)))}
    assert not missing
    assert sorted(needed() - set(catalogue(language))) == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_catalogue_holds_a_sentence_that_nothing_uses(language: str) -> None:
    known = needed() | sentences.constants()
    left = {one for one in catalogue(language) if one not in known}
    assert sorted(left) == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_stands_in_one_catalogue_alone(language: str) -> None:
    files = sorted((PAGES / "locales" / language).glob("*.json"))
    counts = Counter(key for path in files for key in json.loads(path.read_text(encoding="utf-8")))
    assert [key for key, count in counts.items() if count > 1] == []
    assert len(files) > 1


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_filled_in_is_filled_in_in_every_language(language: str) -> None:
    for english, other in catalogue(language).items():
        assert sorted(_HOLES.findall(english)) == sorted(_HOLES.findall(other)), english
        assert other.strip() == other != "" or english.strip() != english, english
        assert ("<" in english) == ("<" in other), english
        assert re.findall(r'href="([^"]*)"', english) == re.findall(r'href="([^"]*)"', other), english


@pytest.mark.parametrize("template", templates())
def test_a_template_has_no_words_beside_its_sentences(template: str) -> None:
    found = [one for one in sentences.untranslated(sentences.source(template)) if one.rstrip(".") not in WORDS]
    assert found == []


@pytest.mark.parametrize("template", templates())
def test_a_page_hands_its_scripts_all_that_they_say(template: str) -> None:
    given = {one for name in sentences.with_parents(template) for one in handed_on(name)}
    for name in sentences.scripts_of(template):
        script = SCRIPTS / "pages" / f"{name}.ts"
        assert script.is_file(), name
        for path in sentences.imported(script):
            assert asked_by(path) <= given, (template, path.name)


@pytest.mark.parametrize("script", sentences.script_files(), ids=lambda path: path.name)
def test_a_script_writes_no_sentence_of_its_own(script: Path) -> None:
    code = script.read_text(encoding="utf-8")
    assert re.findall(r"(?:textContent|innerText|title|placeholder|ariaLabel)\s*=\s*[\"'`][A-Z].*", code) == []


def test_words_beside_sentences_would_be_found() -> None:
    text = '<p class="x">{{ _("Said") }} Unsaid<b title="aloud">1</b> {% trans n=1 %}fine {{ n }}{% endtrans %}</p>'
    assert sorted(sentences.untranslated(text + "<code>insula serve</code>")) == ["Unsaid", "aloud"]


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "de", "de"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "en;q=0.3, de;q=0.7", "de"),
        ("", "en;q=0.7, de;q=0.3", "en"),
        ("", "fr, it", "en"),
        ("", "fr, de;q=0.1", "de"),
        ("", "de;q=0", "en"),
        ("", "de;q=much, en", "en"),
        ("", "*", "en"),
        ("", "x" * 10_000, "en"),
        ("de", "en", "de"),
        ("en", "de", "en"),
        ("tlh", "de", "de"),
        ("DE", "", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_first_that_there_is(cookie: str, accepted: str, language: str) -> None:
    assert chosen(cookie, accepted) == language


def test_what_is_not_translated_stays_english_and_numbers_have_their_form() -> None:
    assert gettext_of("de")("Worklist") == "Arbeitsliste"
    assert gettext_of("de")("no such sentence") == "no such sentence"
    assert gettext_of("en")("Worklist") == "Worklist"
    _, day = for_templates("de")
    assert day("%(count)s day", "%(count)s days", 1) == "%(count)s Tag"
    assert day("%(count)s day", "%(count)s days", 0) == "%(count)s Tage"
    assert set(NAMES) == set(LANGUAGES)


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_a_text_out_of_a_record_brings_no_tag_and_no_hole(spoken: Language) -> None:
    show = environment(spoken).from_string("{{ _(said) }}|{% trans name=said %}As {{ name }}{% endtrans %}")
    text = show.render(said="<b>95% of %(them)s &amp; %s</b>").partition("|")[0]
    assert "<b>" not in text
    assert "95% of " in text
    assert "&lt;b&gt;" in text


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_every_sentence_can_be_filled_in(spoken: Language) -> None:
    translate, _ = for_templates(spoken)
    for one in {text for name in templates() for text in said(name)}:
        shown = translate(one) % dict.fromkeys(_HOLES.findall(one), "x")
        assert "%%" not in shown, one
