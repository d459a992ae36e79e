"""Attributes of a DICOM dataset as plain text and numbers, each way of writing one converted once.

The files of a series repeat nearly all of their header, and pydicom takes some 20 µs to make a value of an element's
bytes. What differs from file to file, numbers and UIDs, is taken as it stands where it is written plainly.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from math import isfinite
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag, Tag

from insula.scans import elements

_LONGEST, _MOST = 256, 2048  # bytes of a value, and values, that are remembered
# PS3.5, 6.1 and 6.2: letters that are the same in every character set; numbers without blanks but at the end
_PLAIN_TEXT = re.compile(rb"[A-Za-z0-9 ._/:-]{1,64}\0?")
_PLAIN_KINDS = frozenset({"UI", "CS", "SH", "LO", "DA", "AS"})
_PLAIN_NUMBERS = re.compile(rb"-?[0-9]{1,7}(\.[0-9]{1,7})?(\\-?[0-9]{1,7}(\.[0-9]{1,7})?)* ?")
_PLAIN_INTEGER = re.compile(rb"-?[0-9]{1,9} ?")
Written = tuple[BaseTag, str | None, bytes, bool, bool, str | tuple[str, ...]]


def value(dataset: Any, name: str) -> Any:
    """An attribute's value as pydicom gives it, to be read only; None where it is absent or empty.

    By its tag, since pydicom's own way by keyword raises and catches an exception for each absent one.
    """
    written = _written(dataset, name)
    return _own(dataset, name) if written is None else _converted(written)


def present(dataset: Any, name: str) -> bool:
    """Whether the dataset has an attribute, an empty one too."""
    return _tag(name) in dataset


def text(dataset: Any, name: str) -> str:
    """One attribute as printable text of at most 256 characters, several values joined by backslashes; "" if absent."""
    written = _written(dataset, name)
    return _text(_own(dataset, name)) if written is None else _text_of(written)


def numbers(dataset: Any, name: str, count: int) -> tuple[float, ...] | None:
    """The first `count` values of an attribute; None where it is absent, shorter, or holds what is no number."""
    written = _written(dataset, name)
    return _numbers(_own(dataset, name), count) if written is None else _numbers_of(written, count)


def integer(dataset: Any, name: str, default: int) -> int:
    """An attribute as a whole number, the default where it is absent or empty; ValueError for what is no number."""
    written = _written(dataset, name)
    return _integer(_own(dataset, name), default) if written is None else _integer_of(written, default)


def _own(dataset: Any, name: str) -> Any:
    tag = _tag(name)
    return dataset[tag].value if tag in dataset else None


@cache
def _tag(name: str) -> BaseTag:
    return elements.tag(int(Tag(name)))


def _written(dataset: Any, name: str) -> Written | None:
    """How a short attribute stands in the file, None where it is absent, long, or was converted or set already."""
    element = dataset.get_item(_tag(name), keep_deferred=True)
    if element.__class__ is not RawDataElement:
        return None
    tag, kind, _, data, _, implicit, little, *_ = element
    charset = dataset.original_character_set
    if kind == "SQ" or not charset or data is None or len(data) > _LONGEST:
        return None
    return tag, kind, data, implicit, little, charset if isinstance(charset, str) else tuple(charset)


@lru_cache(maxsize=_MOST)
def _converted(written: Written) -> Any:
    tag, kind, data, implicit, little, charset = written
    raw = RawDataElement(tag, kind, len(data), data, 0, implicit, little)
    return convert_raw_data_element(raw, encoding=charset if isinstance(charset, str) else list(charset)).value


@lru_cache(maxsize=_MOST)
def _text_of(written: Written) -> str:
    if _PLAIN_TEXT.fullmatch(written[2]) and _kind(written) in _PLAIN_KINDS:
        return written[2].rstrip(b"\0").decode("ascii").strip()
    return _text(_converted(written))


@lru_cache(maxsize=_MOST)
def _numbers_of(written: Written, count: int) -> tuple[float, ...] | None:
    if _PLAIN_NUMBERS.fullmatch(written[2]) and _kind(written) == "DS":
        return _numbers([float(part) for part in written[2].split(b"\\")], count)
    return _numbers(_converted(written), count)


@lru_cache(maxsize=_MOST)
def _integer_of(written: Written, default: int) -> int:
    if _PLAIN_INTEGER.fullmatch(written[2]) and _kind(written) == "IS":
        return int(written[2])
    return _integer(_converted(written), default)


def _kind(written: Written) -> str:
    tag, kind, *_ = written
    return dictionary_VR(tag) if kind is None else kind


def forget() -> None:
    """Forget all values: for measurements, which read the same files again and again."""
    for remembered in (_converted, _text_of, _numbers_of, _integer_of):
        remembered.cache_clear()


def _text(given: Any) -> str:
    if given is None:
        return ""
    said = str(given) if isinstance(given, str | int | float) else "\\".join(str(v) for v in given)
    printable = said if said.isprintable() else "".join(c for c in said if c.isprintable())
    return printable.strip()[:256]


def _numbers(given: Any, count: int) -> tuple[float, ...] | None:
    if given is None or given == "":
        return None
    parts = [given] if isinstance(given, int | float | str) else list(given)
    try:
        found = tuple(float(p) for p in parts[:count])
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(isfinite(v) for v in found) else None


def _integer(given: Any, default: int) -> int:
    return default if given is None or given == "" else int(given)
