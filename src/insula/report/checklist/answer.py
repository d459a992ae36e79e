"""One answer of a record to an item of a checklist, and the facts that several answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insula.report import words
from insula.report.record import Record


@dataclass(frozen=True)
class Answer:
    """What the record says, and what the author has to add; `left` is empty where nothing is."""

    said: str
    left: str = ""


def cases(r: Record) -> str:
    """How many patients and cases were judged, and how many are positive."""
    level, c = r["patient"], positive(r)
    ill = f"{c['tp'] + c['fn']:,} with {r['facts']['positive']}"
    if level["name"] == "case":  # nobody knows whose they are
        return f"{words.plural(level['patients'], 'case')}, {ill}"
    return f"{words.plural(level['patients'], 'patient')} ({words.plural(r['cases']['rows'], 'case')}), {ill}"


def bundles(r: Record) -> tuple[str, ...]:
    """The bundles that predicted, where they are several, each its own part; empty for one or for none."""
    return tuple((r.get("source") or {}).get("bundles") or ())


def failed(r: Record) -> str:
    """How many cases could not be predicted."""
    count = len(r["failures"])
    if not count:
        return "Every labelled case was predicted."
    return f"{words.plural(count, 'case')} could not be predicted, listed with reasons, in no figure."


def positive(r: Record) -> Any:
    """The positive class on patient level."""
    return r["patient"]["classes"][r["facts"]["positive"]]


def recipe_of(r: Record) -> Any:
    """The recipe; None where predictions came without their model."""
    return (r.get("model") or {}).get("recipe")


def trained_on(r: Record) -> Any:
    """What the bundle says of its training data; None without one."""
    return (r.get("model") or {}).get("trained_on")


def training_of(r: Record) -> Mapping[str, Any]:
    """What the bundle says of its training; empty without one."""
    held: Mapping[str, Any] = ((r.get("model") or {}).get("metrics") or {}).get("training") or {}
    return held


def network(r: Record) -> str:
    """The network in a few words; empty without a recipe."""
    recipe = recipe_of(r)
    if not recipe:
        return ""
    m = recipe["model"]
    return f"{m['encoder']}, pooling by {m['pool']}, dropout {words.flat(m['dropout'])}"


def version(r: Record) -> str:
    """The version of Insula that wrote the record."""
    return str(r["origin"]["insula"])


def versions(origin: Mapping[str, Any]) -> str:
    """Versions in one line."""
    packages = words.flat(origin.get("packages") or {})
    return f"Insula {origin['insula']}, Python {origin['python']}, {packages}"


def told(figure: Mapping[str, Any]) -> str:
    """A figure with its interval in one line."""
    return f"{words.value(figure)} ({words.interval(figure)})"
