"""Every verb explains itself and takes the options that all share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from insula.cli.main import VERBS, main


def command(verb: str) -> click.Command:
    found = main.get_command(click.Context(main), verb)
    assert isinstance(found, click.Command)
    return found


def parts(verb: str) -> dict[str, click.Command]:
    """The command of a verb under its words, or each of its commands where it is a group."""
    found = command(verb)
    return {f"{verb} {n}": c for n, c in found.commands.items()} if isinstance(found, click.Group) else {verb: found}


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_well_and_names_every_option(verb: str) -> None:
    got = CliRunner().invoke(main, [verb, "--help"], prog_name="insula")
    assert got.exit_code == 0, got.output
    assert got.output.startswith(f"Usage: insula {verb} ")
    assert str(command(verb).help).split("\n")[0][:40] in got.output
    for words, part in parts(verb).items():
        got = CliRunner().invoke(main, [*words.split(), "--help"], prog_name="insula")
        assert got.exit_code == 0, got.output
        assert got.output.startswith(f"Usage: insula {words} ")
        options = [p for p in part.params if isinstance(p, click.Option)]
        assert [o.opts[0] for o in options if not o.help] == []
        assert all(name in got.output for o in options for name in (*o.opts, *o.secondary_opts))


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "serve"])
def test_every_verb_that_ends_takes_json(verb: str) -> None:
    for part in parts(verb).values():
        assert "--json" in {name for p in part.params for name in p.opts}


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_and_the_command_agree_on_the_name(verb: str) -> None:
    assert command(verb).name == verb
    assert VERBS[verb][1].endswith(".")


def test_the_list_of_verbs_names_each_and_the_limits() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    listed = [line.split()[0] for line in text.partition("Verbs:")[2].splitlines() if line.startswith("  ")]
    assert [word for word in listed if word in VERBS] == list(VERBS)
    assert "not a medical device" in text
