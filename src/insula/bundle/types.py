"""What a trained model consists of, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.recipe import Recipe
from insula.metrics.recalibrate import Recalibration


@dataclass(frozen=True)
class FurtherFacts:
    """What belongs to a target beside the first: the temperature of its classes, or, for survival, the cumulative
    baseline hazard at each of its horizons (NaN beyond the end of follow-up). power: of the learned aggregate.
    """

    temperature: float = 1.0
    hazards: tuple[float, ...] = ()
    power: float = 1.0


@dataclass(frozen=True)
class DecisionFacts:
    """What was chosen on validation cases, and never on test cases.

    thresholds: class → probability from which it counts as present. temperature: logits are divided by it. conformal:
    one quantile per class, in class order, on the score 1 - p. further: target → its facts. accept_from: the least
    confidence that is accepted, where the policy bounds the risk; above 1 nothing is. chosen_on: salted hashes of the
    patients that thresholds, quantiles and bounds come from. recalibration: what follows the temperature.
    power: of the power mean that pools a patient's inputs, where the policy's aggregate is learned.
    """

    thresholds: Mapping[str, float]
    temperature: float
    conformal: tuple[float, ...]
    further: Mapping[str, FurtherFacts] = field(default_factory=dict)
    accept_from: float | None = None
    chosen_on: tuple[str, ...] = ()
    recalibration: Recalibration | None = None
    power: float = 1.0


@dataclass(frozen=True, eq=False)
class Baseline:
    """What the model was trained on, without naming anybody.

    patients: salted hashes (`patients.hash_patient`) of the training patients. files: SHA-256 of the training files.
    embedding_mean (E,) and embedding_precision (E, E): of training embeddings. distances (M,): Mahalanobis distances
    of validation cases, rising. pixel_mean, pixel_std: of prepared training slices. sites: salted hashes of the
    training sites. codes (M, 4), code_medians (256,): of training pictures, as `evaluate.near` compares them.

    neighbours (R, E): directions of training embeddings. pictures: role → mean (F,) and precision (F, F) of the numbers
    by which `infer.suitable_statistics` describes training pictures. scale (P, 2): of each distance by part and of all
    (`infer.domain_scale.names`) the middle validation case, and where three quarters or 95% of them lie below. scaled
    (V,): validation cases on that scale, rising. A bundle without a scale has none of the four.
    """

    patients: tuple[str, ...]
    files: tuple[str, ...]
    salt: str
    split_level: str
    patient_ids: bool
    class_counts: Mapping[str, int]
    embedding_mean: NDArray[np.float64]
    embedding_precision: NDArray[np.float64]
    distances: NDArray[np.float64]
    pixel_mean: float
    pixel_std: float
    sites: tuple[str, ...] = ()
    codes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 4), np.uint64))
    code_medians: NDArray[np.float32] = field(default_factory=lambda: np.zeros(256, np.float32))
    neighbours: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    pictures: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)
    scale: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    scaled: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def neighbour_rows(self) -> NDArray[np.float32]:
        """The neighbours in the numbers that are computed with: turning them takes longer than comparing with them."""
        return self.neighbours.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded and verified bundle; the graphs and weights stay on disk. files: name → SHA-256 of each file."""

    path: Path
    id: str
    recipe: Recipe
    decision: DecisionFacts
    baseline: Baseline
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything that `save.save` writes."""

    recipe: Recipe
    model_onnx: bytes
    head_onnx: bytes
    weights: bytes
    decision: DecisionFacts
    baseline: Baseline
    metrics: Mapping[str, Any]
    model_card: str
    provenance: Mapping[str, Any]
