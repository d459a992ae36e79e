"""Cells of CSV that a spreadsheet takes for text and for nothing else (OWASP: CSV injection)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_NUMBER: Final = re.compile(r"[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?")  # which is one in any spreadsheet
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, and that any encoding of Unicode can hold.

    One that would be taken so starts with an apostrophe, as OWASP advises (CSV injection).
    """
    shown = text.encode("utf-8", "backslashreplace").decode()
    return f"'{shown}" if _is_formula(shown) else shown


def row(cells: Iterable[Any]) -> list[Any]:
    """The cells of a line, texts made harmless."""
    return [harmless(cell) if isinstance(cell, str) else cell for cell in cells]


def sheet(frame: Any) -> Any:
    """A table of pandas, the texts in it and the names of its columns made harmless."""
    made = frame.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    made.columns = row(frame.columns)
    return made


def guarded(text: str) -> str:
    """As `harmless`, for a table that is read back: `unguarded` gives the very text again."""
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    return text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text)
