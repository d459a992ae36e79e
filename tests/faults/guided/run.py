"""Parsers, tried with inputs that are chosen by which lines of them they reach (atheris, libFuzzer).

Usage: python -m tests.faults.guided.run RUNS SEED FOLDER [NAME…]; all of them without a name, dear ones less often.
Each is tried in a process of its own, with its log in the folder; a line of JSON on standard output says its name, its
log and how it ended: 0 where it raised only what it may.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

_PACKAGES = [
    "insula.core",
    "insula.scans",
    "insula.cohort.deidentify",
    "insula.serve.api.cursor",
    "insula.serve.dicomweb",
    "insula.serve.narrative.check",
    "insula.serve.pacs",
    "insula.serve.people",
    "insula.serve.web",
    "insula.workflows.search_space",
]
with atheris.instrument_imports(include=_PACKAGES):
    from tests.faults.guided.all import TARGETS


def main(runs: int, seed: int, folder: Path, names: Sequence[str]) -> None:
    """Try parsers so often, each from its seeds on; inputs that reach something new are kept in the folder."""
    for name in names or TARGETS:
        home = folder / re.sub(r"[^a-z]+", "-", name.lower())
        (home / "corpus").mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if not child:
            _tried(name, runs, seed, home)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"name": name, "log": str(home / "log"), "code": code}), flush=True)  # noqa: T201


def _tried(name: str, runs: int, seed: int, home: Path) -> None:
    """Try one, and end the process."""
    log = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    target = TARGETS[name]
    for number, sound in enumerate(target.seeds):
        (home / "corpus" / f"seed-{number}").write_bytes(sound)
    longest = max(1024, 2 * max(map(len, target.seeds)))
    bounds = [f"-max_len={longest}", "-timeout=300", "-rss_limit_mb=4096", "-print_final_stats=1"]
    fixed = [f"-runs={max(1, runs // target.cost)}", f"-seed={seed}", f"-artifact_prefix={home}/"]
    atheris.Setup([sys.argv[0], *bounds, *fixed, str(home / "corpus")], target)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
