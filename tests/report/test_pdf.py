from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from insula.core.errors import UsageError
from insula.report import pdf


class Fetcher:
    """Stands in for WeasyPrint's: keeps what it was allowed."""

    def __init__(self, allowed_protocols: tuple[str, ...], fail_on_errors: bool) -> None:
        self.allowed = allowed_protocols


class Paper:
    """Stands in for WeasyPrint's page: a file that says what it was made from."""

    def __init__(self, string: str, url_fetcher: Fetcher) -> None:
        self.text, self.fetcher = string, url_fetcher

    def write_pdf(self) -> bytes:
        return f"%PDF {self.text} {self.fetcher.allowed}".encode()


def installed(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", SimpleNamespace(HTML=Paper, **parts))


def test_a_pdf_stands_beside_its_page_and_nothing_else_may_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, URLFetcher=Fetcher)
    (tmp_path / "report.html").write_text("<p>ä</p>", encoding="utf-8")
    path = pdf.write(tmp_path / "report.html")
    assert path == tmp_path / "report.pdf"
    assert path.read_text(encoding="utf-8") == "%PDF <p>ä</p> ('data',)"


@pytest.mark.parametrize("there", [False, True])
def test_without_a_recent_weasyprint_the_way_out_is_told(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    if there:  # one that cannot be kept from fetching
        installed(monkeypatch)
    with pytest.raises(UsageError, match=r"pip install 'weasyprint>=68', or print report\.html from a browser"):
        pdf.needed()
