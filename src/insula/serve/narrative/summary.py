"""The summary of a case in plain words: by template, or as a language model phrased it where that passed the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from insula.serve.narrative import model
from insula.serve.narrative.catalogue import Language
from insula.serve.narrative.check import LONGEST, MOST_FACTS, Told, check
from insula.serve.narrative.facts import Facts, facts_of, told
from insula.serve.narrative.record import CaseRecord

RULES: Final = (
    "You are given numbered sentences about a case. Join them into a short text in the same language. "
    "Keep every sentence marked must. Keep all content words, figures and codes such as C1, R1 or T1 exactly as they "
    "are and in their order; you may only join sentences and add words such as 'and', 'with', 'which', 'while'. "
    "A sentence marked alone is not joined with others. "
    "Add no fact, figure, name, advice or heading. Each sentence you write ends with one full stop, tells one to six "
    "of the given sentences, and lists their ids in the order in which it tells them. Use each id at most once. "
    'Answer with JSON alone: {"sentences": [{"text": "...", "facts": [1, 2]}]}.'
)


class Phrased(model.Shape):
    """One sentence of the model."""

    text: Annotated[str, Field(max_length=LONGEST)]
    facts: Annotated[list[int], Field(min_length=1, max_length=MOST_FACTS)]


class Phrasing(model.Shape):
    """The model's answer."""

    sentences: Annotated[list[Phrased], Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class Summary:
    """A text about a case.

    source: who phrased it. reason: why it is the template's, as one word (`off`, `timeout`, `unreachable`, `status`,
    `too_long`, `not_json`, or `refused_` and the rule of `check`); "" for a model's. facts: the numbers of those told.
    """

    text: str
    language: Language
    source: Literal["template", "model"]
    reason: str
    facts: tuple[int, ...]


def summarise(record: CaseRecord, language: Language = "en", endpoint: model.Endpoint | None = None) -> Summary:
    """The summary of a case; with an endpoint phrased by its model, and by template wherever that fails or is refused.

    Nothing is sent but the sentences of `facts_of`, with codes in place of every name. Call it outside an event loop.
    """
    facts = facts_of(record, language)
    if endpoint is None:
        return _by_template(facts, "off")
    reply = model.ask(endpoint, RULES, what_is_sent(facts), Phrasing)
    if reply.value is None:
        return _by_template(facts, reply.failure or "not_json")
    sentences = [Told(one.text, tuple(one.facts)) for one in reply.value.sentences]
    if (refusal := check(sentences, facts)) is not None:
        return _by_template(facts, f"refused_{refusal.rule}")
    text = told(facts, [facts.unmask(one.text) for one in sentences])
    return Summary(text, language, "model", "", tuple(n for one in sentences for n in one.facts))


def what_is_sent(facts: Facts) -> dict[str, object]:
    """All that leaves for a summary, beside RULES."""
    return {
        "language": facts.language,
        "sentences": [{"id": f.number, "must": f.must, "alone": f.alone, "text": f.masked} for f in facts.sent],
    }


def _by_template(facts: Facts, reason: str) -> Summary:
    return Summary(told(facts), facts.language, "template", reason, tuple(f.number for f in facts.all if f.must))
