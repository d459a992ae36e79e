"""The table of what was tried against Insula: how often, what failed, and how high the true share may still be.

Usage: python scripts/reliability.py runs/faults [--write docs/reliability.md]; the exit code is 1 where a try failed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults.tally import Rates, Tries, read

from insula.metrics.intervals import clopper_pearson

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
HEAD = ("what", "tried", "lost", "doubled", "leaked", "crashed", "failed otherwise", "at most (95%)", "measured")
RATES = ("what", "tried", "refused", "flagged", "taken as sound", "taken, at most (95%)", "met", "goal", "measured")
TITLES = {  # of groups whose file's name makes no good heading
    "http": "HTTP",
    "postgresql": "PostgreSQL",
    "files_network": "Files over the network",
    "privacy_network": "Privacy over the network",
    "storage_node": "Storage of the node",
    "kills_batch": "Kills of a batch",
    "kills_decoder": "Kills of a decoder",
    "kills_server": "Kills of the server",
    "kills_trainer": "Kills of a training",
    "kills_worker": "Kills of a worker",
    "disk_commands": "Disks of commands",
    "not_yours": "Rows of others",
    "own_answers": "Answers of one's own",
}
GOAL = re.compile(r"(?:at least )?(\d+)% (refused or flagged|refused|taken)\b")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, and write them between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the tries are, runs/faults")
    parser.add_argument("--write", type=Path, help="a document with the two marks, into which the tables go")
    told = parser.parse_args(arguments)
    tries, rates = read(told.folder)
    text = tables(tries, rates)
    print(text)
    if told.write:
        before, _, rest = told.write.read_text(encoding="utf-8").partition(BEGIN)
        told.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return int(any(one.failures for one in tries))


def tables(tries: Sequence[Tries], rates: Sequence[Rates]) -> str:
    """All tries, a table a group, and all wrong inputs, as Markdown."""
    parts = []
    for group in dict.fromkeys(one.group for one in tries):
        rows = [_tries(one) for one in tries if one.group == group]
        title = TITLES.get(group, group.replace("_", " ").capitalize())
        parts.append(f"### {title}\n\n{_table(HEAD, rows)}")
    if rates:
        parts.append(f"### Rates of wrong inputs\n\n{_table(RATES, [_rates(one) for one in rates])}")
    total, failures = sum(one.tried for one in tries), sum(one.failures for one in tries)
    kinds = ("lost", "doubled", "leaked", "crashed", "failed")
    sums = ", ".join(f"{sum(getattr(one, kind) for one in tries):,} {kind}" for kind in kinds)
    parts.append(f"{total:,} tries of {len(tries)} kinds, {failures:,} failures: {sums}.")
    return "\n\n".join(parts)


def upper(failures: int, tried: int) -> float:
    """The one-sided upper end, at 95%, of the true share of failures (Clopper and Pearson)."""
    return clopper_pearson(failures, tried, 0.90)[1]


def _tries(one: Tries) -> tuple[str, ...]:
    numbers = (one.tried, one.lost, one.doubled, one.leaked, one.crashed, one.failed)
    return (one.what, *(f"{n:,}" for n in numbers), _share(upper(one.failures, one.tried)), _figures(one.figures))


def _rates(one: Rates) -> tuple[str, ...]:
    counts = tuple(f"{n:,}" for n in (one.tried, one.refused, one.flagged, one.taken))
    return (one.what, *counts, _share(upper(one.taken, one.tried)), met(one), one.goal, _figures(one.figures))


def met(one: Rates) -> str:
    """Whether the goal in a row's words was met by its counts; a dash where there is none."""
    found = GOAL.match(one.goal)
    if found is None:
        return "–"
    reached = {"refused": one.refused, "refused or flagged": one.refused + one.flagged, "taken": one.taken}[found[2]]
    return "yes" if 100 * reached >= int(found[1]) * one.tried else "**no**"


def _share(value: float) -> str:
    return f"{100 * value:.3g}%"


def _figures(figures: Mapping[str, float | str]) -> str:
    return "; ".join(f"{name} {v:,.4g}" if isinstance(v, float) else f"{name} {v}" for name, v in figures.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    words = ("what", "met", "goal", "measured")
    rule = tuple("---" if name in words else "---:" for name in head)
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in (head, rule, *rows))


if __name__ == "__main__":
    sys.exit(main())
