"""What an audit could not tell, in so few words that it stands on the sheet that is signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from insula.report import audit_advice, audit_words
from insula.report.words import Said

_TITLE, _EVIDENCE = 60, 70  # letters of each
_NAMED, _ALL = 250, 640  # letters of all names under one reason, and under all reasons
_EXPLAINED: Final = ("plainer", "not measured", "not known")  # reasons that leave the why to the evidence


@dataclass(frozen=True)
class Open:
    """Findings that cannot be told for one reason, a key of `audit_words.REASONS`: how many, and which."""

    reason: str
    count: int
    named: str


def shown(findings: Sequence[Said]) -> list[Open]:
    """Findings that cannot be told, by reason; the gravest by name, all others counted by part."""
    kinds = audit_words.by_reason(findings)
    room = min(_NAMED, _ALL // max(len(kinds), 1))
    return [Open(kind, len(held), _named(kind, held, room)) for kind, held in kinds.items()]


def _named(kind: str, held: Sequence[Said], room: int) -> str:
    """The names that there is room for, at least one, and how many more there are."""
    ranked = audit_advice.gravest(held, len(held))
    said = [_one(kind, ranked[0])]
    for one in ranked[1:]:
        name = _one(kind, one)
        if sum(map(len, said)) + len(name) > room:
            break
        said.append(name)
    rest = Counter(one["check"].partition("/")[0] for one in ranked[len(said) :])
    if rest:
        parts = ", ".join(f"{part} {count:,}" for part, count in rest.most_common())
        said.append(f"and {rest.total():,} more ({parts})")
    return "; ".join(said)


def _one(kind: str, finding: Said) -> str:
    title = audit_words.cut(audit_words.title(finding["check"]), _TITLE)
    told = audit_words.evidence(finding).rstrip(".") if kind in _EXPLAINED else ""
    return f"{title} ({audit_words.cut(told, _EVIDENCE)})" if told else title
