"""Makes the docs site: every page, every link and anchor checked, and nothing in it that asks another machine.

    .venv/bin/python scripts/docs_site.py runs/docs      # or: make docs

Sphinx stops at its first warning: a link or an anchor that leads nowhere, a page that no list names. The site is then
looked through for what a browser would fetch from elsewhere. It works from the disk: open runs/docs/index.html.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "scripts" / "site"
START = "docs/index.html"
_FETCHED = re.compile(  # what a page loads by itself: not what a reader may follow
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data|srcset)\s*=\s*["'](?P<src>[^"']+)"""
    r"""|<link\b(?=[^>]*\brel\s*=\s*["'](?:stylesheet|preload|prefetch|preconnect|icon|shortcut icon|modulepreload))"""
    r"""[^>]*?\bhref\s*=\s*["'](?P<href>[^"']+)"""
    r"""|url\(\s*["']?(?P<url>[^"')]+)|@import\s+["'](?P<css>[^"']+)""",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
_REDIRECT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Insula</title>
<meta http-equiv="refresh" content="0; url={start}"></head>
<body><p><a href="{start}">Insula: the documents</a></p></body></html>
"""


def build(out: Path) -> None:
    """Make the site anew in a folder; SystemExit where Sphinx warns of anything."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as trees:  # what it kept of an earlier run would hold links that were wrong then
        words = ["-W", "--keep-going", "-q", "-j", "2", "-b", "html", "-c", str(CONF), "-d", trees]
        ended = subprocess.run([sys.executable, "-m", "sphinx", *words, str(ROOT), str(out)], check=False)
    if ended.returncode:
        raise SystemExit("The site was not made; mend what is said above.")
    (out / "index.html").write_text(_REDIRECT.format(start=START), encoding="utf-8")


def version() -> str:
    """The version that the pages name."""
    return str(importlib.import_module("insula").__version__)


def fetched_from_elsewhere(out: Path) -> Iterator[tuple[str, str]]:
    """Page → address of another machine that a browser would ask while it shows the page."""
    for path in sorted(out.rglob("*")):
        if path.suffix not in (".html", ".css", ".svg"):
            continue
        for found in _FETCHED.finditer(path.read_text(encoding="utf-8")):
            address = next(value for value in found.groups() if value is not None)
            if _ELSEWHERE.match(address):
                yield path.relative_to(out).as_posix(), address


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "runs" / "docs")
    out = parser.parse_args().out.resolve()
    build(out)
    if asked := list(fetched_from_elsewhere(out)):
        raise SystemExit("\n".join(f"{page} would fetch {address}" for page, address in asked))
    print(f"{sum(1 for _ in out.rglob('*.html'))} pages in {out}; start at {out / 'index.html'}")


if __name__ == "__main__":
    main()
