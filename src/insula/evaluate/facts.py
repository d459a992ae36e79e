"""What has to be known of a question before its predictions can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.core.recipe import Recipe
from insula.metrics.aggregate import How
from insula.metrics.probabilities import Kind

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Facts:
    """The question, its classes in column order, and the policy that turns probabilities into answers.

    thresholds: class → threshold chosen on validation cases; 0.5 stands in for a class without one. power: of the
    aggregate, where it is learned.
    """

    name: str
    question: str
    target: str
    kind: Kind
    classes: tuple[str, ...]
    positive: str
    thresholds: Mapping[str, float]
    aggregate: How = "mean"
    prevalences: tuple[float, ...] = (0.01, 0.05)
    domain_limit: float = 0.99
    seed: int = 0
    power: float = 1.0

    @property
    def positive_index(self) -> int:
        """Column of the positive class."""
        return self.classes.index(self.positive)

    def threshold(self, name: str) -> float:
        """The class's threshold."""
        return float(self.thresholds.get(name, 0.5))


def of_recipe(recipe: Recipe, thresholds: Mapping[str, float], power: float = 1.0) -> Facts:
    """The facts that a recipe, its chosen thresholds and its learned aggregate hold."""
    target, policy = recipe.target, recipe.policy
    unknown = sorted(set(thresholds) - set(target.classes))
    if unknown:
        raise EvaluationError(f"There are thresholds for {unknown}, which are no classes of '{recipe.name}'.")
    return Facts(
        recipe.name,
        recipe.question,
        recipe.target_name,
        target.kind,
        target.classes,
        target.positive,
        dict(thresholds),
        policy.aggregate,
        policy.prevalences,
        policy.refer.domain,
        recipe.seed,
        power,
    )


def answers(probabilities: Floats, facts: Facts, limits: Floats | None = None) -> Bools:
    """Which classes are called present, (n, K) bool.

    Labels that may stand together: each at its own threshold. Exclusive classes: the positive class where its
    probability reaches its threshold, otherwise the most probable of the others; exactly one per row. limits (n, K):
    thresholds of each row, where the rows were predicted by bundles with thresholds of their own.
    """
    if limits is None:
        limits = np.tile([facts.threshold(name) for name in facts.classes], (len(probabilities), 1))
    if facts.kind == "multilabel":
        called: Bools = probabilities >= limits
        return called
    k = facts.positive_index
    others = np.where(np.arange(len(facts.classes)) == k, -np.inf, probabilities)
    label = np.where(probabilities[:, k] >= limits[:, k], k, others.argmax(axis=1))
    return np.eye(len(facts.classes), dtype=bool)[label]
