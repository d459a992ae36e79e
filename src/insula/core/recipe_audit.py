"""How far a model may fail before an audit says so."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from insula.core.recipe_section import Probability, Section

Limit = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Robustness(Section):
    """What may be lost when the scan is disturbed as scanners and archives disturb it; null: measured, not judged.

    roc_auc, sensitivity: lost at the everyday strength of any corruption. mean_roc_auc: lost on average over all
    corruptions and strengths. corruptions: those that are tried; all that suit the scan where it is empty. grades: of
    the five strengths of each, those that are tried, the everyday one always among them. most: patients that are looked
    at, as many positive as negative where there are enough, since every strength costs them a prediction. events:
    positives, and negatives, without which nothing is said.
    """

    roc_auc: Limit | None = 0.05
    sensitivity: Limit | None = 0.1
    mean_roc_auc: Limit | None = 0.1
    corruptions: tuple[str, ...] = ()
    grades: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(default=(1, 2, 3, 4, 5), min_length=1)
    most: Count = 200
    events: Count = 20


class Subgroups(Section):
    """How far a group may lie from all others; null: measured, not judged.

    by: columns of the cohort that make groups, attributes of the scan (`kernel` or `ct.kernel`), `noise` and
    `sharpness`; all that vary where it is empty. events: positives, and negatives, that a group and all others need
    before anything is said. age: first years of the age bands; none: no bands. intersections: whether groups of two
    columns are looked at as well. roc_auc, sensitivity, specificity: how far below that of all others.
    calibration: of the share of positives less the mean probability, either way.
    """

    by: tuple[str, ...] = ()
    age: tuple[Annotated[int, Field(ge=1, le=120)], ...] = (18, 40, 60, 75)
    events: Count = 20
    roc_auc: Limit | None = 0.1
    sensitivity: Limit | None = 0.1
    specificity: Limit | None = 0.1
    calibration: Limit | None = 0.1
    intersections: bool = True


class Shortcuts(Section):
    """What a model may rest on beside the disease; null: measured, not judged.

    outside: share of the heat outside the head or brain, and of that at the border of the picture, above that of
    networks with weights drawn anew. trivial: of what the model reaches above a ROC-AUC of 0.5, the part that a model
    without the disease reaches. marks: difference of the share of marked pictures between positives and negatives.
    moved: mean change of the probability where the background, or a marked place, is exchanged between a positive and a
    negative case. most: patients whose background is exchanged and whose heat is held against networks with weights
    drawn anew, which takes time; what bears a mark is exchanged beside them.
    """

    outside: Limit | None = 0.1
    trivial: Probability | None = 0.5
    marks: Limit | None = 0.2
    moved: Limit | None = 0.1
    most: Count = 200


class Skull(Section):
    """What may change when the bone is taken out of a CT; null: measured, not judged.

    roc_auc: lost without bone. changed: share of patients whose answer changes, which a threshold that was chosen on
    scans with bone may do by itself.
    """

    roc_auc: Limit | None = 0.05
    changed: Probability | None = None


class Calibration(Section):
    """How far the probabilities may be off; null: measured, not judged.

    slope: of the logits, its distance from 1. confidence: mean confidence less the share right, either way.
    """

    slope: Limit | None = 0.5
    confidence: Limit | None = 0.15


class Shift(Section):
    """How far these cases may differ from training, and sites from each other; null: measured, not judged.

    prevalence: ratio of the odds of the positive class here and in training, either way. slope: of the Hounsfield scale
    at one site, against all others, either way.
    """

    prevalence: Annotated[float, Field(gt=1.0, allow_inf_nan=False)] | None = 2.0
    slope: Limit | None = 0.05


class Audit(Section):
    """Limits of `insula audit`: a finding fails where its 95% interval lies wholly beyond the limit.

    A corruption and a subgroup must also differ beyond chance, corrected for how many of them are looked at.

    robustness: what disturbances of the scan may cost. subgroups: how far a group may fall behind. shortcuts: what a
    model may rest on beside the disease. skull: what the bone may carry. calibration: how far probabilities may be off.
    shift: how far these cases may differ from training. label_noise: share of patients whose label the model
    contradicts with confidence.
    """

    robustness: Robustness = Robustness()
    subgroups: Subgroups = Subgroups()
    shortcuts: Shortcuts = Shortcuts()
    skull: Skull = Skull()
    calibration: Calibration = Calibration()
    shift: Shift = Shift()
    label_noise: Probability | None = 0.03
