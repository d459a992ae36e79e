from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.report.made_report import plain

from insula.cli.report import report
from insula.core.errors import EvaluationError, UsageError
from insula.report import folder


def run(*words: object) -> str:
    done = CliRunner().invoke(report, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_page_is_written_anew_and_told(tmp_path: Path) -> None:
    page = folder.write_figures(plain(), tmp_path)
    first = page.read_bytes()
    page.write_text("old")
    assert run(tmp_path) == f"Report: {page}\n"
    assert page.read_bytes() == first
    assert json.loads(run(tmp_path, "--json")) == {"report": str(page)}


def test_a_pdf_is_asked_for_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = folder.write_figures(plain(), tmp_path)
    page.write_text("old")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(UsageError, match="WeasyPrint"):
        run(tmp_path, "--pdf")
    assert page.read_text() == "old"


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"has no report\.json"):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []
