"""In which language the pages speak: English as written in them, others by catalogues of whole sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

from markupsafe import escape

Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
NAMES: Final[Mapping[Language, str]] = {"en": "English", "de": "Deutsch"}
COOKIE: Final = "insula-language"
_PERCENT: Final = re.compile(r"%%|%(?!\(\w+\)s)")  # signs that open no hole of a sentence


def chosen(cookie: str, accepted: str) -> Language:
    """The language of a reader: the one chosen before, else the first of `Accept-Language` that there is.

    Weights (RFC 9110, section 12.5.4) are honoured; what cannot be read counts as not asked for.
    """
    for name in LANGUAGES:
        if cookie == name:
            return name
    wishes = []
    for place, part in enumerate(accepted[:400].split(",")):
        tag, _, weight = part.strip().lower().partition(";q=")
        try:
            wishes.append((-float(weight or 1.0), place, tag.partition("-")[0].strip()))
        except ValueError:
            continue
    for order, _, wish in sorted(wishes):
        for name in LANGUAGES:
            if wish == name and order < 0:
                return name
    return "en"


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """English sentence → sentence, of all areas of the pages. Empty for English."""
    if language == "en":
        return {}
    made: dict[str, str] = {}
    for one in sorted(files("insula.serve.web").joinpath("locales", language).iterdir(), key=lambda path: path.name):
        if one.name.endswith(".json"):
            made |= json.loads(one.read_text(encoding="utf-8"))
    return made


def gettext_of(language: Language) -> Callable[[str], str]:
    """From an English sentence to the reader's; one that is not translated stays English."""
    known = catalogue(language)
    return lambda text: known.get(text, text)


def for_templates(language: Language) -> tuple[Callable[[str], str], Callable[[str, str, int], str]]:
    """`gettext` and `ngettext` as templates need them, which take the answer as HTML and fill it in by `%`.

    Only a sentence of a catalogue may hold tags: any other text that a template hands over is escaped, since it may
    come from a record. A percent sign stands for itself, whether it is written once or twice.
    """
    ours = {text for one in LANGUAGES for text in catalogue(one)}
    translate = gettext_of(language)

    def safe(text: str) -> str:
        return _PERCENT.sub("%%", translate(text)) if text in ours else str(escape(text)).replace("%", "%%")

    def one_or_many(singular: str, plural: str, number: int) -> str:
        return safe(singular if number == 1 else plural)

    return safe, one_or_many
