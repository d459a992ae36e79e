"""Numbers, tables and lines of docs/scale.md."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

DAY, HOUR, WIDTH = 86400.0, 3600.0, 120


def wrapped(lines: Sequence[str]) -> list[str]:
    """Prose at 120 columns; tables, headings and code as they are."""
    found, code = [], False
    for line in lines:
        code ^= line.startswith("```")
        if code or len(line) <= WIDTH or line.startswith(("|", "#")):
            found.append(line)
        else:
            more = "  " if line.startswith("- ") else ""
            found += textwrap.wrap(line, WIDTH, subsequent_indent=more, break_on_hyphens=False, break_long_words=False)
    return found


def about(number: float) -> str:
    """A number of studies in two digits."""
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.0f}"


def seconds(value: float) -> str:
    """A time in words."""
    for most, unit, name in ((1.0, 1e-3, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min"), (2 * DAY, HOUR, "h")):
        if value < most:
            told = value / unit
            return f"{told:.1f} {name}" if told < 9.95 and name != "ms" else f"{told:,.0f} {name}"
    return f"{value / DAY:,.1f} days"


def size(value: float) -> str:
    """Bytes in words, in powers of ten."""
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}" if value / unit < 999.5 else f"{value / unit:,.0f} {name}"
    return f"{value:.0f} B"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table, its first column to the left."""
    ruled = "|".join(["---", *("---:" for _ in head[1:])])
    return [f"| {' | '.join(head)} |", f"|{ruled}|", *(f"| {' | '.join(row)} |" for row in rows)]
