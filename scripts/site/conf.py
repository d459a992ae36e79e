"""How Sphinx makes the docs site out of the Markdown as it lies in the repository; see scripts/docs_site.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "src")]

import order  # noqa: E402

import insula  # noqa: E402

project = "Insula"
author = "The Insula authors"
copyright = "The Insula authors; Apache-2.0"  # noqa: A001 - Sphinx's name
version = release = insula.__version__
extensions = ["myst_parser"]
root_doc = order.ROOT_PAGE
include_patterns = ["docs/**.md", *(f"{name}.md" for name in order.top())]
exclude_patterns = [".*", "**/.*", "node_modules", "runs", "src", "tests", "web", "benchmarks", "scripts", "dist"]
myst_heading_anchors = 4  # the anchors of code hosts, as the service's own pages have them
smartquotes = False  # two hyphens begin an option
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]  # JSON with an ellipsis in it
html_theme = "furo"
html_title = f"Insula {release}"
html_baseurl = ""
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None  # so that the same sources give the same pages
html_static_path = ["static"]
html_css_files = ["insula.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c7a", "color-brand-content": "#0b5c7a"},
    "dark_css_variables": {"color-brand-primary": "#7cc7e0", "color-brand-content": "#7cc7e0"},
    "footer_icons": [],
}


def _with_contents(_: Any, name: str, source: list[str]) -> None:
    """The start page gets the contents of the site, which stand in `order`; in the file itself they would be noise."""
    if name == root_doc:
        source[0] += "\n\n" + "\n\n".join(
            "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *(f"/{page}" for page in pages), "```"])
            for caption, pages in order.contents()
        )


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _with_contents)
