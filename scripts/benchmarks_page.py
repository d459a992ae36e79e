"""Writes docs/benchmarks.md: every benchmark, what it asks, its goals, and how its last run that was kept ended.

    .venv/bin/python scripts/benchmarks_page.py                    # the page alone, from what is kept
    .venv/bin/python scripts/benchmarks_page.py --run startup      # run benchmarks by name, keep their last lines

What is kept is docs/results/benchmarks.json: of each benchmark the JSON line that its last run ended with, beside the
machine and its load at the start. A run on a machine that is busy is kept with that load, and the page says it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also where a test imports this file
from reference_words import shortened, table

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
KEPT = ROOT / "docs" / "results" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PAGES = {  # where the figures of a benchmark stand in full
    "batch": "results/batch.md",
    "coverage": "results/intervals.md",
    "engine": "results/engine.md",
    "explain": "results/explanation-speed.md",
    "ingest": "results/ingest.md",
    "pages": "results/pages.md",
    "safety": "results/safety.md",
    "service": "results/service.md",
    "study_cost": "scale.md",
    "similar": "features.md",
    "history": "records.md",
    "pacs": "pacs.md",
    "train": "training.md",
}
SIDES = frozenset({"ingest_sides", "machine", "pages_rows", "safety_bare", "service_empty", "service_load"})
SIDES |= frozenset({"service_usual", "study_record"})  # parts of other benchmarks
TARGETS = {"engine": "bench-serve-engine"}
HEAD = """# Benchmarks

Each benchmark runs its sides in turn in one run, prints the machine, a table of medians with their spread, and last one
line of JSON; it exits with 1 where a goal is not met. So a figure is a share of something that was measured beside it,
not a promise about another machine. `make bench` runs all of them, which takes hours; run them on a machine that does
nothing else.

This page is written by `python scripts/benchmarks_page.py`; with `--run NAME` it runs a benchmark first and keeps how
it ended in `docs/results/benchmarks.json`. Where a page of its own has the figures, its verdicts are counted.

"""
STUDIES = """
## Every page of results

What was asked of models, data and parts stands on pages of its own, each with the command that made it. What was tried
to break the program: [reliability.md](reliability.md).

"""


def names() -> tuple[str, ...]:
    """The benchmarks."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SIDES))


def asked(name: str) -> str:
    """What a benchmark says that it asks."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return re.sub(r" \(make bench-[^)]*\)", "", shortened(ast.get_docstring(tree) or ""))


def run(name: str) -> dict[str, Any]:
    """Run a benchmark and return the last line of what it printed, with machine, load and time."""
    load = os.getloadavg()[0]
    ended = subprocess.run([sys.executable, str(FOLDER / f"{name}.py")], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    lines = ended.stdout.decode().strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise SystemExit(f"The benchmark '{name}' ended with {ended.returncode} and without its line of JSON.")
    found: dict[str, Any] = json.loads(lines[-1])
    return {
        "figures": found.get("figures", {}),
        "goals": found.get("goals", {}),
        "holds": bool(found["holds"]),
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def page(kept: dict[str, Any]) -> str:
    """The page."""
    rows = []
    for name in names():
        last = kept.get(name)
        full = f"[{PAGES[name]}]({PAGES[name]})" if name in PAGES else ""
        ended = _ended(last) or _of_page(PAGES.get(name, "")) or ("as that page says" if name in PAGES else "none")
        rows.append((f"`make {_target(name)}`", asked(name), ended, full))
    return (
        HEAD
        + table(("command", "what it asks", "last run that was kept", "figures in full"), rows)
        + "\n"
        + STUDIES
        + _results()
    )


def _results() -> str:
    """The pages of results by their titles."""
    paths = sorted((ROOT / "docs" / "results").glob("*.md"))
    titles = {path: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in paths}
    return "".join(f"- [{title}](results/{path.name})\n" for path, title in titles.items())


def _ended(last: dict[str, Any] | None) -> str:
    if last is None:
        return ""
    goals = last["goals"]
    told = []
    if isinstance(goals, dict):
        told = [
            f"{name} {_short(last['figures'][name])} (goal {_short(goal)})"
            for name, goal in goals.items()
            if isinstance(last["figures"].get(name), int | float)
        ]
    verdict = "all goals met" if last["holds"] else "a goal missed"
    where = f"{last['day']}, {last['cores']} cores, load before {last['load']}"
    return f"{verdict}{': ' if told else ''}{', '.join(told)} ({where})"


def _of_page(name: str) -> str:
    """How many goals a page of results calls met and missed."""
    if not name.startswith("results/"):
        return ""
    verdicts = re.findall(r"\| (met|missed) \|", (ROOT / "docs" / name).read_text(encoding="utf-8"))
    if not verdicts:
        return ""
    return f"goals met: {verdicts.count('met')}, missed: {verdicts.count('missed')}, as that page says"


def _short(value: float) -> str:
    return f"{value:,.4g}".replace(",", " ") if isinstance(value, float) else str(value)


def _target(name: str) -> str:
    return TARGETS.get(name, f"bench-{name.replace('_', '-')}")


def main() -> None:
    """Run what is asked for, keep it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", nargs="+", default=[], metavar="NAME", choices=names())
    kept: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    for name in parser.parse_args().run:
        kept[name] = run(name)
        KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
