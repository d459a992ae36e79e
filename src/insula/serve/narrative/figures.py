"""How a figure is written in a text, and read back from one."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from insula.serve.narrative.catalogue import Language

_MOST_DIGITS: Final = 6  # as all figures that leave the program
READ: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(r"-?[0-9]+(?:\.[0-9]+)?%?"),
    "tr": re.compile(r"-?%?[0-9]+(?:,[0-9]+)?"),
}
Figure = tuple[Decimal, bool]  # the value as written, and whether it is a percentage


def share(value: float, language: Language) -> str:
    """A probability in both writings, `0.87 (87%)`: the nearest at two decimals.

    There are more decimals, six at most, where two would make 0 or 1 of what is neither. So 0.996 is 0.996 (99.6%).
    """
    plain = _digits(value, 2)
    return f"{_mark(plain, language)} ({_percent(plain, language)})"


def percent(value: float, language: Language) -> str:
    """A share as a percentage, by the same rule."""
    return _percent(_digits(value, 2), language)


def plain(value: float, language: Language) -> str:
    """Any other figure, at three decimals, with more where they would all be 0."""
    return _mark(_digits(value, 3), language)


def given(text: str, language: Language) -> str:
    """A figure that is written already, with the decimal mark of the language."""
    return _mark(text, language)


def read(text: str, language: Language) -> Figure | None:
    """What a figure says, None for a text that is none; `0.870` is `0.87`, and `87%` is not `0.87`."""
    if not READ[language].fullmatch(text):
        return None
    return Decimal(text.replace("%", "").replace(",", ".")), "%" in text


def _digits(value: float, fewest: int) -> str:
    for digits in range(fewest, _MOST_DIGITS + 1):
        text = f"{value:.{digits}f}"
        if value in (0.0, 1.0) or float(text) not in (0.0, 1.0):
            break
    return text.removeprefix("-") if float(text) == 0.0 else text


def _percent(text: str, language: Language) -> str:
    places = max(len(text.partition(".")[2]) - 2, 0)
    number = _mark(f"{Decimal(text) * 100:.{places}f}", language)
    return f"%{number}" if language == "tr" else f"{number}%"


def _mark(text: str, language: Language) -> str:
    return text.replace(".", ",") if language == "tr" else text
