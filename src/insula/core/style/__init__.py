"""The one style sheet of the pages: light and dark, for a phone and for A4 paper."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sheet() -> str:
    """The style sheet as text, to be written into the head of a page; it names no address of any other file."""
    return files("insula.core").joinpath("style", "insula.css").read_text(encoding="utf-8")
