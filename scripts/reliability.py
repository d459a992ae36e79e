"""The table of what was tried against Insula: how often, what failed, and how high the true share may still be.

Usage: python scripts/reliability.py runs/faults [--write docs/reliability.md]; the exit code is 1 where a try or a test
failed or no row is there, and 2 where the folder holds no tries at all.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults.tally import FILE, PLACE, Origin, Rates, Tries, Written, read

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
    file = told.folder / FILE
    if not file.is_file() or not file.stat().st_size:
        print(f"{file} is not there or empty, so that there is no table of tries: ", end="", file=sys.stderr)
        print(f"run make test-faults, or tests with {PLACE}={told.folder}, first", file=sys.stderr)
        return 2
    found = read(told.folder)
    text = f"{tables(found.tries, found.rates)}\n\n{below(found)}"
    print(text)
    if told.write:
        before, _, rest = told.write.read_text(encoding="utf-8").partition(BEGIN)
        told.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    rows = len(found.tries) + len(found.rates)
    return int(not rows or any(one.wrong for one in found.tries) or any(one.end == "failed" for one in found.ends))


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


def below(found: Written) -> str:
    """What the tables do not show: where their rows are from, which failed before, and tests that left none."""
    counts = sorted(found.origins.items(), key=lambda item: (item[0].date, item[0].commit))
    origins = "; ".join(f"{_origin(origin)}: {count:,}" for origin, count in counts)
    held = "1 row of earlier runs" if found.superseded == 1 else f"{found.superseded:,} rows of earlier runs"
    parts = [
        f"Rows by when they were measured: {origins or 'none'}.",
        f"{held} held failures; the newest run of each kind counts.",
    ]
    if failed := [f"- `{one.test}`" for one in found.ends if one.end == "failed"]:
        parts.append("Tests whose newest run failed:\n\n" + "\n".join(failed))
    if skipped := [f"- `{one.test}`: {one.reason or 'no reason given'}" for one in found.ends if one.end == "skipped"]:
        parts.append("Tests that were skipped, so that any row of theirs is an earlier one:\n\n" + "\n".join(skipped))
    return "\n\n".join(parts)


def _origin(origin: Origin) -> str:
    return f"{origin.date or 'before rows had a date'}{' at ' if origin.commit else ''}{origin.commit}"


def upper(failures: int, tried: int) -> float:
    """The one-sided upper end, at 95%, of the true share of failures (Clopper and Pearson)."""
    return clopper_pearson(failures, tried, 0.90)[1] if tried else 1.0


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
