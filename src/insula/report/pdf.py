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
        return import_module("weasyprint")
    except (ImportError, OSError) as error:  # OSError: its own libraries (Pango) are missing
        raise UsageError(
            "A PDF needs WeasyPrint, which cannot be loaded here; pip install weasyprint, or print report.html from a "
            "browser, which gives the same pages."
        ) from error


def write(page: Path) -> Path:
    """Write `report.pdf` beside a page and return its path; nothing but the page itself is read."""
    paper: bytes = needed().HTML(filename=str(page), url_fetcher=_nothing).write_pdf()
    path = page.with_suffix(".pdf")
    provenance.write_bytes(path, paper)
    return path


def _nothing(url: str, *more: Any, **options: Any) -> dict[str, Any]:
    """A fetcher that gives pictures inside the page and no address of anything else."""
    if not url.startswith("data:"):
        raise ValueError(f"The page asks for '{url[:60]}', and it must need nothing beside itself.")
    found: dict[str, Any] = needed().default_url_fetcher(url, *more, **options)
    return found
