"""`insula report`: the pages of an evaluation, a comparison or an audit anew, from what it left in its folder."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option
from insula.core.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--pdf", is_flag=True, help="Write each page as PDF as well; needs WeasyPrint.")
@click.option(
    "--audit",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of an audit of the same bundle, for the model card of an evaluation.",
)
@json_option
def report(folder: Path, pdf: bool, audit: Path | None, as_json: bool) -> None:
    """Write report.html, model-card.md and checklists.json of FOLDER anew, or audit.html and summary.html.

    FOLDER is what evaluate, crossval, demo, compare or audit wrote. Every figure comes from its report.json, and its
    cases.parquet must be the table that they were made from; of an audit from its audit.json. No model and no scan is
    needed. With --audit the card tells what the audit found, then and whenever it is written anew.
    """
    from insula.report import audit_page
    from insula.report import folder as reports
    from insula.report import pdf as paper
    from insula.report.record import FIGURES

    if pdf:
        paper.needed()
    pages: dict[str, Path] = {}
    if (folder / FIGURES).is_file() or not audit_page.is_one(folder):
        pages["report"] = reports.rewrite(folder, audit)
    elif audit:
        raise UsageError(f"'{folder}' holds an audit; give --audit with the folder of the evaluation it belongs to.")
    if audit_page.is_one(folder):
        pages["audit"], pages["summary"] = audit_page.rewrite(folder)
    data, lines = {name: str(page) for name, page in pages.items()}, []
    for name, page in pages.items():
        lines.append(f"{name.capitalize()}: {page}")
        if pdf:
            written = paper.write(page)
            data["pdf" if name == "report" else f"{name}_pdf"] = str(written)
            lines.append(f"PDF: {written}")
    emit(as_json, data, "\n".join(lines))
