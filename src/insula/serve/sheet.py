"""Lines of CSV (RFC 4180) that a spreadsheet takes for text and for nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def line(cells: Iterable[str]) -> str:
    """One line, every cell quoted and made harmless (`harmless`)."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(harmless(cell) for cell in cells)
    return text.getvalue()


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, and that any encoding of Unicode can hold.

    One that would be taken so starts with an apostrophe, as OWASP advises (CSV injection).
    """
    shown = text.encode("utf-8", "backslashreplace").decode()
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown
