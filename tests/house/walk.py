"""The project's own text files, whether they are committed yet or not."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


def texts() -> dict[str, str]:
    """Path from the root → content, without what .gitignore leaves out and without files that are no UTF-8 text."""
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]
    found = {}
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = sorted(
            name
            for name in folders
            if not any(fnmatch(given, rule) for rule in ignored for given in (name, (here / name).as_posix()))
        )
        for path in (Path(folder) / name for name in sorted(files)):
            try:
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue
    return found
