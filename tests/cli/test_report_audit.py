"""`insula report` on a folder of an audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.test_report import run
from tests.report import made_audit, made_report

from insula.report import audit_page, folder


def test_the_pages_of_an_audit_are_written_anew_and_told(tmp_path: Path) -> None:
    page, sheet, *_ = audit_page.write(made_audit.plain(), tmp_path)
    first = page.read_bytes(), sheet.read_bytes()
    page.write_text("old")
    sheet.unlink()
    assert run(tmp_path) == f"Audit: {page}\nSummary: {sheet}\n"
    assert (page.read_bytes(), sheet.read_bytes()) == first
    assert json.loads(run(tmp_path, "--json")) == {"audit": str(page), "summary": str(sheet)}


def test_an_evaluation_and_an_audit_in_one_folder_are_both_written_anew(tmp_path: Path) -> None:
    report = folder.write_figures(made_report.plain(), tmp_path)
    page, sheet, *_ = audit_page.write(made_audit.plain(), tmp_path)
    told = json.loads(run(tmp_path, "--json"))
    assert told == {"report": str(report), "audit": str(page), "summary": str(sheet)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_page_of_an_audit_becomes_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")
    audit_page.write(made_audit.empty(), tmp_path)
    told = json.loads(run(tmp_path, "--pdf", "--json"))
    for key in ("audit", "summary"):
        made = Path(told[f"{key}_pdf"])
        assert made == tmp_path / f"{key}.pdf"
        assert made.read_bytes().startswith(b"%PDF-")
