"""The case report as a tagged PDF."""

from __future__ import annotations

from typing import Final

from insula.report import pdf
from insula.report.case.page import case_html
from insula.report.case.record import CaseReport

VARIANT: Final = (
    "pdf/ua-1"  # ISO 14289-1: structure, language, titles and alternative texts for those who cannot see it
)


def case_pdf(report: CaseReport) -> bytes:
    """The page of the report on A4 paper, tagged as PDF/UA-1; nothing is fetched for it.

    UsageError where WeasyPrint is missing, and for a language that the report does not speak.
    """
    return pdf.printed(case_html(report), VARIANT)
