"""Texts as DICOM's value representations hold them (PS3.5, 6.2)."""

from __future__ import annotations

from typing import Final

from insula.evaluate.outcome import LIMITS

RESEARCH: Final = "research use only"
BURNT: Final = ("RESEARCH USE ONLY", LIMITS.split(";")[-1].strip().rstrip(".").capitalize())
_CONTROLS: Final = "\r\x0b\x0c\x1c\x1d\x1e\x1f\x85"  # Python takes them for space
_LONG: Final = 64  # characters of LO
_WHAT: Final = 30  # of what an object is, in a description
_SHORT: Final = 16  # of SH and CS


def long(said: str, most: int = _LONG) -> str:
    """A text as LO: one line of at most 64 characters without a backslash, which would part two values."""
    line = " ".join(printable(said).replace("\\", "/").split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def short(said: str) -> str:
    """A text as SH: as LO, of at most 16 characters."""
    return long(said, _SHORT)


def printable(said: str) -> str:
    """A text without control characters other than line ends, and without what no encoding holds (lone surrogates)."""
    sound = said.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in sound if c == "\n" or (c not in _CONTROLS and (c.isprintable() or c.isspace()))).strip()


def described(name: str, what: str) -> str:
    """The description of a series: whose answer, what it is, and that it is for research, in that order of need.

    What does not fit into 64 characters is cut, of the last never anything.
    """
    tail = f": {long(what, _WHAT)} ({RESEARCH})"
    return long(name, _LONG - len(tail)) + tail


def person(name: str, given: str = "") -> str:
    """A person's name as PN: a name without components is one family name (PS3.5, 6.2.1.2)."""
    line = long(name).replace("=", " ")
    if given and line:
        return "^".join(part.replace("^", " ") for part in (line, long(given).replace("=", " ")))
    return line if "^" in line or not line else f"{line}^"
