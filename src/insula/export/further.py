"""What a bundle keeps for each target beside the first: temperatures of classes, baseline hazards of survival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from insula.bundle.types import FurtherFacts
from insula.core.recipe import Recipe, Target
from insula.metrics import calibration
from insula.metrics.survival import breslow, survival

if TYPE_CHECKING:
    from insula.export.finish import Measured


def facts(val: Measured, train: Measured, recipe: Recipe) -> dict[str, FurtherFacts]:
    """Facts of all targets beside the first; ExportError for one without labelled validation cases.

    The temperature is fitted on validation inputs. The baseline hazard is Breslow's over training and validation
    patients together, since validation alone holds few events.
    """
    return {name: _facts(name, target, val, train, recipe) for name, target in recipe.further.items()}


def _facts(name: str, target: Target, val: Measured, train: Measured, recipe: Recipe) -> FurtherFacts:
    columns, labels, _ = val.of_target(recipe, name)
    if target.kind == "regression":
        return FurtherFacts()
    if target.kind == "survival":
        more, known, _ = train.of_target(recipe, name)
        risk = np.concatenate([columns[:, 0], more[:, 0]]).astype(np.float64)
        time, event = np.concatenate([labels, known]).T
        free = survival(breslow(time, event > 0.5, risk), [0.0], target.horizons)[0]
        return FurtherFacts(hazards=tuple(float(h) for h in -np.log(free)))
    return FurtherFacts(temperature=calibration.fit_temperature(columns, labels > 0.5, target.kind))
