"""From a written prediction to the record of a case: free text goes in, closed facts come out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast, get_args

from insula.core.recipe import Recipe
from insula.core.recipe_policy import Source
from insula.core.types import Action
from insula.serve.narrative.record import (
    LONGEST,
    OTHER,
    REASON_KINDS,
    CaseRecord,
    Head,
    Hottest,
    Reason,
    Reviewed,
    Scanned,
    Side,
    Spread,
    Warned,
)

_N: Final = r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)"
_OVER: Final = r"(?: over (views|members))?"
_NAMED: Final = {"spread": "spread", "entropy": "entropy", "mutual information": "mutual_information"}
_COMPARED: Final = re.compile(rf"(spread|entropy|mutual information){_OVER} {_N} is above {_N}")
_BELOW: Final = re.compile(rf"confidence {_N} is below {_N}(, from where on the risk is bounded on .*)?")
# how a refusal begins, of which the rest may quote a header or a file and is not read
_BEGIN: Final = (
    ("the risk could not be bounded on validation patients", "risk_unbounded"),
    ("the scan is unlike the training scans (", "domain"),
    ("the scan is too unlike the training scans to be answered: ", "distance"),
    ("The scan is blank: ", "blank"),
    ("The prepared scan is blank: ", "blank"),
    ("The picture is in colour, ", "colour"),
    ("The header says that the scan shows '", "body_part"),
    ("The prepared scan is black and white: ", "saturated"),
)
_WARNED: Final[tuple[tuple[re.Pattern[str], Warned], ...]] = tuple(
    (re.compile(rule, re.DOTALL), cast(Warned, kind))
    for rule, kind in (
        (r".*left and right (?:not certain|as shown)", "sides"),
        (r"doubtful header: .*", "geometry"),
        (r"slices lean by .*", "tilt"),
        (r"tilt removed by resampling", "tilt"),
        (r"[0-9]+ [a-z]+ set aside: .*", "aside"),
        (r"CT without a rescale to Hounsfield units(?: \(.*)?", "units"),
        (r"not HU: the picture's own window was kept", "units"),
        (r"no (?:usable )?pixel spacing in the header: 1 mm assumed", "spacing"),
        (r"no scan for '.*': predicted without it", "missing"),
        (r"not known of the patient: .*", "clinical"),
    )
)


def read_reason(text: str, kind: str = "") -> Reason:
    """The kind and numbers of a reason that `infer.decide` wrote; anything else in it is dropped.

    kind: as `Decision.kinds` has it, "" where that was not kept. A text of no known form is of the kind `other`.
    """
    if found := _BELOW.fullmatch(text):
        return Reason("risk" if found[3] else "confidence", found[1], found[2])
    if found := _COMPARED.fullmatch(text):
        return Reason(_NAMED[found[1]], found[3], found[4], cast(Source, found[2] or "dropout"))
    if kind in REASON_KINDS:
        return Reason(kind)
    return Reason(next((known for begin, known in _BEGIN if text.startswith(begin)), OTHER))


def read_warning(text: str) -> Warned:
    """The kind of a warning about a scan; what it quotes of a header or a file name is dropped."""
    return next((kind for rule, kind in _WARNED if rule.fullmatch(text)), "other")


def record_of(
    written: Mapping[str, Any],
    recipe: Recipe,
    *,
    kinds: Sequence[str] = (),
    scans: Sequence[Scanned] = (),
    hottest: Sequence[Hottest] = (),
    labels: Sequence[str] = (),
    side: Side | None = None,
    reviews: Sequence[Reviewed] = (),
    notes: Sequence[str] = (),
) -> CaseRecord:
    """The record of a case from what `infer.writers.as_dict` wrote of its prediction and decision.

    kinds: `Decision.kinds`, where they were kept. The case's key, distances and whatever else is in `written` are not
    taken over. Raises UsageError for a prediction of another recipe.
    """
    target = recipe.target
    label, present = str(written["label"]), True
    if label not in target.classes and label.startswith("no ") and label[3:] in target.classes:
        label, present = label[3:], False
    reasons = list(written["reasons"])
    known = [*kinds, *[""] * len(reasons)]
    action = cast(Action, written["decision"])
    answered = action != "reject"
    return CaseRecord(
        question=_line(recipe.question),
        classes=tuple(target.classes),
        action=action,
        model_name=recipe.name,
        bundle_id=str(written.get("bundle") or ""),
        target=recipe.target_name,
        reasons=tuple(read_reason(str(text), kind) for text, kind in zip(reasons, known, strict=False)),
        label=label,
        present=present,
        confidence=float(written["confidence"]) if answered else None,
        probabilities={c: float(p) for c, p in written["probabilities"].items() if p is not None},
        labels=tuple(labels),
        spread=_spread(written) if answered else None,
        prediction_set=tuple(written["prediction_set"]) if answered else None,
        domain_score=float(written["domain_score"]),
        scans=tuple(scans),
        hottest=tuple(hottest),
        side=side,
        heads=tuple(_head(name, answer) for name, answer in written["also"].items() if name in recipe.further),
        reviews=tuple(reviews),
        warnings=tuple(read_warning(str(text)) for text in written["warnings"]),
        notes=tuple(notes),
    )


def in_words(record: CaseRecord, recipe: Recipe) -> CaseRecord:
    """The record with classes called as people read them, where the recipe has words for them."""
    say = recipe.target.say
    spread = record.spread
    return replace(
        record,
        classes=tuple(say(name) for name in record.classes),
        label=say(record.label),
        probabilities={say(name): p for name, p in record.probabilities.items()},
        labels=tuple(say(name) for name in record.labels),
        spread=None if spread is None else replace(spread, by_class={say(k): v for k, v in spread.by_class.items()}),
        prediction_set=None if record.prediction_set is None else tuple(say(name) for name in record.prediction_set),
        hottest=tuple(replace(one, label=say(one.label)) for one in record.hottest),
        heads=tuple(
            replace(one, values={recipe.targets[one.target].say(k): v for k, v in one.values.items()})
            for one in record.heads
        ),
        reviews=tuple(replace(one, label=say(one.label)) for one in record.reviews),
    )


def _line(text: str) -> str:
    """One printable line, not too long for a record."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:LONGEST]


def _spread(written: Mapping[str, Any]) -> Spread | None:
    for source in get_args(Source):
        if (found := written["uncertainty"].get(source)) is not None:
            held = {c: float(v) for c, v in found["spread"].items() if v is not None}
            return Spread(source, held, int(found["draws"]))
    spread = written["spread"]
    return None if spread is None else Spread("dropout", {c: float(v) for c, v in spread.items() if v is not None})


def _head(name: str, answer: Mapping[str, Any]) -> Head:
    values = {n: float(v) for n, v in answer["values"].items() if v is not None}
    kind = answer["kind"]
    return Head(name, "survival" if kind == "survival" else "value" if kind == "regression" else "classes", values)
