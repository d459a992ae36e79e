"""`insula leaks`: duplicates of a cohort, as pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from insula.cli.cohort import FAILED, plural
from insula.cli.output import emit, json_option, progress


@click.command()
@click.argument("cohort", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for leaks.html, leaks.json and pairs.csv.",
)
@click.option(
    "--slices",
    type=click.Choice(["middle", "all"]),
    default="middle",
    show_default=True,
    help="Compare up to three slices around the middle of each scan, or all of them.",
)
@click.option(
    "--pairs",
    "shown",
    type=click.IntRange(1, 2000),
    default=120,
    show_default=True,
    help="Pairs to show as pictures; pairs.csv has all of them.",
)
@json_option
def leaks(cohort: Path, out: Path, slices: str, shown: int, as_json: bool) -> None:
    """Look for what COHORT holds twice: patients and studies in two splits, identical files, near-duplicates.

    The exit code is 31 when the verdict is "fail": something crosses splits, or one picture has two labels.
    """
    from insula.cohort import leak_page, leak_words
    from insula.cohort.leaks import find
    from insula.cohort.table import load

    table = load(cohort)
    report = find(table, progress, "all" if slices == "all" else "middle")
    page = leak_page.write(report, table, out, shown, progress)
    compared = f"{plural(report.pictures, 'picture')} of {plural(report.looked_at, 'case')} compared"
    lines = [f"Leaks: {report.verdict} ({compared})"]
    lines += [f"  {kind.line}" for kind in leak_words.kinds(report)]
    lines += [f"  cannot be told: {reason}" for reason in leak_words.unknown(report)]
    lines += [f"Next: {step}" for step in leak_words.steps(report)]
    lines.append(f"Wrote {page}, leaks.json and pairs.csv")
    emit(as_json, report.to_dict() | {"page": str(page)}, "\n".join(lines))
    if report.verdict == "fail":
        sys.exit(FAILED)
