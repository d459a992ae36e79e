"""Where a bundle made of another one goes: judged before the work that makes it, which may take hours."""

from __future__ import annotations

from pathlib import Path

from insula.bundle.layout import MANIFEST
from insula.core.errors import UsageError


def check_goal(out: Path, given: Path) -> None:
    """UsageError unless `out` is a new or an empty folder, and neither `given`, the bundle it is made of, nor in it."""
    if given.resolve() in (goal := out.resolve(), *goal.parents):
        where = "is" if goal == given.resolve() else "is in"
        raise UsageError(f"'{out}' {where} the bundle that the new one is made of; give --out another folder.")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"'{out}' is there already and no folder; give --out another name.")
    if (out / MANIFEST).exists():
        raise UsageError(
            f"'{out}' is there already and holds a bundle, which would be replaced; remove it, or give --out another "
            "folder."
        )
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"'{out}' is there already and holds other things; give --out a new folder.")
