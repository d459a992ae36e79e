"""What flows through Insula: frozen dataclasses, no behaviour beyond small properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Units = Literal["HU", "a.u.", "RGB"]
Split = Literal["train", "val", "test", ""]
Action = Literal["accept", "refer", "reject"]
Verdict = Literal["pass", "fail", "cannot tell"]


@dataclass(frozen=True)
class Volume:
    """One scan in memory.

    array: float32 (C, Z, Y, X). Voxel indices run to the patient's Left (x), Posterior (y) and Superior (z) wherever
    the file says where that is, so a slice shows as a radiologist expects it: the patient's right on the left.
    affine: (4, 4), voxel index (x, y, z, 1) → millimetres in LPS. A sheared third column is a tilted gantry.
    full_scale: the largest value that the stored integers could hold, for pictures that carry no physical unit.
    window: (centre, width) that the file itself proposes.
    """

    array: FloatArray
    affine: NDArray[np.float64]
    units: Units
    modality: str
    source: str
    full_scale: float | None = None
    window: tuple[float, float] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between neighbouring voxels along x, y, z."""
        x, y, z = (float(np.linalg.norm(self.affine[:3, i])) for i in range(3))
        return x, y, z


@dataclass(frozen=True)
class Scan:
    """Where one scan lies: one file, or the files of one series, relative to the cohort's root."""

    paths: tuple[str, ...]
    format: str
    study_uid: str = ""
    series_uid: str = ""
    mask: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """What gets one prediction: a patient's scans by role, with labels.

    scans: role → scan; further scans of the same role (several slides or series of one patient) are `role.2`,
    `role.3` and so on. labels: target → names of the classes that are present (one for exclusive classes, any number
    for multilabel). A target that is absent from the mapping was not labelled.
    """

    key: str
    patient: str
    scans: Mapping[str, Scan]
    labels: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, str] = field(default_factory=dict)
    split: Split = ""

    def scans_of(self, role: str) -> tuple[Scan, ...]:
        """All scans of a role in their order; none where the case lacks it."""
        first = self.scans.get(role)
        found = [] if first is None else [first]
        while (more := self.scans.get(f"{role}.{len(found) + 1}")) is not None and found:
            found.append(more)
        return tuple(found)


@dataclass(frozen=True)
class Cohort:
    """A table of cases under one root folder.

    split_level: "patient" when no patient stands in two splits by construction, "picture" when cases were split
    without regard to patients, "" when not split yet.
    patient_ids: False when the source gave no patient ids, so that every file counts as its own patient.
    """

    cases: tuple[Case, ...]
    root: str
    split_level: Literal["", "patient", "picture"] = ""
    patient_ids: bool = True

    def of_split(self, split: Split) -> tuple[Case, ...]:
        """The cases of one split, in table order."""
        return tuple(c for c in self.cases if c.split == split)


@dataclass(frozen=True)
class Heatmap:
    """Class maps of one scan: array (K, S, h, w) at the resolution of the last feature map, in logit units per cell.

    K are the columns of the network, the first target's classes first. slices: for each of the S maps, the slice index
    in the prepared volume. weights: pooling weight per slice (S,).
    """

    array: FloatArray
    slices: tuple[int, ...]
    weights: FloatArray


@dataclass(frozen=True)
class Answer:
    """What the model says to one further question about a case.

    values: probabilities (K,) of `classes`; for survival the log relative hazard and then the probability to be event-
    free at each horizon; for a regression the number. spread: standard deviation of each over dropout passes. names: of
    the values, in order.
    """

    target: str
    kind: str
    names: tuple[str, ...]
    values: FloatArray
    spread: FloatArray | None


@dataclass(frozen=True)
class Uncertainty:
    """How much a prediction moves over the draws of one source: dropout passes, views of the scan, members.

    draws: how many. Over them, (K,) each: mean, spread (standard deviation, n in the denominator), and low to high,
    where 95% of further draws are expected. In nats, entropy of the mean, and mutual_information, the part of it that
    is disagreement between draws; of labels that stand together those of the primary one (see `infer.uncertainty`).
    """

    draws: int
    mean: FloatArray
    spread: FloatArray
    low: FloatArray
    high: FloatArray
    entropy: float
    mutual_information: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one case, before any policy.

    probabilities, spread: (K,) in the bundle's class order; spread is the standard deviation over dropout passes, or
    None when they were not asked for. prediction_set: classes kept at the bundle's conformal level.
    domain_score: distance from the training data as a quantile of validation distances, 0 (typical) to 1 (beyond all).
    heatmaps: by scan, `role` or `role.2` and so on. also: the answers to the recipe's further targets, by their name.
    uncertainty: by source (`dropout`, `views`, `members`), those that were asked for and can be had. distances: from
    the training data by part, 0 at the middle validation case and 1 at the third quartile, and of all parts as `all`,
    1 where 95% of validation cases lie below; empty for bundles that hold no scale for them. looks: role → numbers (F,)
    that describe the prepared pictures (`infer.suitable_statistics`); empty where distances are.
    """

    case: str
    bundle_id: str
    target: str
    classes: tuple[str, ...]
    probabilities: FloatArray
    spread: FloatArray | None
    prediction_set: tuple[str, ...]
    domain_score: float
    embedding: FloatArray
    heatmaps: Mapping[str, Heatmap] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    also: Mapping[str, Answer] = field(default_factory=dict)
    uncertainty: Mapping[str, Uncertainty] = field(default_factory=dict)
    distances: Mapping[str, float] = field(default_factory=dict)
    looks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What the policy makes of a prediction: a class, and whether a person has to look, with reasons.

    accept: the class stands. refer: a person has to look at it. reject: no such scan, so there is no class (label "").
    kinds: of each reason, in their order, by which reasons can be counted; `insula.infer.decide` names them.
    """

    label: str
    positive: bool
    confidence: float
    action: Action
    reasons: tuple[str, ...]
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One result of an audit check: a value with its interval against a limit."""

    check: str
    value: float
    interval: tuple[float, float] | None
    limit: float
    verdict: Verdict
    evidence: str
