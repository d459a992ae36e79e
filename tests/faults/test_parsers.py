"""Parsers of ours with damaged bytes: blindly changed ones with every test, in full ones that coverage chooses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from tests.faults.guided.all import TARGETS
from tests.faults.tally import Tally
from tests.pacs.fuzz import mutate

RUNS = 50_000
_DONE = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_EDGES = re.compile(r"DONE\s+cov: (\d+)")


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_only_what_it_may(name: str, tally: Tally) -> None:
    """The short form: sound bytes, and changed, cut and foreign ones of a seed."""
    target = TARGETS[name]
    random = Random(f"parser/{name}")
    tried = [b"", *target.seeds]
    for number in range(60):
        sound = random.choice(target.seeds)
        tried.append((mutate.changed, mutate.changed, mutate.cut)[number % 3](random, sound))
    for data in tried:
        target(data)
    tally.tried(f"{name}, changed blindly", len(tried))


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed (it is in the extra `dev`)")
def test_parsers_with_inputs_that_coverage_chooses(tally: Tally, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.guided.run", str(RUNS), "16", str(tmp_path)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        ended = [json.loads(line) for line in process.stdout if line.startswith("{")]
    assert process.returncode == 0
    assert [one["name"] for one in ended] == list(TARGETS)
    wrong = []
    for one in ended:
        text = Path(one["log"]).read_text(encoding="utf-8", errors="replace")
        tally.log(f"{Path(one['log']).parent.name}.txt").write_text(text, encoding="utf-8")
        done, edges = _DONE.search(text), _EDGES.findall(text)
        figures: dict[str, float | str] = {"edges reached": edges[-1]} if edges else {}
        crashed = int(one["code"] != 0 or done is None)
        try:
            what = f"{one['name']}, with inputs that coverage chooses"
            tally.tried(what, int(done[1]) if done else 1, crashed=crashed, figures=figures)
        except AssertionError as error:  # all of them are written down, and then it fails
            wrong.append(str(error))
    assert wrong == []


def test_a_parser_that_raises_something_else_is_noticed() -> None:
    from tests.faults.guided.target import Target

    def wrong(data: bytes) -> None:
        if data == b"no":
            raise KeyError(data)
        raise ValueError(data)

    target = Target(wrong, (b"x",), (ValueError,))
    target(b"x")
    with pytest.raises(KeyError):
        target(b"no")
