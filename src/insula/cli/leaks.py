"""`insula leaks`: duplicates of a cohort, as pictures."""

from __future__ import annotations

from pathlib import Path

import click

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
    """Look for what COHORT holds twice: patients and studies in two splits, identical files, near-duplicates."""
    from insula.cohort import leak_page
    from insula.cohort.leaks import find
    from insula.cohort.table import load

    table = load(cohort)
    report = find(table, progress, "all" if slices == "all" else "middle")
    page = leak_page.write(report, table, out, shown, progress)
    lines = [f"Leaks: {report.verdict}", f"  {report.pictures} pictures of {report.looked_at} cases compared"]
    lines += [f"  {line}" for line in report.lines]
    if not report.split:
        lines.append("  the cohort is not split yet: nothing can cross splits")
    if not report.patient_ids:
        lines.append("  patients are not known: leaks of patients cannot be seen")
    lines.append(f"Wrote {page}, leaks.json and pairs.csv")
    emit(as_json, report.to_dict() | {"page": str(page)}, "\n".join(lines))
