"""`insula report`: the pages of an evaluation anew, from what it left in its folder."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--pdf", is_flag=True, help="Write report.pdf as well; needs WeasyPrint.")
@json_option
def report(folder: Path, pdf: bool, as_json: bool) -> None:
    """Write report.html, model-card.md and checklists.json of FOLDER anew.

    FOLDER is what evaluate, crossval, demo or compare wrote. Every figure comes from its report.json, and its
    cases.parquet must be the table that they were made from; no model and no scan is needed.
    """
    from insula.report import folder as reports
    from insula.report import pdf as paper

    if pdf:
        paper.needed()
    page = reports.rewrite(folder)
    data = {"report": str(page)}
    text = f"Report: {page}"
    if pdf:
        written = paper.write(page)
        data["pdf"] = str(written)
        text += f"\nPDF: {written}"
    emit(as_json, data, text)
