"""What the table of controls says is shown by a test is shown by one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.walk import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TRIED = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")


def missing(text: str, root: Path) -> list[str]:
    """Tests that a text names and that are not there."""
    found = []
    for path, name in _NAMED.findall(text):
        file = root / path
        there = file.is_file() and re.search(rf"^(?:async )?def {name or 'test_'}", file.read_text(), re.MULTILINE)
        found += [] if there else [f"{path}::{name}" if name else path]
    return found


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    below = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_that_shows_a_control_exists() -> None:
    assert missing(PAGE, ROOT) == []
    assert len(_NAMED.findall(PAGE)) > 100


def test_every_defect_that_was_found_names_a_test_that_exists() -> None:
    assert missing(TRIED, ROOT) == []
    found = TRIED.partition("## What was found")[2].partition("## What was tried")[0]
    lines = [line for line in found.splitlines() if line.startswith("| ") and not line.startswith("| what happened")]
    assert len(lines) > 50
    assert [line for line in lines if not _NAMED.search(line)] == []


@pytest.mark.parametrize("text", ["`tests/house/test_nothing.py`", "`tests/house/test_controls.py::test_gone`"])
def test_a_test_that_does_not_exist_is_found(text: str) -> None:
    assert missing(text, ROOT)


def test_every_safeguard_of_the_rule_has_a_row() -> None:
    named = [row[0].split()[0] for row in rows("45 CFR 164.312")]
    assert named == [
        *("(a)(1)", "(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(b)", "(c)(1)", "(c)(2)", "(d)"),
        *("(e)(1)", "(e)(2)(i)", "(e)(2)(ii)"),
    ]


def test_every_chapter_of_the_verification_standard_is_spoken_of() -> None:
    chapters = {int(number) for number in re.findall(r"\bV(\d+)", PAGE)}
    assert chapters == set(range(1, 18))


def test_the_profile_and_every_option_have_a_row() -> None:
    codes = re.findall(r"\b1131\d\d\b", PAGE.partition("## DICOM PS3.15")[2])
    assert codes == [str(code) for code in range(113100, 113113)]


def test_a_control_that_is_done_names_the_test_that_shows_it() -> None:
    for heading in ("45 CFR 164.312", "OWASP ASVS", "DICOM PS3.15"):
        for row in rows(heading):
            done = any(cell.startswith(("done", "part")) for cell in row)
            assert not done or _NAMED.search(" ".join(row)), row
