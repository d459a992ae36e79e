"""Writes docs/reference: verbs, recipe keys, tables, variables, Python and REST, each out of the code itself.

.venv/bin/python scripts/reference.py            # or: make docs/reference
.venv/bin/python scripts/reference.py --check    # exits with 1 where a page is not as the code is
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also where a test imports this file
import reference_cli
import reference_python
import reference_recipe
import reference_registry
import reference_rest
import reference_settings

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": reference_cli.page,
    "recipe.md": reference_recipe.page,
    "recipe.schema.json": reference_recipe.schema_text,
    "registry.md": reference_registry.page,
    "settings.md": reference_settings.page,
    "python.md": reference_python.page,
    "rest.md": reference_rest.page,
}


def stale(names: tuple[str, ...] = tuple(PAGES)) -> list[str]:
    """The pages that are not as the code is."""
    return [n for n in names if not (FOLDER / n).is_file() or (FOLDER / n).read_text(encoding="utf-8") != PAGES[n]()]


def main() -> None:
    """Write the pages, or say which are stale."""
    if "--check" in sys.argv:
        found = stale()
        sys.exit(f"Not as the code is: {', '.join(found)}; run: python scripts/reference.py" if found else 0)
    FOLDER.mkdir(exist_ok=True)
    for name, made in PAGES.items():
        (FOLDER / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
