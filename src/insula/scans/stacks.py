"""Which slices of one series belong into one stack: several echoes, time points or stacks are never mixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

_MOST_NAMED = 6
_WHOLE = 0.8  # a trait divides a series into stacks when one part still covers this share of all places
_ALWAYS = "stack"  # a file that numbers its stacks is taken at its word even where they lie apart


def one(
    traits: Sequence[Mapping[str, str]], places: Sequence[Hashable], noun: str = "file"
) -> tuple[list[int], list[str]]:
    """Indices of the slices to keep, and a sentence for each trait by which others were set aside.

    traits: for every slice, what may tell it from another one in the same place; places: where each lies. Slices are
    divided only where several lie in one place and differ in a trait there, so a value that merely runs along the
    stack divides nothing. Kept is the part that covers the most places; of equals the one that comes first.
    """
    kept = list(range(len(traits)))
    notes: list[str] = []
    for name in dict.fromkeys([_ALWAYS, *(key for each in traits for key in each)]):
        crowded = len({places[i] for i in kept}) < len(kept)
        if not crowded and name != _ALWAYS:
            break
        parts: dict[str, list[int]] = {}
        for i in kept:
            parts.setdefault(traits[i].get(name, ""), []).append(i)
        if len(parts) < 2 or not (name == _ALWAYS or _differs(kept, traits, places, name)):
            continue
        covered = len({places[i] for i in kept})
        best = max(parts.values(), key=lambda part: (len({places[i] for i in part}), -part[0]))
        if name != _ALWAYS and len({places[i] for i in best}) < _WHOLE * covered:
            continue
        notes.append(_note(name, parts, best, noun))
        kept = best
    return kept, notes


def _differs(kept: Sequence[int], traits: Sequence[Mapping[str, str]], places: Sequence[Hashable], name: str) -> bool:
    """Whether slices in one place differ in a trait."""
    seen: dict[Hashable, str] = {}
    return any(seen.setdefault(places[i], traits[i].get(name, "")) != traits[i].get(name, "") for i in kept)


def _note(name: str, parts: Mapping[str, list[int]], best: list[int], noun: str) -> str:
    counts = Counter({value: len(part) for value, part in parts.items()})
    chosen = next(value for value, part in parts.items() if part is best)
    others = [f"{_short(value)}: {count}" for value, count in counts.items() if value != chosen]
    listed = ", ".join(others[:_MOST_NAMED]) + (", ..." if len(others) > _MOST_NAMED else "")
    return (
        f"the series holds {len(parts)} stacks by {name}: the {len(best)} {noun}s of {_short(chosen)} are read, "
        f"set aside are {listed}"
    )


def _short(value: str) -> str:
    return f"'{value if len(value) <= 40 else value[:37] + '...'}'"
