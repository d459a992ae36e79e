"""The examples of docs/client.md: the Python runs against the service, the commands are understood to their end."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from tests.client.live import Live, series
from tests.house.walk import ROOT

import insula.client.errors as errors
from insula.cli.remote import remote
from insula.client import Client
from insula.core.errors import InsulaError, ScanError, UnsuitableScanError, UsageError

pytestmark = pytest.mark.serve
TEXT = (ROOT / "docs" / "client.md").read_text()
COMMANDS = re.findall(r"^insula remote (.+)$", TEXT.replace("\\\n", " "), re.MULTILINE)


def test_the_python_runs(
    server: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    series(tmp_path / "head-ct")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSULA_REMOTE", server.address)
    monkeypatch.setenv("INSULA_REMOTE_KEY", server.key("reader"))
    exec(compile(code, "docs/client.md", "exec"), {})
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-1.")
    assert (tmp_path / "ct.png").read_bytes().startswith(b"\x89PNG")
    printed = [line for line in capsys.readouterr().out.splitlines() if "[info" not in line]  # the service's own log
    assert printed[0].split()[0] in ("normal", "stroke")


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_complete_and_understood(line: str) -> None:
    verb, *words = shlex.split(line)
    assert remote.commands[verb].make_context(verb, words).params


def test_every_verb_and_method_is_there() -> None:
    assert {line.split()[0] for line in COMMANDS} == set(remote.commands)
    rows = re.search(r"\| method \| gives \|\n\|---\|---\|\n(.*?)\n\n", TEXT, re.DOTALL)
    assert rows
    named = {name for row in rows[1].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {name for name in vars(Client) if not name.startswith("_")} - {"close"}


def test_the_exit_codes_are_those_of_the_program() -> None:
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.MULTILINE) for code in row.split(", ")}
    mine = {
        kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, InsulaError)
    }
    local = {UsageError.exit_code, ScanError.exit_code, UnsuitableScanError.exit_code}
    assert told == (mine | local) - {InsulaError.exit_code}


def test_a_command_that_is_none_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        remote.commands["health"].make_context("health", ["--sever", "x"])
