"""pydicom's own test files, those that its wheel brings and none that it would download."""

from __future__ import annotations

from pathlib import Path

import pydicom.data

ROOT = Path(pydicom.data.__file__).parent


def bundled(name: str) -> Path:
    return next(path for path in sorted((ROOT / "test_files").rglob(name)) if path.is_file())


def files() -> dict[str, Path]:
    """Path below pydicom's data folder → path, for every file of its three test sets."""
    found = [p for d in ("test_files", "charset_files", "palettes") for p in sorted((ROOT / d).rglob("*"))]
    return {p.relative_to(ROOT).as_posix(): p for p in found if p.is_file() and p.suffix not in (".py", ".pyc")}
