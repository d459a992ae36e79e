"""The record of a case as numbered sentences that can be quoted, filled by template; the text that always exists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from insula.serve.narrative import figures
from insula.serve.narrative.catalogue import AND, SENTENCES, WORDS, Language
from insula.serve.narrative.record import OTHER, CaseRecord, Head, Reason

_MASKED: Final = re.compile(r"[CRT][0-9]+")
_FREE: Final = frozenset({"probability", "confidence"})
_ASIDE: Final = frozenset({"draws", "head.hazard", "warning.none"})  # for questions, and not for the summary
_JOINED: Final = re.compile(
    r"answer|confidence|probability|reaches|spread|draws|set|domain|slices|hottest|side.*|head.*"
)
_OURS: Final = frozenset({"question", "model", "limits"})


@dataclass(frozen=True)
class Fact:
    """One sentence.

    number: from 1, by which it is quoted. key: of its template. masked: the sentence with `C1`, `R1`, `T1` for the
    names of classes, scans and heads. text: with the names. must: whether a summary has to tell it. sent: whether a
    language model may see it, masked. free: whether it is one figure of one thing, so that its words may stand in any
    order. alone: whether it shares no sentence with others, as decisions, reasons, warnings, reviews and denials, which
    would reach over to what follows.
    """

    number: int
    key: str
    masked: str
    text: str
    must: bool
    sent: bool
    free: bool
    alone: bool


@dataclass(frozen=True)
class Facts:
    """All sentences of a record in one language, and the names behind the masks (`C1` → class)."""

    language: Language
    all: tuple[Fact, ...]
    names: Mapping[str, str]

    @property
    def sent(self) -> tuple[Fact, ...]:
        """Those that a language model may see."""
        return tuple(f for f in self.all if f.sent)

    def numbered(self, number: int) -> Fact | None:
        """The fact of a number, None where there is none."""
        return self.all[number - 1] if 0 < number <= len(self.all) else None

    def unmask(self, text: str) -> str:
        """A masked text with its names; those of classes and heads in quotes, as 'any' would else be read as a word."""
        return _unmask(text, self.names)


def facts_of(record: CaseRecord, language: Language = "en") -> Facts:
    """The facts of a case in their order: question, decision, reasons, answer, scans, heads, reviews, limits."""
    masks = _Masks(record)
    found = []
    for number, (key, fields) in enumerate(_lines(record, masks, language), 1):
        masked = SENTENCES[language][key].format_map(fields)
        ours = key in _OURS
        text = masked if ours else _unmask(masked, masks.names)
        aside = key in _ASIDE or (key == "spread" and masks.names[fields["c"]] != record.label)
        found.append(
            Fact(
                number=number,
                key=key,
                masked=masked,
                text=text,
                must=not ours and not aside,
                sent=not ours,
                free=key in _FREE,
                alone=_JOINED.fullmatch(key) is None,
            )
        )
    return Facts(language, tuple(found), masks.names)


def template_summary(record: CaseRecord, language: Language = "en") -> str:
    """The summary of a case by template alone: the sentences that a summary has to tell, in their order."""
    return told(facts_of(record, language))


def told(facts: Facts, middle: Sequence[str] | None = None) -> str:
    """The whole text: our own first sentence, those of the case (by template, or as phrased), our own last ones."""
    if middle is None:
        middle = [f.text for f in facts.all if f.must]
    first = [f.text for f in facts.all if f.key == "question"]
    return " ".join([*first, *middle, *(f.text for f in facts.all if f.key in ("model", "limits"))])


def _unmask(text: str, names: Mapping[str, str]) -> str:
    def name(found: re.Match[str]) -> str:
        shown = names.get(found[0], found[0])
        return shown if found[0].startswith("R") else f"'{shown}'"

    return _MASKED.sub(name, text)


class _Masks:
    """Which mask stands for which name."""

    def __init__(self, record: CaseRecord) -> None:
        self.names: dict[str, str] = {}
        self._by: dict[tuple[str, str, str], str] = {}
        for name in record.classes:
            self._add("C", "", name, name)
        for head in record.heads:
            self._add("T", "", head.target, head.target)
            for name in head.values if head.kind == "classes" else ():
                self._add("C", head.target, name, name)
        for scan in record.scans:
            self._add("R", "", scan.role, f"{scan.role} ({scan.modality})")
        for hot in record.hottest:
            self._add("R", "", hot.role, hot.role)

    def _add(self, letter: str, of: str, name: str, shown: str) -> None:
        if (letter, of, name) not in self._by:
            mask = f"{letter}{1 + sum(known.startswith(letter) for known in self.names)}"
            self._by[letter, of, name], self.names[mask] = mask, shown

    def of(self, letter: str, name: str, target: str = "") -> str:
        return self._by[letter, target, name]


def _lines(record: CaseRecord, masks: _Masks, language: Language) -> Iterator[tuple[str, dict[str, str]]]:
    yield "question", {"question": record.question}
    yield f"decision.{record.action}", {}
    for reason in record.reasons:
        yield _reason(reason, language)
    yield from _answer(record, masks, language)
    yield from _scans(record, masks, language)
    for head in record.heads:
        yield from _head(head, masks, language)
    for review in record.reviews:
        named = review.verdict in ("present", "absent")
        yield f"review.{review.verdict}", {"c": masks.of("C", review.label)} if named else {}
    yield "model", {"model": record.model_name, "bundle": record.bundle_id or "–"}
    yield "limits", {}


def _reason(reason: Reason, language: Language) -> tuple[str, dict[str, str]]:
    words = WORDS[language]
    if not (reason.value and reason.limit):
        return "reason", {"words": words.get(f"reason.{reason.kind}", words[f"reason.{OTHER}"])}
    key = "reason.below" if reason.kind in ("confidence", "risk") else "reason.above"
    numbers = {n: figures.given(t, language) for n, t in (("value", reason.value), ("limit", reason.limit))}
    return key, {"term": words[reason.kind], **numbers}


def _answer(record: CaseRecord, masks: _Masks, language: Language) -> Iterator[tuple[str, dict[str, str]]]:
    if record.label:
        yield "answer" if record.present else "answer.absent", {"c": masks.of("C", record.label)}
    if record.confidence is not None:
        yield "confidence", {"share": figures.share(record.confidence, language)}
    for name, value in record.probabilities.items():
        yield "probability", {"c": masks.of("C", name), "share": figures.share(value, language)}
    for name in record.labels:
        yield "reaches", {"c": masks.of("C", name)}
    if record.spread is not None:
        source = WORDS[language][record.spread.source]
        for name, value in record.spread.by_class.items():
            c = masks.of("C", name)
            yield "spread", {"c": c, "source": source, "x": figures.plain(value, language)}
        if record.spread.draws is not None:
            yield "draws", {"source": source, "n": str(record.spread.draws)}
    if record.prediction_set is not None:
        held = [masks.of("C", name) for name in record.prediction_set]
        yield ("set", {"list": _listed(held, language)}) if held else ("set.empty", {})


def _scans(record: CaseRecord, masks: _Masks, language: Language) -> Iterator[tuple[str, dict[str, str]]]:
    if record.domain_score is not None and record.action != "reject":
        yield "domain", {"percent": figures.percent(record.domain_score, language)}
    for scan in record.scans:
        yield "slices", {"r": masks.of("R", scan.role), "n": str(scan.slices)}
    for hot in record.hottest:
        r, c = masks.of("R", hot.role), masks.of("C", hot.label)
        yield "hottest", {"r": r, "c": c, "list": _listed([str(n) for n in hot.slices], language)}
    if record.side is not None:
        yield f"side.{record.side}", {}
    words = WORDS[language]
    for kind in dict.fromkeys(w for w in record.warnings if w != OTHER):
        yield "warning", {"words": words[f"warning.{kind}"]}
    if OTHER in record.warnings:
        yield "warning.other", {}
    if not record.warnings:
        yield "warning.none", {}


def _head(head: Head, masks: _Masks, language: Language) -> Iterator[tuple[str, dict[str, str]]]:
    t = masks.of("T", head.target)
    for name, value in head.values.items():
        if head.kind == "classes":
            c = masks.of("C", name, head.target)
            yield "head.probability", {"t": t, "c": c, "share": figures.share(value, language)}
        elif head.kind == "value":
            yield "head.value", {"t": t, "x": figures.plain(value, language)}
        elif name == "log_hazard":
            yield "head.hazard", {"t": t, "x": figures.plain(value, language)}
        else:
            days = figures.given(name.removeprefix("event_free_"), language)
            yield "head.survival", {"t": t, "n": days, "share": figures.share(value, language)}


def _listed(items: Sequence[str], language: Language) -> str:
    *first, last = items
    return f"{', '.join(first)} {AND[language]} {last}" if first else last
