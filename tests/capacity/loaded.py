"""The scripts as modules; they import each other by their names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_SCRIPTS = str(Path(__file__).parents[2] / "scripts")


def script(name: str) -> ModuleType:
    """A script as a module."""
    if _SCRIPTS not in sys.path:
        sys.path.insert(0, _SCRIPTS)
    return importlib.import_module(name)
