"""The report of one case: everything that it shows, and nothing that is looked up later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from insula.core.errors import UsageError
from insula.core.types import Action
from insula.infer.heatmap import CLASS_MAP
from insula.metrics.prevalence import AtPrevalence

Language = Literal["en", "tr"]
_TITLES: Final = ("dr", "prof", "mr", "mrs", "ms")
_DECIDES: Final = ("agree", "override")  # verdicts of a reader who stands for what the report says
OVERRULED: Final = "Finding of the model, which its reader does not share"


@dataclass(frozen=True)
class Patient:
    """Whom the report is about.

    subject: the pseudonym, the only one of the three that leaves in FHIR. name, id: as they were given, in any script.
    """

    subject: str
    name: str = ""
    id: str = ""


@dataclass(frozen=True)
class ScanFacts:
    """One scan: its role, how many slices, millimetres between voxels along x, y, z (None where unknown), units."""

    role: str
    modality: str
    slices: int
    spacing: tuple[float, float, float] | None = None
    units: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What was looked at; date: ISO 8601 (`2026-11-26`), or "" where unknown."""

    title: str
    date: str = ""
    scans: tuple[ScanFacts, ...] = ()


@dataclass(frozen=True)
class ClassRow:
    """One class: probability, its standard deviation where it was drawn, its threshold, whether the set holds it."""

    name: str
    probability: float
    spread: float | None = None
    threshold: float | None = None
    in_set: bool = False


@dataclass(frozen=True)
class Given:
    """What the model answered and what the policy made of it.

    kinds: of each reason, in their order, where the record has them. finding: the class that "positive" means.
    set_level: the share of cases whose set should hold the true class. spread_of: what the spread was drawn over.
    """

    action: Action
    label: str = ""
    confidence: float | None = None
    positive: bool | None = None
    finding: str = ""
    classes: tuple[ClassRow, ...] = ()
    reasons: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    domain_score: float | None = None
    set_level: float | None = None
    spread_of: str = "dropout"

    @property
    def prediction_set(self) -> tuple[str, ...]:
        """The classes of the set."""
        return tuple(row.name for row in self.classes if row.in_set)


@dataclass(frozen=True)
class Value:
    """One number of a further answer, with its standard deviation where it was drawn."""

    name: str
    value: float
    spread: float | None = None


@dataclass(frozen=True)
class Further:
    """The answer to a further target: probabilities of its classes, chances to be free of `event`, or a number."""

    target: str
    kind: str
    values: tuple[Value, ...]
    event: str = ""


@dataclass(frozen=True)
class Picture:
    """One slice: the scan as PNG, and the same with the map over it, or None where it shows no map.

    slice: counts from 1, of `of`; part says whether it is a slice, or a tile of a slide. finding: the class whose
    evidence the map is; present: whether the answer is that it is there. top: the heat of the brightest colour, in
    `unit`. sided: whether the patient's right is known to lie on the left of the picture. faint: whether this slice's
    heat is hardly to be seen.
    """

    role: str
    slice: int
    of: int
    scan: bytes
    map: bytes | None = None
    finding: str = ""
    present: bool = False
    top: float | None = None
    unit: str = CLASS_MAP
    sided: bool = False
    faint: bool = False
    colours: str = "inferno"
    part: Literal["slice", "tile"] = "slice"


@dataclass(frozen=True)
class Summary:
    """A few sentences on the case, and who phrased them: the template or a language model."""

    text: str
    source: Literal["template", "model"] = "template"


@dataclass(frozen=True)
class Review:
    """What a reader made of the case, and when. full_name: of the reader's account, "" where it has none."""

    verdict: str
    signed_by: str
    at: datetime
    label: str = ""
    comment: str = ""
    full_name: str = ""

    @property
    def name_parts(self) -> tuple[str, str]:
        """Family and given name where the account's full name is two words; else (what was signed, "")."""
        words = self.full_name.split()
        if len(words) != 2 or words[0].rstrip(".").casefold() in _TITLES:
            return self.signed_by, ""
        first, last = words
        return (first[:-1], last) if first.endswith(",") else (last, first)


@dataclass(frozen=True)
class Measured:
    """A figure of the model, as evaluations have them: its key in `report.words`, value, 95% interval.

    n: patients that it rests on; events: those counted (of a share), or the positive ones. reason: why there is no
    interval.
    """

    key: str
    value: float
    interval: tuple[float, float] | None
    n: int = 0
    events: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """Which model answered. measured_on: in words, the patients of `figures`."""

    name: str
    bundle_id: str
    encoder: str
    insula: str
    figures: tuple[Measured, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True)
class CaseReport:
    """One case as it is shown in HTML, PDF, JSON and FHIR. Raises UsageError for an instant without a time zone."""

    id: str
    made_at: datetime
    patient: Patient
    study: Study
    question: str
    answer: Given
    model: ModelFacts
    language: Language = "en"
    pictures: tuple[Picture, ...] = ()
    prevalences: tuple[AtPrevalence, ...] = ()
    further: tuple[Further, ...] = ()
    summary: Summary | None = None
    notes: tuple[str, ...] = ()
    review: Review | None = None

    @property
    def decided(self) -> bool:
        """Whether a reader stands for what it says; one who cannot tell stands for nothing."""
        return self.review is not None and self.review.verdict in _DECIDES

    @property
    def shared(self) -> bool:
        """Whether nobody objects to what the model found: it has no review, or one that finds the same."""
        review = self.review
        if review is None or review.verdict == "agree":
            return True
        return review.verdict == "override" and review.label == self.answer.label  # labelled without the answer

    @property
    def finding(self) -> str:
        """The finding that stands: the model's where it is shared, else the reader's; "" for none."""
        if self.review is None or self.shared:
            return self.answer.label
        return self.review.label

    def __post_init__(self) -> None:
        for moment in (self.made_at, *([self.review.at] if self.review else [])):
            if moment.tzinfo is None:
                raise UsageError(f"The instant {moment.isoformat()} has no time zone; give it one (UTC, for instance).")


def as_shown(report: CaseReport) -> CaseReport:
    """The report as it may be shown: of a rejected case without anything that could be read as an answer.

    Left are the action with its reasons, the distance from the training data, the scans without maps, and the model's
    name. A summary goes as well: it is free text, in which an answer could stand.
    """
    if report.answer.action != "reject":
        return report
    given = report.answer
    bare = Given("reject", reasons=given.reasons, kinds=given.kinds, domain_score=given.domain_score)
    scans = tuple(
        Picture(one.role, one.slice, one.of, one.scan, sided=one.sided, part=one.part) for one in report.pictures
    )
    model = replace(report.model, figures=(), measured_on="")
    return replace(report, answer=bare, pictures=scans, model=model, prevalences=(), further=(), summary=None)
