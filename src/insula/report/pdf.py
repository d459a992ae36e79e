"""A page as PDF, by WeasyPrint where it is installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from insula.core import provenance
from insula.core.errors import UsageError


def needed() -> Any:
    """WeasyPrint; UsageError says how to come by it, or how to do without."""
    try:
        found = import_module("weasyprint")
        found.URLFetcher  # noqa: B018 (what keeps it from reading beside the page; older ones lack it)
    except (ImportError, OSError, AttributeError) as error:  # OSError: its own libraries (Pango) are missing
        raise UsageError(
            "A PDF needs a recent WeasyPrint, which cannot be loaded here; pip install 'weasyprint>=68', or print "
            "report.html from a browser, which gives the same pages."
        ) from error
    return found


def printed(text: str, variant: str = "") -> bytes:
    """A page's text as PDF; no file and no address is read for it. variant: of WeasyPrint's, such as `pdf/ua-1`."""
    made = needed()
    inside_only = made.URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    asked = {"pdf_variant": variant} if variant else {}
    paper: bytes = made.HTML(string=text, url_fetcher=inside_only).write_pdf(**asked)
    return paper


def write(page: Path) -> Path:
    """Write `report.pdf` beside a page and return its path; no other file and no address is read for it."""
    path = page.with_suffix(".pdf")
    provenance.write_bytes(path, printed(page.read_text(encoding="utf-8")))
    return path
