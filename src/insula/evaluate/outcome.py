"""The evaluation report: everything that was measured, frozen, and its form as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from insula.evaluate.evidence import Baselines, Guard, Looks, Permutation, Readers, Seeds, Site
from insula.evaluate.facts import Facts
from insula.evaluate.further import Further
from insula.metrics.calibration import Reliability
from insula.metrics.intervals import Figure
from insula.metrics.prevalence import AtPrevalence

if TYPE_CHECKING:
    import pandas as pd

LIMITS = "Research use only; not a medical device."


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest: its threshold, the four cells, every figure, and the ROC curve's corners."""

    threshold: float | None
    tp: int
    fp: int
    fn: int
    tn: int
    figures: Mapping[str, Figure]
    roc: tuple[tuple[float, ...], tuple[float, ...]] | None


@dataclass(frozen=True)
class Curves:
    """What the figures of the positive class are drawn from.

    band: false positive rates, then the lower and upper 95% ends of the true positive rate there. observed: Wilson's
    interval for each point of the reliability diagram. edges, histogram: cases per probability bin, by true class.
    """

    band: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None
    reliability: Reliability
    observed: tuple[tuple[float, float], ...]
    edges: tuple[float, ...]
    histogram: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Level:
    """All figures on one level: `patient` (pooled, one row per patient) or `case` (one row per picture or series).

    confusion: rows the true class, columns the answer; None for labels that may stand together.
    """

    name: str
    rows: int
    patients: int
    replicates: int
    overall: Mapping[str, Figure]
    macro: Mapping[str, Figure]
    classes: Mapping[str, ClassFigures]
    confusion: tuple[tuple[int, ...], ...] | None
    curves: Curves


@dataclass(frozen=True)
class LesionFigures:
    """Where the map of one class lies over its true positives with a mask; lesion: the one kind of theirs, "" for all.

    iou: of what is at least `Localisation.level` of the peak. inside, near, outside: shares of the heat in the lesion,
    in the rest of the region (brain or head), beyond it. chance: what a map that is the same everywhere would have,
    mean over the cases: `lesion` (iou, pointing, inside), `near`, `outside`; and `lesion_in_region`, what one that is
    the same all over the region would have.
    """

    map_of: str
    lesion: str
    n: int
    iou: Figure
    pointing: Figure
    inside: Figure
    near: Figure
    outside: Figure
    chance: Mapping[str, float]


@dataclass(frozen=True)
class Localisation:
    """Whether the heat lies on the lesion, over true positives with a mask.

    Of the positive class: hits of n heat peaks lie inside; chance is the lesions' mean share of the scan, what a random
    point would reach; heat_inside is the mean share of the heat that falls inside. level: share of a map's peak from
    which it counts for the overlap. region: `brain`, `head`, both or "". lesions: all figures, of every class and kind.
    """

    n: int
    hits: int
    pointing: Figure
    heat_inside: float
    chance: float
    level: float = 0.5
    region: str = ""
    lesions: tuple[LesionFigures, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One kind of reason for which cases were referred or rejected; kind: see `insula.infer.decide`.

    share: of all cases, those that have it. alone: those that have no other and would be accepted without it. wrong,
    wrong_alone: wrong answers among either, as far as the model was asked. A rejected case is asked for no second
    reason, so that nothing is known of those alone.
    """

    kind: str
    action: str
    share: Figure
    wrong: Figure
    alone: Figure | None
    wrong_alone: Figure | None


@dataclass(frozen=True)
class HeldBack:
    """What became of wrong answers by referring and rejecting cases that the model was asked about.

    asked: share of these cases that were not accepted. caught: share of the wrong answers that were not, which a lot
    would bring to the same. accepted, referred: wrong answers among these. reasons: referrals first, then rejections
    (those before the model was asked too), the commonest first.
    """

    asked: Figure
    caught: Figure
    accepted: Figure
    referred: Figure
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Failure:
    """A case that could not be predicted, and why.

    rejected: it is no such scan, or no readable one; kind: of the refusal, see `insula.infer.decide`.
    """

    case: str
    reason: str
    rejected: bool = False
    patient: str = ""
    kind: str = ""


@dataclass(frozen=True)
class EvaluationReport:
    """One model on one cohort. `patient` holds the figures to quote; `case` is None when every patient has one case.

    optimistic: reasons why the figures are better than they would be on new patients; where there is any, the headline
    says so instead of the figures. table: the predictions, one row per case. The fields after it stand beside the
    figures (see insula.evaluate.evidence); None where there was nothing to make one from.
    """

    facts: Facts
    source: Mapping[str, Any]
    headline: str
    optimistic: tuple[str, ...]
    notes: tuple[str, ...]
    patient: Level
    case: Level | None
    prevalence: tuple[AtPrevalence, ...]
    coverage: Mapping[str, Figure] | None
    domain: Mapping[str, Figure] | None
    localisation: Localisation | None
    failures: tuple[Failure, ...]
    table: pd.DataFrame = field(repr=False, compare=False)
    guards: tuple[Guard, ...] = ()
    looks: Looks | None = None
    site: Site | None = None
    baselines: Baselines | None = None
    permutation: Permutation | None = None
    readers: Readers | None = None
    seeds: Seeds | None = None
    further: Mapping[str, Further] = field(default_factory=dict)
    held_back: HeldBack | None = None

    @property
    def positive(self) -> ClassFigures:
        """The positive class on patient level."""
        return self.patient.classes[self.facts.positive]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON data, without the table; what is not a number becomes null, with its reason."""
        content = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "table"}
        return {"limits": LIMITS, **content}


def plain(value: Any) -> Any:
    """Dataclasses, mappings, lists and NumPy's numbers as JSON data; what is not a finite number becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
