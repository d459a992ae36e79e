"""Attributes out of the DICOM JSON model (PS3.18, Annex F), from whoever sent them: what is not as it should be is "".

Tags are written as eight digits, as there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from insula.serve.pacs.query import FoundSeries, FoundStudy, count, in_order, printable

_MOST_VALUES: Final = 64
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")  # of a person's name


def values(row: Mapping[str, Any], tag: str) -> list[Any]:
    """The values of an attribute."""
    found = row.get(tag)
    listed = found.get("Value") if isinstance(found, dict) else None
    return listed if isinstance(listed, list) else []


def rows_of(attribute: object) -> list[Mapping[str, Any]]:
    """The items of a sequence."""
    listed = attribute.get("Value") if isinstance(attribute, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def texts(row: Mapping[str, Any], tag: str, longest: int = 64) -> list[str]:
    """The values as text; of a person's name its representations, joined as in a DICOM file."""
    found = []
    for one in values(row, tag)[:_MOST_VALUES]:
        if isinstance(one, dict):
            one = "=".join(str(one.get(group) or "") for group in _GROUPS).rstrip("=")
        if isinstance(one, str | int | float) and (text := printable(one, longest)):
            found.append(text)
    return found


def numbers(row: Mapping[str, Any], tag: str) -> list[int]:
    """The values that are whole numbers, not negative."""
    return [number for text in texts(row, tag) if (number := count(text)) is not None]


def text(row: Mapping[str, Any], tag: str, longest: int = 64) -> str:
    """The first value as text."""
    return next(iter(texts(row, tag, longest)), "")


def studies_of(rows: Sequence[Mapping[str, Any]]) -> list[FoundStudy]:
    """Studies out of a search's rows; a row without a UID is none."""
    return [
        FoundStudy(
            study_uid=uid,
            date=text(row, "00080020", 10),
            time=text(row, "00080030", 16),
            patient_id=text(row, "00100020"),
            patient_name=text(row, "00100010", 200),
            birth_date=text(row, "00100030", 10),
            accession_number=text(row, "00080050", 16),
            modalities=tuple(sorted(set(texts(row, "00080061", 16)))),
            description=text(row, "00081030"),
            series=next(iter(numbers(row, "00201206")), None),
            instances=next(iter(numbers(row, "00201208")), None),
        )
        for row in rows
        if (uid := text(row, "0020000D"))
    ]


def series_of(rows: Sequence[Mapping[str, Any]]) -> tuple[FoundSeries, ...]:
    """Series out of a search's rows, by their numbers."""
    found = [
        FoundSeries(
            series_uid=uid,
            modality=text(row, "00080060", 16),
            number=next(iter(numbers(row, "00200011")), None),
            description=text(row, "0008103E"),
            body_part=text(row, "00180015", 16),
            instances=next(iter(numbers(row, "00201209")), None),
        )
        for row in rows
        if (uid := text(row, "0020000E"))
    ]
    return in_order(found)
