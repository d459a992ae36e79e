"""Whether a phrased sentence says what its facts say, and nothing else.

A sentence names the facts that it tells. It passes only where its words are those of these facts: the same content
words, figures and names, all of them, no other, in the order of the facts, with nothing between them but words that
join (`vocabulary.FUNCTION`). So it can neither add a figure, side, class, name, advice or negation, nor drop or move
one. What is recognised is a small white list; nothing is searched for, so a word that nobody thought of is refused as
well. Good phrasings are refused too where they use another word: then the template stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Literal, cast

from insula.serve.narrative import figures
from insula.serve.narrative.catalogue import Language
from insula.serve.narrative.facts import Fact, Facts
from insula.serve.narrative.vocabulary import FUNCTION, NAMED, SAME

Rule = Literal[
    "character", "length", "form", "facts", "number", "side", "negation", "class", "name", "word", "order", "missing"
]
LONGEST: Final = 400
MOST_FACTS: Final = 6
_LETTERS: Final[dict[Language, str]] = {"en": "A-Za-z", "tr": "A-Za-zÇĞİÖŞÜçğıöşüÂâÎîÛû"}
_MARKS: Final = ".,:;()"
_MASK: Final = re.compile(r"[CRT][0-9]+")


@dataclass(frozen=True)
class Refusal:
    """By which rule a text was refused, and in which of its sentences (from 1; 0 for the text as a whole).

    The refused words are not kept: they may be anything.
    """

    rule: Rule
    sentence: int = 0


@dataclass(frozen=True)
class Told:
    """One phrased sentence, masked, and the numbers of the facts that it says it tells."""

    text: str
    facts: tuple[int, ...]


@dataclass(frozen=True)
class _Number:
    """A figure in all writings that are allowed for it: `0.87 (87%)` is one figure."""

    forms: frozenset[figures.Figure]


_Token = str | _Number


def check(sentences: Sequence[Told], facts: Facts) -> Refusal | None:
    """None for a text that tells each fact that it has to tell, none twice, and nothing else; or why it is refused."""
    seen: set[int] = set()
    for place, one in enumerate(sentences, 1):
        if not 0 < len(one.facts) <= MOST_FACTS or len(set(one.facts)) < len(one.facts) or seen & set(one.facts):
            return Refusal("facts", place)
        cited = [fact for n in one.facts if (fact := facts.numbered(n)) is not None and fact.sent]
        if len(cited) < len(one.facts):
            return Refusal("facts", place)
        if (rule := check_sentence(one.text, cited, facts.language)) is not None:
            return Refusal(rule, place)
        seen |= set(one.facts)
    missing = {f.number for f in facts.sent if f.must} - seen
    return Refusal("missing") if missing else None


def check_sentence(text: str, cited: Sequence[Fact], language: Language) -> Rule | None:
    """None for a masked sentence that tells these facts, in this order, and nothing else; or the rule it breaks."""
    if len(text) > LONGEST:
        return "length"
    if unicodedata.normalize("NFKC", text) != text or not _plain(text, language):
        return "character"
    body = text.removesuffix(".")
    if body == text or not body.strip() or re.search(r"\.(?![0-9])|[0-9%][:;()][0-9%]", body):
        return "form"
    if len(cited) > 1 and any(fact.alone for fact in cited):
        return "facts"
    parts = [_content(f.masked.removesuffix("."), language) for f in cited]
    known = {token for part in parts for token in part if isinstance(token, str)}
    stated = {form for part in parts for token in part if isinstance(token, _Number) for form in token.forms}
    broken = [r for token in _tokens(body, language) if (r := _unknown(token, known, stated, language)) is not None]
    if broken:
        return next((rule for rule in broken if rule not in ("name", "word")), broken[0])
    return None if _tells(_content(body, language), parts, cited) else "order"


def lower(text: str, language: Language) -> str:
    """Small letters by the rule of the language: Turkish İ and I become i and ı."""
    return (text.replace("İ", "i").replace("I", "ı") if language == "tr" else text).lower()


def _plain(text: str, language: Language) -> bool:
    return re.fullmatch(rf"[{_LETTERS[language]}0-9 %\-{re.escape(_MARKS)}]*", text) is not None


def _tokens(text: str, language: Language) -> list[str]:
    """Masks, figures, words, and whatever else is neither a space nor a mark."""
    mask_or_figure = rf"(?:{_MASK.pattern}|{figures.READ[language].pattern})(?![\w%])"
    return re.findall(rf"{mask_or_figure}|[{_LETTERS[language]}]+(?!\w)|[^\s{re.escape(_MARKS)}]+", text)


def _word(token: str, language: Language) -> str:
    small = lower(token, language)
    return SAME[language].get(small, small)


def _content(text: str, language: Language) -> tuple[_Token, ...]:
    """The tokens that say something, in their order; a figure in two writings, one after the other, is one token."""
    found: list[_Token] = []
    for token in _tokens(text, language):
        figure = figures.read(token, language)
        if figure is not None:
            last = found[-1] if found else None
            if isinstance(last, _Number) and _other_writing(figure, last.forms):
                found[-1] = _Number(last.forms | {figure})
            else:
                found.append(_Number(frozenset({figure})))
        elif _MASK.fullmatch(token):
            found.append(token)
        elif (word := _word(token, language)) not in FUNCTION[language]:
            found.append(word)
    return tuple(found)


def _other_writing(figure: figures.Figure, forms: frozenset[figures.Figure]) -> bool:
    """Whether a figure is the percentage of the one before it, or the other way round."""
    value, is_percent = figure
    return (value / 100 if is_percent else value * 100, not is_percent) in forms and len(forms) == 1


def _unknown(token: str, known: set[str], stated: set[figures.Figure], language: Language) -> Rule | None:
    """Why a token stands in none of the facts, None where it does or only joins."""
    figure = figures.read(token, language)
    if figure is not None:
        return None if figure in stated else "number"
    if _MASK.fullmatch(token):
        return None if token in known else "class"
    word = _word(token, language)
    if word in known or word in FUNCTION[language]:
        return None
    for rule, words in NAMED[language].items():
        if word in words:
            return cast(Rule, rule)
    if any(letter.isdigit() for letter in token):
        return "number"
    return "name" if token[:1].isupper() else "word"


def _tells(said: tuple[_Token, ...], parts: Sequence[tuple[_Token, ...]], cited: Sequence[Fact]) -> bool:
    """Whether what is said is the facts one after the other, each whole.

    A fact that is free may have its tokens in any order. After another one of the same kind it may leave out the words
    that they share: `the probability of C1 is 0.87 and of C2 0.13`.
    """
    places = {0}
    for k, (part, fact) in enumerate(zip(parts, cited, strict=True)):
        shapes = set(permutations(part)) if fact.free else {part}
        if fact.free and k and cited[k - 1].free and cited[k - 1].key == fact.key:
            short = tuple(t for t in part if isinstance(t, _Number) or _MASK.fullmatch(t))
            shapes |= set(permutations(short))
        places = {at + len(shape) for at in places for shape in shapes if _same(said[at : at + len(shape)], shape)}
    return len(said) in places


def _same(said: tuple[_Token, ...], shape: tuple[_Token, ...]) -> bool:
    if len(said) != len(shape):
        return False
    for one, other in zip(said, shape, strict=True):
        if isinstance(one, _Number) and isinstance(other, _Number):
            if not one.forms <= other.forms:
                return False
        elif one != other:
            return False
    return True
