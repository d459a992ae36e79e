"""What stands beside the figures of a report, and says how far they may be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from insula.core.types import Verdict
from insula.metrics.compare import Discordance
from insula.metrics.intervals import Figure

Standing = Literal["external", "internal", "not known"]


@dataclass(frozen=True)
class Guard:
    """One thing that would make the figures better than they are on new patients, and whether it was found.

    name: split, patients, files, pictures, threshold, plan or chance. verdict: a fail takes the headline's place.
    finding: one clause. evidence: up to 20 case keys or pairs of them.
    """

    name: str
    verdict: Verdict
    finding: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be judged, written down before the first look at the test set.

    hash: of everything below but the time. test_set: of the keys, patients, labels and files of the cases. primary: the
    figure that the headline is about. figures: those that are computed beside it. thresholds: class → the one used, or
    `model: class` where several models are judged in one look. models: ids of the bundles, or a hash of
    predictions made elsewhere, whatever their order.
    """

    hash: str
    test_set: str
    cases: int
    patients: int
    split: str
    models: tuple[str, ...]
    target: str
    positive: str
    thresholds: Mapping[str, float]
    aggregate: str
    primary: str
    figures: tuple[str, ...]
    replicates: int
    seed: int
    time: str


@dataclass(frozen=True)
class Look:
    """One earlier or the present look: when, with which models, by which plan, on how many of the same cases."""

    number: int
    time: str
    models: tuple[str, ...]
    plan: str
    shared: int


@dataclass(frozen=True)
class Looks:
    """The plan, and how often its cases were looked at, this look included.

    number: of this look, where looks at any of the same cases count. models: how many different models were judged on
    them. changes: what differs from the plan of the first look. record: the file that counts; intact: whether its chain
    of hashes holds. history: the last 20 looks. sentence: the count in words.
    """

    plan: Plan
    number: int
    first: str
    models: int
    changes: tuple[str, ...]
    record: str
    intact: bool
    history: tuple[Look, ...]
    sentence: str


@dataclass(frozen=True)
class TrivialModel:
    """A model that knows nothing of the disease, fitted on the training cases and judged on the same test patients.

    name: metadata, border, silhouette or thumbnail. title: what it sees, for people. inputs: its columns, or what of
    the picture. method: what was fitted. difference: the report's model minus this one, in ROC-AUC. within: the
    report's model is not clearly above it (the difference's interval reaches 0 or lies below).
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    method: str
    train_patients: int
    roc_auc: Figure
    difference: Figure
    within: bool


@dataclass(frozen=True)
class Baselines:
    """The trivial models beside the headline; reasons: name → why one could not be fitted. sentence: what they say."""

    models: tuple[TrivialModel, ...]
    reasons: Mapping[str, str]
    sentence: str


@dataclass(frozen=True)
class Permutation:
    """The ROC-AUC against the same predictions with the labels shuffled over patients.

    low, high: the middle 95% of the shuffled ones. p_value: the share of them that is as high, the sample itself
    counted once; None where the ROC-AUC is not defined.
    """

    roc_auc: float | None
    low: float | None
    high: float | None
    p_value: float | None
    shuffles: int


@dataclass(frozen=True)
class Reader:
    """One reader on the cases that were read, `cases` of the `total` judged. model_*: the model on the same cases.

    kappa, agreement: of the reader with the model. point: false and true positive rate, to stand beside the ROC curve.
    only_reader, only_model of `mcnemar`: cases where only the first (the reader) or the second (the model) is right.
    """

    name: str
    cases: int
    total: int
    patients: int
    sensitivity: Figure
    specificity: Figure
    model_sensitivity: Figure
    model_specificity: Figure
    model_roc_auc: Figure
    agreement: Figure
    kappa: Figure
    point: tuple[float | None, float | None]
    mcnemar: Discordance | None


@dataclass(frozen=True)
class Readers:
    """Readers beside the model, on the level of cases. fleiss: agreement among readers, over what all of them read.

    between: "A and B" → Cohen's kappa of two readers over what both read. notes: what was left out.
    """

    readers: tuple[Reader, ...]
    fleiss: Figure | None
    between: Mapping[str, Figure]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Whether the test cases come from elsewhere than the training cases.

    standing: external only where every test case names a site, the training sites are known, and none is shared.
    patients: of the test cases by site; those of a site that was trained on: `shared` of `total`.
    """

    standing: Standing
    reason: str
    sites: Mapping[str, int]
    shared: int
    total: int


@dataclass(frozen=True)
class Spread:
    """One figure over several seeds: values in the order of the bundles, their mean, range and standard deviation."""

    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    sd: float


@dataclass(frozen=True)
class Seeds:
    """Several bundles of one recipe that differ in their seed alone: figures of the positive class per patient.

    No best one is chosen: the headline is the mean with its range; the figures of the report are those of the first
    bundle as given.
    """

    bundles: tuple[str, ...]
    seeds: tuple[int, ...]
    figures: Mapping[str, Spread]
