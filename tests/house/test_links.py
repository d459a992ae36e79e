"""Every link of a document leads somewhere: files, anchors, scripts, and what the program itself points at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.walk import ROOT, texts

from insula.core.headings import headings

TEXTS = texts()
PAGES = {name: text for name, text in TEXTS.items() if re.fullmatch(r"(?:docs/.*|[A-Z_]+)\.md", name)}
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SCRIPT = re.compile(r"\b(?:scripts|benchmarks)/[\w/-]+(?:\.py)?")
_DOCUMENT = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")


def links(text: str) -> list[str]:
    """Where the links of a page lead, code left out."""
    return _LINK.findall(_CODE.sub("", text))


def anchors(name: str) -> set[str]:
    return {heading.anchor for heading in headings(TEXTS[name])}


def wrong(name: str, link: str) -> str:
    """What is wrong with a link of a page, "" for nothing."""
    if re.match(r"[a-z]+:", link):
        return ""
    place, _, anchor = link.partition("#")
    path = (ROOT / name).parent / place if place else ROOT / name
    if not path.exists():
        return "no such file"
    target = path.resolve().relative_to(ROOT).as_posix()
    if anchor and (target not in PAGES or anchor not in anchors(target)):
        return "no such anchor"
    return ""


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    assert {link: said for link in links(PAGES[name]) if (said := wrong(name, link))} == {}


def test_a_link_that_leads_nowhere_would_be_found() -> None:
    assert links("[a](x.md) `[b](y.md)`\n```\n[c](z.md)\n```\n![d](e.png)") == ["x.md", "e.png"]
    assert wrong("docs/audit.md", "nothing.md") == "no such file"
    assert wrong("docs/audit.md", "people.md#no-such-heading") == "no such anchor"
    assert wrong("docs/audit.md", "../README.md#parts") == ""
    assert sum(len(links(text)) for text in PAGES.values()) > 200


def test_scripts_that_the_documents_name_exist() -> None:
    named = {(name, found) for name, text in PAGES.items() for found in _SCRIPT.findall(text)}
    named = {(name, found) for name, found in named if not name.startswith("docs/reference/")}
    assert len(named) > 20
    assert {(name, found) for name, found in named if not (ROOT / found).exists()} == set()


def test_documents_that_program_and_tests_point_at_exist() -> None:
    code = {name: text for name, text in TEXTS.items() if name.startswith(("src/", "scripts/")) or name == "Makefile"}
    pointed = {(name, found) for name, text in code.items() for found in _DOCUMENT.findall(text)}
    pointed = {(name, found) for name, found in pointed if found != "docs/README.md"}  # of a model that is handed on
    assert len(pointed) > 20
    missing = {(name, found) for name, found in pointed if not (ROOT / found.partition("#")[0]).is_file()}
    assert missing == set()
    for name, found in pointed:
        place, _, anchor = found.partition("#")
        assert not anchor or anchor in anchors(place), (name, found)


def test_every_picture_of_a_page_says_what_it_shows() -> None:
    shown = [(name, found) for name, text in PAGES.items() for found in re.findall(r"!\[([^\]]*)\]\(", text)]
    assert [(name, said) for name, said in shown if len(said.split()) < 3] == []
    assert Path(ROOT / "docs" / "house.svg").is_file()


def test_the_readme_leads_to_every_page_but_those_of_results_and_notebooks() -> None:
    wanted = {name for name in PAGES if name.startswith("docs/") and not re.match(r"docs/(?:results|notebooks)/", name)}
    assert wanted - {link.partition("#")[0] for link in links(PAGES["README.md"])} == set()
