"""In what order the pages of the site stand: that of the shelves on which the service shows the same documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from insula.serve.web.library import SHELVES

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGE = "docs/index"
_OF_THE_PROJECT = ("CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY")


def contents() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Caption → pages by their paths without suffix, the start page left out."""
    for caption, names in SHELVES.items():
        yield caption, tuple(page for name in names if (page := _page(name)) != ROOT_PAGE)
    results = sorted(path.stem for path in (ROOT / "docs" / "results").glob("*.md"))
    yield "What was measured", tuple(f"docs/results/{name}" for name in results)
    yield "The project", tuple(name for name in _OF_THE_PROJECT if (ROOT / f"{name}.md").is_file())


def top() -> tuple[str, ...]:
    """The pages that lie beside `docs` and not in it."""
    return tuple(page for _, pages in contents() for page in pages if "/" not in page)


def pages() -> list[str]:
    """Every page of the site in its order."""
    return [ROOT_PAGE, *(page for _, pages in contents() for page in pages)]


def _page(name: str) -> str:
    return name.upper() if name in ("readme", "changelog") else f"docs/{name}"
