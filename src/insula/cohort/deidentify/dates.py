"""Dates and ages: the same shift for all of a patient's dates, so that the days between them stay."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DA = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{0,6}(?:\.\d{1,6})?)?([+-]\d{4})?")
_TM = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?")
_ZONE = re.compile(r"[+-]\d{4}")
_AS = re.compile(r"(\d{3})([DWMY])")
_OLDEST = 89


def shift(vr: str, value: str, days: int) -> str | None:
    """A value of VR DA, DT or TM (PS3.5, 6.2) moved by whole days; None for one that is no such value.

    A time of day stays, and so does a zone. A DT that gives only a year or month keeps that precision: it is moved as
    if it were the first of it.
    """
    text = value.strip()
    if vr == "TM":
        return text if _TM.fullmatch(text) else None
    if vr == "SH":  # the zone of Timezone Offset From UTC
        return text if _ZONE.fullmatch(text) else None
    if vr == "DA":
        match = _DA.fullmatch(text)
        moved = _moved(match[1], match[2], match[3], days) if match else None
        return f"{moved:%Y%m%d}" if moved else None
    match = _DT.fullmatch(text)
    if match is None:
        return None
    year, month, day, time, zone = match.groups(default="")
    moved = _moved(year, month or "01", day or "01", days)
    if moved is None:
        return None
    if day:
        return f"{moved:%Y%m%d}{time}{zone}"
    return (f"{moved:%Y%m}" if month else f"{moved:%Y}") + zone


def capped(age: str) -> str | None:
    """An age (VR AS) as it is up to 89 years, and `090Y` above; None for a value that is no age."""
    match = _AS.fullmatch(age.strip())
    if match is None:
        return None
    return "090Y" if match[2] == "Y" and int(match[1]) > _OLDEST else match[0]


def capped_years(years: str) -> str:
    """A number of years from a table: `90+` above 89, empty where it is no number."""
    try:
        return "90+" if float(years) > _OLDEST else years
    except ValueError:
        return ""


def _moved(year: str, month: str, day: str, days: int) -> date | None:
    try:
        return date(int(year), int(month), int(day)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
