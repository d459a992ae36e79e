"""How the pages write instants, shares and sizes: alike everywhere, so that they can be compared down a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final


def moment(at: datetime | None) -> str:
    """An instant as `2026-01-31 08:05 UTC`; a dash for none."""
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def day(at: datetime | None) -> str:
    """The day of an instant (UTC)."""
    return "–" if at is None else f"{at:%Y-%m-%d}"


def dicom_day(text: str) -> str:
    """A day as DICOM writes it (20260131) as `2026-01-31`; what is none as it is, a dash for nothing."""
    if len(text) == 8 and text.isascii() and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text or "–"


def person(name: str) -> str:
    """A name as DICOM writes it (PS3.5, 6.2.1) as people do: `Yamada, Tarou (山田, 太郎)` for `Yamada^Tarou=山田^太郎`.

    The second of its component groups is that in ideographs; the third, the sounds, is left out where another is there.
    """
    groups = [_written(group) for group in name.split("=")]
    shown = list(dict.fromkeys(one for one in groups[:2] if one)) or [one for one in groups[2:3] if one] or ["–"]
    return f"{shown[0]} ({shown[1]})" if len(shown) > 1 else shown[0]


def _written(group: str) -> str:
    family, given, middle, before, after = ([part.strip() for part in group.split("^")] + [""] * 5)[:5]
    others = " ".join(part for part in (before, given, middle, after) if part)
    return f"{family}, {others}" if family and others else family or others


def share(value: float | None) -> str:
    """A probability with two digits: 0.87. What rounds to 0 or 1 and is neither is said so (<0.01, >0.99)."""
    if value is None:
        return "–"
    if 0.0 < value < 0.005:
        return "<0.01"
    if 0.995 <= value < 1.0:
        return ">0.99"
    return f"{value:.2f}"


def size(count: int) -> str:
    """Bytes in the unit that leaves few digits: 512 B, 3.4 MB (powers of 1000, as IEC 80000-13 has them)."""
    value, units = float(count), ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        if value < 1000.0 or unit == units[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000.0
    raise AssertionError("unreachable")


def thousands(count: int) -> str:
    """A count in groups of three digits, parted by a narrow space (ISO 80000-1), as every language reads it."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def short_id(name: str) -> str:
    """The first eight digits of an id, enough to tell apart what stands on one page; the whole goes into a title."""
    return name[:8]


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "moment": moment,
    "day": day,
    "dicom_day": dicom_day,
    "person": person,
    "share": share,
    "size": size,
    "thousands": thousands,
    "short_id": short_id,
}
