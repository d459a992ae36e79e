"""Matching keys of a search (PS3.18, section 8.3.4), over attributes in the DICOM JSON model."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from fastapi import Request

from insula.serve.faults import RequestError

MOST_ROWS: Final = 200
_ASIDE: Final = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept", "accept-charset"})
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_RANGES: Final = frozenset({"DA", "DT", "TM"})
_WILD: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_MOST_KEYS, _LONGEST = 32, 4096


@dataclass(frozen=True)
class Key:
    """One matching key. path: the attribute's tag, behind those of the sequences that hold it. values: any fits."""

    path: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """What is asked for. limit: rows of the answer. include: tags to be given as well; all: everything there is."""

    keys: tuple[Key, ...]
    limit: int
    offset: int
    include: frozenset[str]
    all: bool
    fuzzy: bool

    def value(self, tag: str) -> str:
        """The one value that an attribute must have, "" where none is asked for, or several, or a pattern."""
        found = [one for key in self.keys if key.path == (tag,) for one in key.values]
        return found[0] if len(found) == 1 and not set(found[0]) & {"*", "?"} else ""


def search_of(request: Request) -> Search:
    """The search of a request's query. Raises RequestError 400 for a name that is no attribute, and a wrong number."""
    keys, include = [], []
    for name, text in request.query_params.multi_items():
        if name.lower() == "includefield":
            include += [one.strip() for one in text.split(",") if one.strip()]
        elif name.lower() not in _ASIDE and text:
            keys.append(_key(name, text))
    if len(keys) > _MOST_KEYS or len(include) > 10 * _MOST_KEYS:
        raise RequestError(400, "bad_search", f"A search has at most {_MOST_KEYS} matching keys.")
    query = request.query_params
    return Search(
        tuple(keys),
        min(_number(query.get("limit"), MOST_ROWS), MOST_ROWS),
        _number(query.get("offset"), 0),
        frozenset(path_of(one)[0] for one in include if one.lower() != "all"),
        any(one.lower() == "all" for one in include),
        query.get("fuzzymatching", "").lower() == "true",
    )


def path_of(name: str) -> tuple[str, ...]:
    """Tags of an attribute named by keywords or tags, with dots between levels. Raises RequestError 400 for others."""
    from pydicom.datadict import tag_for_keyword

    found = []
    for part in name.split("."):
        tag = int(part, 16) if _TAG.fullmatch(part) else tag_for_keyword(part)
        if tag is None:
            shown = "".join(c for c in part if c.isalnum())[:40]
            raise RequestError(400, "bad_search", f"'{shown}' is no attribute; write its keyword or its eight digits.")
        found.append(f"{tag:08X}")
    return tuple(found[:8])


def fits(key: Key, item: Mapping[str, Any]) -> bool:
    """Whether an item has an attribute with one of a key's values; an empty key fits all."""
    first, *rest = key.path
    attribute = item.get(first)
    vr = str(attribute.get("vr", "")) if attribute else ""
    values = attribute.get("Value", ()) if attribute else ()
    if rest:
        deeper = Key(tuple(rest), key.values)
        return any(isinstance(one, Mapping) and fits(deeper, one) for one in values)
    texts = [_text(one) for one in values]
    if key.values == ("*",):
        return True
    return any(_one(wanted, text, vr) for wanted in key.values for text in texts)


def fit(keys: Iterable[Key], item: Mapping[str, Any]) -> bool:
    """Whether an item fits all keys."""
    return all(fits(key, item) for key in keys)


def shown(item: Mapping[str, Any], always: Collection[str], search: Search) -> dict[str, Any]:
    """The part of an item that is given: what always is, what was matched, and what was asked for; in order of tags."""
    if search.all:
        wanted: Collection[str] = item.keys()
    else:
        wanted = {*always, *search.include, *(key.path[0] for key in search.keys)}
    return {tag: item[tag] for tag in sorted(wanted) if tag in item}


def page(rows: Sequence[dict[str, Any]], search: Search) -> tuple[list[dict[str, Any]], int]:
    """The rows that a search gives, and how many come after them."""
    given = list(rows[search.offset : search.offset + search.limit])
    return given, max(0, len(rows) - search.offset - len(given))


def _key(name: str, text: str) -> Key:
    if len(text) > _LONGEST:
        raise RequestError(
            400, "bad_search", f"A matching key is longer than {_LONGEST}; ask for fewer values at a time."
        )
    path = path_of(name)
    parts = re.split(r"[,\\]", text) if _is_uid(path[-1]) else [text]
    return Key(path, tuple(one.strip() for one in parts if one.strip()) or ("*",))


def _is_uid(tag: str) -> bool:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return dictionary_has_tag(int(tag, 16)) and dictionary_VR(int(tag, 16)) == "UI"


def _one(wanted: str, text: str, vr: str) -> bool:
    if vr in _RANGES and "-" in wanted:
        first, _, last = wanted.partition("-")
        return (not first or text[: len(first)] >= first) and (not last or text[: len(last)] <= last)
    if vr in _RANGES:
        return text.startswith(wanted)
    if vr == "PN":
        return fnmatchcase(text.lower(), _plain(wanted.lower()))
    if vr in _WILD:
        return fnmatchcase(text, _plain(wanted))
    return text == wanted


def _plain(pattern: str) -> str:
    """A pattern of `*` and `?` alone for `fnmatch`, to which `[` means more."""
    return pattern.replace("[", "[[]")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):  # a person's name by its representations
        return str(value.get("Alphabetic") or value.get("Ideographic") or value.get("Phonetic") or "")
    return str(value)


def _number(text: str | None, otherwise: int) -> int:
    if text is None or not text.strip():
        return otherwise
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise RequestError(400, "bad_search", "'limit' and 'offset' are whole numbers.")
    return int(text)
