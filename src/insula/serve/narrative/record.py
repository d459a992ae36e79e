"""What is known of a case, for a text about it: facts alone, and nothing that names the patient.

Each field takes closed values, numbers, or names that the recipe gave; a record that holds anything else is refused
when it is made. What people or files said in their own words has one place, `notes`, which no text is made from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from insula.core.errors import UsageError
from insula.core.recipe_policy import Source
from insula.core.types import Action
from insula.report.words import REASONS

Side = Literal["left", "right", "bilateral", "midline"]
Verdict = Literal["agree", "disagree", "present", "absent", "undecided"]
Warned = Literal["sides", "geometry", "tilt", "aside", "units", "spacing", "missing", "clinical", "other"]
HeadKind = Literal["classes", "survival", "value"]

OTHER: Final = "other"
REASON_KINDS: Final = frozenset(REASONS) | {OTHER}
NUMBER: Final = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_NAME: Final = re.compile(r"[^\W_][\w .+-]{0,63}")  # as the recipe takes class names
_ROLE: Final = re.compile(r"\w[\w.-]{0,39}")
_MODALITY: Final = re.compile(r"[A-Z]{2,3}")
_BUNDLE: Final = re.compile(r"[0-9a-f]{0,64}")
LONGEST: Final = 400  # of a question


@dataclass(frozen=True)
class Reason:
    """Why a case is referred or rejected.

    kind: a key of `report.words.REASONS`, or `other`. of: whose spread or entropy it was, "" where that is not said.
    value, limit: as the policy wrote them, both or neither.
    """

    kind: str
    value: str = ""
    limit: str = ""
    of: Source | Literal[""] = ""


@dataclass(frozen=True)
class Scanned:
    """One scan of the case: its role in the recipe, its modality there, how many slices were predicted from."""

    role: str
    modality: str
    slices: int


@dataclass(frozen=True)
class Spread:
    """How far each class's probability moves over the draws of a source: standard deviations by class."""

    source: Source
    by_class: Mapping[str, float]
    draws: int | None = None


@dataclass(frozen=True)
class Head:
    """What a trained head said beside the first target: stage, survival, a measure.

    values: probability by class; or `log_hazard` and the event-free probability by days (`event_free_365`); or `value`.
    """

    target: str
    kind: HeadKind
    values: Mapping[str, float]


@dataclass(frozen=True)
class Hottest:
    """Where the map of a class is highest in a scan: slice numbers counted from 1, the highest first."""

    role: str
    label: str
    slices: tuple[int, ...]


@dataclass(frozen=True)
class Reviewed:
    """What a reviewer said of the answer; label: the class that was called present or absent."""

    verdict: Verdict
    label: str = ""


@dataclass(frozen=True)
class CaseRecord:
    """The facts of one case.

    classes, probabilities, spread, prediction_set: of the first target. label: the class that the decision stands for,
    "" for a rejected scan; present: False where labels stand together and the label is not called present. labels:
    those that reach their own thresholds. domain_score: share of validation scans that lie nearer to the training data.
    heads: answers of further trained heads, which staging and survival come from and nothing else. side: only where
    the record holds one. warnings: one entry a warning. notes: what people wrote, kept apart from all texts.

    Raises UsageError for a value that no such record holds.
    """

    question: str
    classes: tuple[str, ...]
    action: Action
    model_name: str
    bundle_id: str = ""
    target: str = ""
    reasons: tuple[Reason, ...] = ()
    label: str = ""
    present: bool = True
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    spread: Spread | None = None
    prediction_set: tuple[str, ...] | None = None
    domain_score: float | None = None
    scans: tuple[Scanned, ...] = ()
    hottest: tuple[Hottest, ...] = ()
    side: Side | None = None
    heads: tuple[Head, ...] = ()
    reviews: tuple[Reviewed, ...] = ()
    warnings: tuple[Warned, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self)
        _check_answer(self)
        _check_closed(self)
        _check_numbers(self)


def _check_numbers(record: CaseRecord) -> None:
    shares = [*record.probabilities.values(), record.confidence, record.domain_score]
    plain = [*(record.spread.by_class.values() if record.spread else ())]
    for head in record.heads:
        for name, value in head.values.items():
            (plain if name == "log_hazard" or head.kind == "value" else shares).append(value)
    for share in shares:
        if share is not None and not 0.0 <= share <= 1.0:
            raise UsageError(f"The share {share} of a case's record is not within 0 and 1; give it as predicted.")
    counts = [s.slices for s in record.scans] + [n for h in record.hottest for n in h.slices or (0,)]
    if not all(math.isfinite(v) for v in plain) or not all(0 < n < 10**6 for n in counts):
        raise UsageError("A case's record holds a number that is not finite, or slices that do not count from 1.")


def _check_names(record: CaseRecord) -> None:
    names = [*record.classes, record.model_name, *(h.target for h in record.heads)]
    names += [name for h in record.heads if h.kind == "classes" for name in h.values]
    names += [record.target] if record.target else []
    _all_match(names, _NAME, "name")
    _all_match([*(s.role for s in record.scans), *(h.role for h in record.hottest)], _ROLE, "role")
    _all_match([s.modality for s in record.scans], _MODALITY, "modality")
    _all_match([record.bundle_id], _BUNDLE, "bundle id")
    if len(record.question) > LONGEST or not record.question.isprintable():
        raise UsageError(f"The question of a case's record is not one printable line of {LONGEST} characters at most.")
    if len(set(record.classes)) != len(record.classes):
        raise UsageError("The classes of a case's record repeat a name; give those of the recipe.")


def _all_match(values: Iterable[str], rule: re.Pattern[str], what: str) -> None:
    for value in values:
        if not rule.fullmatch(value):
            raise UsageError(f"{value[:40]!r} is no {what} of a recipe or bundle; give it as the recipe writes it.")


def _check_answer(record: CaseRecord) -> None:
    held = [*record.probabilities, *record.labels, *(record.prediction_set or ())]
    held += [*(record.spread.by_class if record.spread else ()), *(h.label for h in record.hottest)]
    held += [r.label for r in record.reviews if r.verdict in ("present", "absent")]
    held += [record.label] if record.label else []
    for name in held:
        if name not in record.classes:
            raise UsageError(f"{name[:40]!r} is none of the record's classes {list(record.classes)}.")
    answered: object = record.label or record.probabilities or record.labels or record.prediction_set or record.spread
    answered = answered or record.confidence is not None or record.heads or record.hottest
    if record.action == "reject" and answered:
        raise UsageError("The record of a rejected scan holds an answer; a rejected scan has none.")
    if record.action != "reject" and not record.label:
        raise UsageError(f"The record of a case that is not rejected ({record.action}) has no label.")


def _check_closed(record: CaseRecord) -> None:
    for value, allowed in (
        *((r.kind, REASON_KINDS) for r in record.reasons),
        *((r.of, {"", *get_args(Source)}) for r in record.reasons),
        *((w, get_args(Warned)) for w in record.warnings),
        *((r.verdict, get_args(Verdict)) for r in record.reviews),
        *((h.kind, get_args(HeadKind)) for h in record.heads),
        (record.side, (None, *get_args(Side))),
        (record.action, get_args(Action)),
    ):
        if value not in allowed:
            raise UsageError(f"{str(value)[:40]!r} is not one of {sorted(map(str, allowed))}, which a record may hold.")
    for number in (n for r in record.reasons for n in (r.value, r.limit)):
        if number and not NUMBER.fullmatch(number):
            raise UsageError(f"{number[:40]!r} is no number of a reason; write digits and a point.")
    for head in record.heads:
        allowed_names = {"survival": r"log_hazard|event_free_[0-9]{1,6}(\.[0-9]{1,3})?", "value": "value"}.get(
            head.kind, ".*"
        )
        _all_match(head.values, re.compile(allowed_names), "figure of a trained head")
