"""A data set that somebody sends in the DICOM JSON model (PS3.18, Annex F): checked, and written as we keep it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from insula.serve.faults import RequestError

MOST_BYTES: Final = 1 << 20
_TAG: Final = re.compile(r"[0-9A-F]{8}")
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_NAMED: Final = re.compile(r"[0-9]+(\.[0-9]+)*")  # of what lies somewhere already; old scanners' have leading zeros
_DEEPEST, _MOST_PARTS, _LONGEST = 8, 5000, 10_240
_NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_TEXTS: Final = frozenset({"AE", "AS", "AT", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NAMES: Final = frozenset({"Alphabetic", "Ideographic", "Phonetic"})
Attributes = dict[str, dict[str, Any]]


def dataset_of(body: bytes) -> Attributes:
    """The one data set of a request's body, tags in capital letters and in their order.

    Raises RequestError 400 for what is none: no JSON, several data sets, names that are no tags, values that do not go
    with their VR, binary values (PS3.18, section 11.1.3 allows no bulk data), or more than a work item holds.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise wrong("it is no JSON") from error
    if isinstance(found, list):
        if len(found) != 1:
            raise wrong(f"it holds {len(found)} data sets; send one")
        found = found[0]
    return _Reader().item(found, 1)


def wrong(why: str) -> RequestError:
    """The body is no data set that can be taken."""
    return RequestError(400, "bad_dataset", f"The request's body is no data set that is taken: {why}.")


class _Reader:
    def __init__(self) -> None:
        self._count = 0

    def item(self, found: Any, depth: int) -> Attributes:
        """One item with all that is in it."""
        if not isinstance(found, Mapping) or depth > _DEEPEST:
            raise wrong(f"it is no object of attributes, at most {_DEEPEST} deep")
        self._count += len(found)
        if self._count > _MOST_PARTS:
            raise wrong(f"it has more than {_MOST_PARTS} attributes")
        return dict(sorted(self._attribute(name, told, depth) for name, told in found.items()))

    def _attribute(self, name: str, told: Any, depth: int) -> tuple[str, dict[str, Any]]:
        tag = name.upper()
        shown = "".join(c for c in name if c.isalnum())[:16]
        if not _TAG.fullmatch(tag) or int(tag[:4], 16) < 8 or tag.endswith("0000"):
            raise wrong(f"'{shown}' is no tag of eight digits that a data set may have")
        if not isinstance(told, Mapping):
            raise wrong(f"{tag} is no object with 'vr' and 'Value'")
        vr, values = told.get("vr"), told.get("Value", [])
        if not isinstance(vr, str) or vr in _BINARY or vr not in _NUMBERS | _TEXTS | {"SQ", "PN"}:
            raise wrong(f"{tag} has a VR that is not taken here")
        if not _is_its_own(tag, vr):
            raise wrong(f"{tag} has another VR than {vr}")
        if set(told) - {"vr", "Value"} or not isinstance(values, list) or len(values) > _MOST_PARTS:
            raise wrong(f"{tag} has something else than 'vr' and a list 'Value'")
        read = [self._value(tag, vr, one, depth) for one in values]
        return tag, {"vr": vr, "Value": read} if read else {"vr": vr}

    def _value(self, tag: str, vr: str, value: Any, depth: int) -> Any:
        self._count += 1
        if vr == "SQ":
            return self.item(value, depth + 1)
        if vr == "PN":
            if not isinstance(value, Mapping) or set(value) - _NAMES:
                raise wrong(f"{tag} is no person's name by its representations")
            return {key: _text(tag, text) for key, text in value.items()}
        if vr in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool):
            if not -1e300 <= value <= 1e300:  # nor NaN
                raise wrong(f"{tag} has a number that is none")
            return value
        if vr == "UI" and not (isinstance(value, str) and len(value) <= 64 and _NAMED.fullmatch(value)):
            raise wrong(f"{tag} has a value that is no UID")
        return _text(tag, value)


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5, section 9.1)."""
    return len(text) <= 64 and bool(_UID.fullmatch(text))


def _text(tag: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise wrong(f"{tag} has a value that is no text of at most {_LONGEST} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise wrong(f"{tag} has half a character") from error
    return value


def _is_its_own(tag: str, vr: str) -> bool:
    """Whether an attribute of the standard has this VR; a private one may have any."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    number = int(tag, 16)
    return not dictionary_has_tag(number) or vr in dictionary_VR(number).split(" or ")
