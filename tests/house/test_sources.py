"""Pages that lean on papers list each paper that they name, and name each paper that they list."""

from __future__ import annotations

import re

import pytest
from tests.house.walk import ROOT

PAGES = ("clinical-background", "honest-evaluation", "ethics-privacy")
_NAMED = re.compile(r"\b((?:van |Van )?[A-Z][\w-]+)(?: [A-Z][\w-]+)?(?: and [A-Z][\w-]+)? (\d{4})\b")
_NO_PAPERS = {"RSNA", "CLAIM", "STARD", "EU"}


def parts(page: str) -> tuple[str, list[str]]:
    """The text of a page without its list of sources, and the entries of the list."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    body, _, listed = text.partition("\n## Sources\n")
    entries = re.split(r"^- ", listed, flags=re.MULTILINE)[1:]
    return " ".join(body.split()), [" ".join(entry.split()) for entry in entries]


def named(body: str) -> set[tuple[str, str]]:
    """First author and year of each paper that a text names."""
    found = {(m[1], m[2]) for m in _NAMED.finditer(body)}
    return {(name, year) for name, year in found if name not in _NO_PAPERS}


def in_list(name: str, year: str, entries: list[str]) -> bool:
    return any(entry.lower().startswith(name.lower()) and year in entry for entry in entries)


@pytest.mark.parametrize("page", PAGES)
def test_every_paper_that_is_named_is_listed_and_the_other_way_round(page: str) -> None:
    body, entries = parts(page)
    papers = named(body)
    assert len(papers) > 5
    assert {one for one in papers if not in_list(*one, entries)} == set()
    for entry in entries:
        if "Regulation" in entry:
            continue
        year = re.findall(r"\b(?:19|20)\d\d\b", entry)
        assert any(in_list(name, of, [entry]) for name, of in papers), entry
        assert year, entry


def test_a_paper_that_is_not_listed_would_be_seen() -> None:
    assert named("as was shown (Yagis 2021; Kapoor and Narayanan 2023) and (van Asch 2010)") == {
        ("Yagis", "2021"),
        ("Kapoor", "2023"),
        ("van Asch", "2010"),
    }
    assert not in_list("Yagis", "2021", ["Zech et al., PLoS Medicine 15:e1002683, 2018."])
