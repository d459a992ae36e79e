"""What a bundle keeps for each target beside the first: temperatures of classes, baseline hazards of survival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import FurtherFacts
from insula.core.recipe import Recipe, Target
from insula.metrics import calibration
from insula.metrics.aggregate import fit_power
from insula.metrics.probabilities import from_logits
from insula.metrics.survival import breslow, survival

if TYPE_CHECKING:
    from insula.export.finish import Measured

Values = NDArray[np.float64]
Labels = NDArray[np.bool_]


def facts(val: Measured, train: Measured, recipe: Recipe) -> dict[str, FurtherFacts]:
    """Facts of all targets beside the first; ExportError for one without labelled validation cases.

    The temperature is fitted on validation inputs. The baseline hazard is Breslow's over training and validation
    patients together, since validation alone holds few events.
    """
    return {name: _facts(name, target, val, train, recipe) for name, target in recipe.further.items()}


def _facts(name: str, target: Target, val: Measured, train: Measured, recipe: Recipe) -> FurtherFacts:
    columns, labels, owners = val.of_target(recipe, name)
    if target.kind == "regression":
        return FurtherFacts()
    if target.kind == "survival":
        more, known, _ = train.of_target(recipe, name)
        risk = np.concatenate([columns[:, 0], more[:, 0]]).astype(np.float64)
        time, event = np.concatenate([labels, known]).T
        free = survival(breslow(time, event > 0.5, risk), [0.0], target.horizons)[0]
        return FurtherFacts(hazards=tuple(float(h) for h in -np.log(free)))
    temperature = calibration.fit_temperature(columns, labels > 0.5, target.kind)
    if recipe.policy.aggregate != "learned":
        return FurtherFacts(temperature=temperature)
    rows, truth = by_owner(from_logits(columns, temperature, target.kind), labels > 0.5, owners)
    return FurtherFacts(temperature=temperature, power=fit_power(rows, truth, target.kind))


def by_owner(p: Values, labels: Labels, owners: Sequence[str]) -> tuple[list[Values], Labels]:
    """The rows of each patient, in the order in which they come, and the labels that any of their inputs has."""
    keys = np.asarray(owners)
    groups = [np.flatnonzero(keys == owner) for owner in dict.fromkeys(owners)]
    return [p[rows] for rows in groups], np.stack([labels[rows].any(axis=0) for rows in groups])
