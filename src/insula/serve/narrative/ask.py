"""Questions about a case, answered by quotations of its record alone; where nothing fits, the record does not say.

A question with a word that neither the record nor the tables of `topics` know is about something that the record does
not hold, so it is not answered: `on the left` finds nothing where no side is recorded, nor does `stage` without a
trained head for it. A language model may add sentences by their numbers; it cannot take away what words found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from insula.core.errors import UsageError
from insula.serve.narrative import figures, model
from insula.serve.narrative.catalogue import NOT_SAID, SENTENCES, Language
from insula.serve.narrative.check import lower
from insula.serve.narrative.facts import Fact, Facts, facts_of
from insula.serve.narrative.record import CaseRecord
from insula.serve.narrative.topics import ASIDE, OPEN, TOPICS, stem

LONGEST: Final = 500
MOST_QUOTES: Final = 8
RULES: Final = (
    "You are given numbered sentences about a case, and the words of a question. Answer with the ids of the sentences "
    "that answer the question, at most eight; with none where no sentence does. Write nothing else. "
    'Answer with JSON alone: {"ids": [1, 2]}.'
)


class Chosen(model.Shape):
    """The model's answer: numbers of sentences."""

    ids: Annotated[list[int], Field(max_length=MOST_QUOTES)]


@dataclass(frozen=True)
class Quote:
    """A sentence of the record, as it stands there."""

    number: int
    text: str


@dataclass(frozen=True)
class Answered:
    """What the record says to a question.

    text: the quotes one after the other, each with its number, or that the record does not say. source: whether words
    alone found them or a model chose as well. reason: why a model was not asked or not heard (`off`, `unknown_word`, a
    failure of `model.ask`, `refused_facts`); "" where it was.
    """

    text: str
    quotes: tuple[Quote, ...]
    source: Literal["words", "model"]
    reason: str


def answer(
    record: CaseRecord, question: str, language: Language = "en", endpoint: model.Endpoint | None = None
) -> Answered:
    """What the record says to a question; UsageError for an empty or too long one. Call it outside of an event loop.

    To a model goes no text of the question: only known words of it, as the tables write them, with codes for names.
    """
    if not question.strip() or len(question) > LONGEST:
        raise UsageError(f"A question has {len(question)} characters; write 1 to {LONGEST}.")
    facts = facts_of(record, language)
    index = _Index(facts, record.target)
    asked = [index.known(token) for token in _tokens(question, language)]
    words = [word for word in asked if word is not None]
    if len(words) < len(asked):
        return _said(facts, (), "words", "unknown_word")
    content = tuple(dict.fromkeys(word for word in words if word.says))
    found = _by_words(content, index)
    if endpoint is None or not content:
        return _said(facts, found, "words", "off")
    sent = {
        "language": language,
        "question": " ".join(word.shown for word in words),
        "sentences": [{"id": f.number, "text": f.masked} for f in facts.sent],
    }
    reply = model.ask(endpoint, RULES, sent, Chosen)
    if reply.value is None:
        return _said(facts, found, "words", reply.failure or "not_json")
    chosen = set(reply.value.ids)
    if not chosen <= {f.number for f in facts.sent}:
        return _said(facts, found, "words", "refused_facts")
    return _said(facts, sorted(chosen | set(found)), "model", "")


@dataclass(frozen=True)
class _Word:
    """A known word of a question: as it may be sent, the facts that it finds, and whether it asks for any."""

    shown: str
    finds: frozenset[int]
    says: bool


class _Index:
    """Which words find which facts."""

    def __init__(self, facts: Facts, target: str) -> None:
        self.facts, self.language = facts, facts.language
        self._finds: dict[str, set[int]] = {}
        self._shown: dict[str, str] = {}
        for fact in facts.all:
            # of our own sentences the template's words alone: what the recipe wrote is not to be read as found, or sent
            text = fact.masked if fact.sent else re.sub(r"{\w+}", " ", SENTENCES[self.language][fact.key])
            for token in _tokens(re.sub(r"[CRT][0-9]+", " ", text), self.language):
                self._add(token, token, fact)
        self._names(facts.names, target)
        for word, keys in TOPICS[self.language].items():
            for fact in facts.all:
                if any(fact.key == key or fact.key.startswith(f"{key}.") for key in keys):
                    self._add(word, word, fact)

    def known(self, token: str) -> _Word | None:
        """The word behind a token; None for one that nothing knows."""
        root = stem(token, self.language)
        if token in ASIDE[self.language]:
            return _Word(token, frozenset(), False)
        if (found := self._finds.get(root)) is not None:
            return _Word(self._shown[root], frozenset(found), True)
        shown = next((word for word in sorted(OPEN[self.language]) if stem(word, self.language) == root), None)
        return None if shown is None else _Word(shown, frozenset(), True)

    def _add(self, token: str, shown: str, fact: Fact) -> None:
        if token in ASIDE[self.language]:
            return
        root = stem(token, self.language)
        self._finds.setdefault(root, set()).add(fact.number)
        self._shown.setdefault(root, shown)

    def _names(self, names: Mapping[str, str], target: str) -> None:
        """A name finds the facts with its mask, and is sent as the mask; the target's name means the answer."""
        for mask, name in names.items():
            holding = [f for f in self.facts.all if re.search(rf"\b{mask}\b", f.masked)]
            for token in _tokens(name, self.language):
                for fact in holding:
                    self._add(token, mask, fact)
        for token in _tokens(target, self.language):
            for fact in self.facts.all:
                if fact.key.partition(".")[0] in ("answer", "probability"):
                    self._add(token, "answer" if self.language == "en" else "yanıt", fact)


def _tokens(text: str, language: Language) -> list[str]:
    """Words and figures, in small letters; a figure as `figures.read` takes it."""
    plain = lower(unicodedata.normalize("NFKC", text), language)
    return re.findall(rf"{figures.READ[language].pattern}|[^\W\d_]+", plain)


def _by_words(content: Sequence[_Word], index: _Index) -> tuple[int, ...]:
    """The facts that the words find: the one that fits best with its like, and the same for each word left open.

    A word counts the more the fewer facts hold it. Nothing is found where one of the words finds nothing.
    """
    if not content or not all(word.finds for word in content):
        return ()
    score = {n: sum(1.0 / len(word.finds) for word in content if n in word.finds) for w in content for n in w.finds}
    facts = {f.number: f for f in index.facts.all}

    def best(numbers: frozenset[int] | set[int]) -> int:
        return max(numbers, key=lambda n: (round(score[n], 9), -len(facts[n].masked), -n))

    def like(one: int) -> set[int]:
        family = facts[one].key.partition(".")[0]
        return {n for n in score if facts[n].key.partition(".")[0] == family and abs(score[n] - score[one]) < 1e-9}

    found = like(best(set(score)))
    for word in content:
        if not word.finds & found:
            found |= like(best(word.finds))
    return tuple(sorted(found)[:MOST_QUOTES])


def _said(facts: Facts, numbers: Sequence[int], source: Literal["words", "model"], reason: str) -> Answered:
    quotes = tuple(Quote(f.number, f.text) for n in numbers if (f := facts.numbered(n)) is not None)
    text = " ".join(f"[{q.number}] {q.text}" for q in quotes) or NOT_SAID[facts.language]
    return Answered(text, quotes, source, reason)
