"""Lines of CSV (RFC 4180) that a spreadsheet takes for text and for nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from insula.core.cells import harmless


def line(cells: Iterable[str]) -> str:
    """One line, every cell quoted and made harmless."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(harmless(cell) for cell in cells)
    return text.getvalue()
