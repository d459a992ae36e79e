"""The commands that documents show in indented blocks are complete and have the options that they are shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from insula.cli.main import VERBS, main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_LINE = re.compile(r"^    insula +([a-z]+ .*)$", re.MULTILINE)


def commands(text: str) -> list[str]:
    return [line.split(" #")[0].strip() for line in _LINE.findall(text.replace("\\\n", " "))]


SHOWN = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text(encoding="utf-8"))})


def understood(line: str) -> click.Context:
    verb, *words = shlex.split(line)
    assert verb in VERBS, f"there is no `insula {verb}`"
    found = main.get_command(click.Context(main), verb)
    assert found is not None
    while isinstance(found, click.Group) and words:
        verb, words = words[0], words[1:]
        found = found.commands[verb]
    return found.make_context(verb, words)


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_of_an_indented_block_is_complete_and_understood(page: str, line: str) -> None:
    try:
        assert understood(line).params, page
    except click.BadParameter as error:
        if "does not exist" not in error.message:  # a path that the reader has made
            raise


def test_a_missing_or_wrong_option_would_be_found() -> None:
    assert len(SHOWN) > 12
    with pytest.raises(click.MissingParameter, match="out"):
        understood("split cohort.parquet --recipe stroke-ct")
    with pytest.raises(click.NoSuchOption):
        understood("index scans --recipe stroke-ct --outt x")
    assert commands("    insula index A \\\n  --out B  # why\ninsula info") == ["index A    --out B"]
