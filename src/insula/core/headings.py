"""Headings of the documents and their anchors, told without a reader of Markdown."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_KEPT_IN_ANCHORS: Final = re.compile(r"[^\w\- ]+")
_HEADING: Final = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_FENCE: Final = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS: Final = re.compile(r"[`*]")


@dataclass(frozen=True)
class Heading:
    """A heading. level: from 1; line: where it stands, from 0."""

    level: int
    title: str
    anchor: str
    line: int


def slug(title: str, taken: Collection[str]) -> str:
    """The anchor of a heading as code hosts make it, so that links within documents hold here and there."""
    plain = _KEPT_IN_ANCHORS.sub("", title.lower()).strip().replace(" ", "-") or "part"
    made, number = plain, 0
    while made in taken:
        number += 1
        made = f"{plain}-{number}"
    return made


def headings(text: str) -> tuple[Heading, ...]:
    """The headings of a document of Markdown that begin with `#`, in their order; those in code blocks are none."""
    found: list[Heading] = []
    fence = ""
    for number, line in enumerate(text.splitlines()):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        elif not fence and (said := _HEADING.fullmatch(line)):
            title = _MARKS.sub("", _LINK.sub(r"\1", said[2]))
            found.append(Heading(len(said[1]), title, slug(title, {one.anchor for one in found}), number))
    return tuple(found)


def part(text: str, anchor: str) -> str:
    """A heading by its anchor with what stands below it, as far as the next heading of its level; "" for none."""
    every = headings(text)
    for place, one in enumerate(every):
        if one.anchor == anchor:
            ends = [later.line for later in every[place + 1 :] if later.level <= one.level]
            return "\n".join(text.splitlines()[one.line : ends[0] if ends else None]).strip()
    return ""
