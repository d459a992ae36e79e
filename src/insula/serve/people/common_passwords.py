"""The passwords that are tried first, made from the patterns that people choose by: words, years, rows of keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

SHORTEST: Final = 12  # what is shorter is refused by its length

_WORDS: Final = """
password passwort motdepasse contrasena parola sifre senha welcome willkommen letmein login admin administrator
master secret secure security access changeme default guest user test testing temp temporary qwerty qwertz azerty
asdfgh zxcvbn iloveyou sunshine princess dragon monkey football baseball superman batman pokemon starwars shadow
michael jennifer jessica charlie ashley daniel thomas jordan freedom whatever trustno hello computer internet
hospital klinik clinic doctor nurse patient radiology radiologie medical medicine insula
january february march april may june july august september october november december
spring summer autumn fall winter monday tuesday wednesday thursday friday saturday sunday
"""
_ENDS: Final = ("", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890")
_MARKS: Final = ("", "!", "!!", ".")
_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890" * 3,
    "0123456789" * 3,
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "a1b2c3d4e5f6g7h8i9j0",
    "qazwsxedcrfvtgbyhnujm",
)
_WRITTEN: Final = tuple(str.maketrans(*pair) for pair in (("", ""), ("aeo", "430"), ("aeios", "43105"), ("aso", "@$0")))


def folded(text: str) -> str:
    """The form in which passwords and names are held against each other (NFKC, without case)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """The list, folded, of those that are long enough to be asked about."""
    return frozenset(word for word in _made() if len(word) >= SHORTEST)


def is_common(password: str) -> bool:
    """Whether a password is on the list, or is up to four characters over and over again."""
    word = folded(password)
    repeats = any(word == (word[:n] * len(word))[: len(word)] for n in (1, 2, 3, 4))
    return repeats or word in common_passwords()


def _made() -> Iterator[str]:
    ends = (*_ENDS, *(str(year) for year in range(1980, 2031)))
    for plain in _WORDS.split():
        for word in {plain.translate(form) for form in _WRITTEN}:
            yield from (word + end + mark for end in ends for mark in _MARKS)
            yield from (word * times + end for times in (2, 3) for end in _ENDS)
    for row in _ROWS:
        for way in (row, row[::-1]):
            for first in range(len(way) - SHORTEST + 1):
                for last in range(first + SHORTEST, len(way) + 1):
                    yield way[first:last]
