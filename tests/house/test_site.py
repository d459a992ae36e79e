"""The docs site, without making it: `make docs` does, and stops at every warning."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.capacity.loaded import script
from tests.house.walk import ROOT, texts

sys.path.insert(0, str(ROOT / "scripts" / "site"))
site, order = script("docs_site"), script("order")


def test_every_page_stands_once_in_the_contents() -> None:
    pages = order.pages()
    assert len(pages) == len(set(pages))
    there = {name.removesuffix(".md") for name in texts() if name.startswith("docs/") and name.endswith(".md")}
    assert {page for page in pages if page.startswith("docs/")} == there, "name a new page in serve/web/library.py"
    assert {"README", "CHANGELOG", "SECURITY"} <= set(pages)
    assert pages[:2] == ["docs/index", "docs/quick-start"]


def test_what_a_browser_would_fetch_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.html").write_text(
        '<link rel="stylesheet" href="../_static/a.css"><script src="b.js"></script><img src="c.png">'
        '<a href="https://example.org">may be followed</a><link rel="canonical" href="https://example.org/x">'
    )
    assert list(site.fetched_from_elsewhere(tmp_path)) == []
    planted = {
        "script.html": '<script async src="https://cdn.example/x.js">',
        "style.html": '<link href="//cdn.example/x.css" rel="stylesheet">',
        "picture.html": '<p><img alt="x" src="http://example.org/x.png">',
        "font.css": "@font-face{src:url(https://fonts.example/x.woff2)}",
        "import.css": '@import "https://fonts.example/x.css";',
    }
    for name, text in planted.items():
        (tmp_path / name).write_text(text)
    assert {page for page, _ in site.fetched_from_elsewhere(tmp_path)} == set(planted)
