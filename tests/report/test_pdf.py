from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from insula.core.errors import UsageError
from insula.report import pdf


class Paper:
    """Stands in for WeasyPrint: asks its fetcher for each address and gives what came."""

    asked = ("data:image/png;base64,AAAA",)

    def __init__(self, filename: str, url_fetcher: Any) -> None:
        self.filename, self.fetch = filename, url_fetcher

    def write_pdf(self) -> bytes:
        return b"%PDF " + b" ".join(self.fetch(url)["said"] for url in self.asked)


@pytest.fixture
def weasyprint(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(HTML=Paper, default_url_fetcher=lambda url: {"said": url.encode()})
    monkeypatch.setitem(sys.modules, "weasyprint", made)


@pytest.mark.usefixtures("weasyprint")
def test_a_pdf_stands_beside_its_page(tmp_path: Path) -> None:
    path = pdf.write(tmp_path / "report.html")
    assert path == tmp_path / "report.pdf"
    assert path.read_bytes() == b"%PDF data:image/png;base64,AAAA"


@pytest.mark.usefixtures("weasyprint")
@pytest.mark.parametrize("url", ["https://example.org/x.css", "file:///etc/passwd", "//host/a"])
def test_nothing_beside_the_page_is_read(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Paper, "asked", (url,))
    with pytest.raises(ValueError, match="must need nothing beside itself"):
        pdf.write(tmp_path / "report.html")
    assert not (tmp_path / "report.pdf").exists()


def test_without_weasyprint_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(UsageError, match=r"pip install weasyprint, or print report\.html from a browser"):
        pdf.needed()
