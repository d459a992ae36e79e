from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from insula.cli.completion import SHELLS, VARIABLE
from insula.cli.main import VERBS, main

PROGRAM = Path(sys.executable).with_name("insula")


def completed(words: str, place: int) -> list[str]:
    """What bash is offered for the word at a place."""
    asked = {**os.environ, VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    said = subprocess.run([PROGRAM], env=asked, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in said.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_asks_this_program(shell: str) -> None:
    got = CliRunner().invoke(main, ["completion", shell], catch_exceptions=False)
    assert got.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in got.output
    if found := shutil.which(shell):
        assert subprocess.run([found, "-n"], input=got.output, text=True, check=False).returncode == 0


def test_verbs_options_and_recipes_are_completed() -> None:
    assert completed("insula e", 1) == [verb for verb in VERBS if verb.startswith("e")]
    assert completed("insula train x --recipe s", 4) == ["stroke-ct"]
    assert completed("insula split --fr", 2) == ["--fractions", "--from-files"]


def test_completing_a_verb_imports_none() -> None:
    code = (
        "import sys\n"
        "from insula.cli.main import VERBS, main\n"
        "import click\n"
        "found = main.shell_complete(click.Context(main), '')\n"
        "assert len(found) > 20\n"
        "print(sorted({where.partition(':')[0] for where, _ in VERBS.values()} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
