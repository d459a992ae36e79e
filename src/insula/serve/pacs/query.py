"""What a peer is asked for, and the studies and series that it answers with, alike for DICOM and DICOMweb."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from typing import Final

from insula.core.errors import UsageError

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")  # PS3.5, section 9.1, and with the leading zeros of old scanners
MOST: Final = 1000  # studies that one question may bring
_LONGEST: Final = {"patient_id": 64, "patient_name": 64, "accession_number": 16, "description": 64, "modality": 16}


@dataclass(frozen=True)
class Query:
    """Which studies are looked for; what is "" or None is not asked about. `*` and `?` stand for any characters.

    patient_name and description fit from their beginning and anywhere, where they hold neither `*` nor `?`.
    modality: one that the study has among its series. limit: so many studies at most.
    """

    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_uid: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = ""
    description: str = ""
    limit: int = 100

    @property
    def dates(self) -> str:
        """The range of study dates as DICOM writes it (PS3.4 C.2.2.2.5), "" for any date."""
        if self.since is None and self.until is None:
            return ""
        return "-".join("" if day is None else day.strftime("%Y%m%d") for day in (self.since, self.until))


@dataclass(frozen=True)
class FoundStudy:
    """A study as a peer tells of it; series and instances None where it does not count them."""

    study_uid: str
    date: str = ""
    time: str = ""
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    accession_number: str = ""
    modalities: tuple[str, ...] = ()
    description: str = ""
    series: int | None = None
    instances: int | None = None


@dataclass(frozen=True)
class FoundSeries:
    """A series as a peer tells of it."""

    series_uid: str
    modality: str = ""
    number: int | None = None
    description: str = ""
    body_part: str = ""
    instances: int | None = None


@dataclass(frozen=True)
class Studies:
    """The studies that fit, the newest first. more: there are others beyond the limit."""

    studies: tuple[FoundStudy, ...]
    more: bool = False


def checked(query: Query) -> Query:
    """The question with wildcards where they are meant. Raises UsageError for what no DICOM value can be."""
    for name, longest in _LONGEST.items():
        text = str(getattr(query, name))
        if len(text) > longest or "\\" in text or any(unicodedata.category(c) == "Cc" for c in text):
            raise UsageError(
                f"The {name.replace('_', ' ')} that is looked for has {len(text)} characters; at most {longest} are "
                "allowed, and no backslash nor control character among them."
            )
    if query.study_uid:
        check_uid(query.study_uid)
    if query.since and query.until and query.since > query.until:
        raise UsageError(f"The first day {query.since} is after the last, {query.until}; exchange them.")
    if not 1 <= query.limit <= MOST:
        raise UsageError(f"The limit {query.limit} is outside 1 to {MOST}; ask for less, or by a narrower question.")
    values = {one.name: getattr(query, one.name) for one in fields(query)}
    values = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    for name, before in (("patient_name", ""), ("description", "*")):
        if values[name] and not set("*?") & set(values[name]):
            values[name] = f"{before}{values[name]}*"
    return Query(**values)


def check_uid(uid: str) -> None:
    """Refuse what is no UID, before it gets into a question or an address. Raises UsageError."""
    if not is_uid(uid):
        raise UsageError(f"'{printable(uid, 64)}' is no UID; copy the study's from the list that find gives.")


def is_uid(text: str) -> bool:
    """Whether a text is a UID, without blanks or anything else around it."""
    return len(text) <= 64 and bool(_UID.fullmatch(text))


def newest_first(studies: Iterable[FoundStudy]) -> tuple[FoundStudy, ...]:
    """By date and time, those without a date last."""
    return tuple(sorted(studies, key=lambda one: (one.date, one.time), reverse=True))


def in_order(series: Iterable[FoundSeries]) -> tuple[FoundSeries, ...]:
    """Series by their numbers, those without one last."""
    return tuple(sorted(series, key=lambda one: (one.number is None, one.number or 0, one.series_uid)))


def printable(value: object, longest: int) -> str:
    """Text of a peer without control characters and marks that turn its direction, cut to a length."""
    text = "".join(c for c in str(value) if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return text.strip()[:longest]


def count(value: object) -> int | None:
    """A count that a peer gives, None for what is none."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
