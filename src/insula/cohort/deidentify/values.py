"""Stand-ins for values, and which values are sound enough to be kept at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

REMOVED = "REMOVED"
TEXTS = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN", "AE"})
NUMBERS = frozenset({"FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "AT"})
BULK = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "OB or OW", "UN"})
_DUMMIES: dict[str, Any] = {
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "UR": "urn:removed",
    "UN": b"",
    "DS": "0",
    "IS": "0",
}
_NUMBER = re.compile(r"\s*([+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*)?")  # in time that grows as the text does
_CODE = re.compile(r"[A-Za-z0-9_ .\-/+*:#^()]{0,16}")


def dummy(vr: str, keyword: str) -> Any:
    """A valid value of a VR that says nothing (PS3.15, E.1, action D)."""
    if vr == "SQ":
        return Sequence([_item(keyword)])
    if vr in BULK:
        return b"" if vr == "UN" else b"\0\0"
    if vr in NUMBERS:
        return 0
    return _DUMMIES.get(vr, REMOVED)


def element_of(dataset: Dataset, tag: int) -> DataElement | None:
    """An element with its value converted, or None where that fails: pydicom converts when asked."""
    try:
        element = dataset[tag]
        return element if element.VR else None
    except Exception:  # noqa: BLE001 - on a damaged value pydicom raises anything; the caller removes it
        return None


def value_of(dataset: Dataset, keyword: str) -> Any:
    """A value by keyword, or None where it is absent or damaged."""
    tag = tag_for_keyword(keyword)
    element = element_of(dataset, tag) if tag is not None and tag in dataset else None
    return None if element is None else element.value


def texts(value: Any) -> list[str]:
    """The parts of a text value, one by one."""
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]


def sound(vr: str, value: Any) -> bool:
    """Whether a value could be what its VR says: a number or a code that is none may hold anything."""
    if vr in ("DS", "IS"):
        return all(_NUMBER.fullmatch(str(getattr(part, "original_string", part))) for part in _parts(value))
    if vr == "CS":
        return all(_CODE.fullmatch(part) for part in texts(value))
    return True


def _parts(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, MultiValue | list | tuple) else (value,)


def _item(keyword: str) -> Dataset:
    """One item in place of those of a sequence: a code, a text, or nothing at all."""
    made = Dataset()
    if keyword.endswith("CodeSequence"):
        made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = "REMOVED", "99INSULA", "Removed"
    elif keyword == "ContentSequence":
        name = Dataset()
        name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121106", "DCM", "Comment"
        made.RelationshipType, made.ValueType, made.TextValue = "CONTAINS", "TEXT", REMOVED
        made.ConceptNameCodeSequence = Sequence([name])
    return made
