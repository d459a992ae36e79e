"""What the documents tell a reader to type exists."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from tests.house.walk import ROOT, texts

from insula.cli.main import VERBS, main

PAGES = {name: text for name, text in texts().items() if name == "README.md" or re.fullmatch(r"docs/.*\.md", name)}
_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_CALL = re.compile(r"(?:^|(?<!import)[\s/])insula\s+([a-z].*)")  # and not Python's `import insula as ins`


def fenced(text: str) -> list[str]:
    """The lines of all code blocks, without comments; a line that ends in a backslash goes on."""
    lines = "\n".join(_FENCE.findall(text)).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


def spans(text: str) -> list[str]:
    return _SPAN.findall(_FENCE.sub("", text))


def calls(lines: list[str]) -> list[str]:
    parts = [part.rstrip() for line in lines for part in re.split(r"&&|;|\|| > ", line)]
    return [found[1] for part in parts if (found := _CALL.search(part))]


BLOCKS = sorted({call for text in PAGES.values() for call in calls(fenced(text))})
INLINE = sorted({call for text in PAGES.values() for call in calls(spans(text))})


def command(line: str) -> tuple[click.Command, list[str]]:
    verb, *words = shlex.split(line)
    assert verb in VERBS, f"there is no `insula {verb}`"
    found = main.get_command(click.Context(main), verb)
    assert isinstance(found, click.Command)
    while isinstance(found, click.Group) and words:  # `insula users list`: the command behind the verb
        assert words[0] in found.commands, f"there is no `{words[0]}` in `insula {line}`"
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("line", BLOCKS)
def test_a_command_of_a_code_block_is_complete_and_understood(line: str) -> None:
    found, words = command(line)
    assert found.make_context(str(found.name), words).params


@pytest.mark.parametrize("line", INLINE)
def test_a_command_in_a_sentence_has_only_options_that_exist(line: str) -> None:
    found, words = command(line)
    found.make_parser(click.Context(found)).parse_args(words)


def test_a_wrong_option_or_verb_would_be_found() -> None:
    found, words = command("evaluate runs/first/bundle split.parquet --outt x")
    with pytest.raises(click.NoSuchOption):
        found.make_parser(click.Context(found)).parse_args(words)
    with pytest.raises(click.UsageError):
        found.make_context("evaluate", ["bundle"])
    with pytest.raises(AssertionError, match="predcit"):
        command("predcit x")
    assert calls(fenced("```sh\nmake x && bin/insula index A \\\n  --out B  # why\n```")) == ["index A    --out B"]
    assert len(BLOCKS) >= 8


def test_make_targets_that_the_documents_name_exist() -> None:
    rules = re.findall(r"^([^\s:=#][^:=#\n]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {name for rule in rules for name in rule.split()}
    lines = [line for text in PAGES.values() for line in (*fenced(text), *spans(text))]
    named = {found for line in lines for found in re.findall(r"(?:^|&& )make ([\w./-]+)", line)}
    assert {"demo", "test", "lint", ".venv/.test"} <= named
    assert {n for n in named if n not in targets and not n.startswith("bench-")} == set()
    benchmarks = {f"bench-{path.stem.replace('_', '-')}" for path in (ROOT / "benchmarks").glob("*.py")}
    assert {n for n in named if n.startswith("bench-")} <= benchmarks | targets
