"""What is kept of each prediction so that drift can be seen later: a dozen numbers, and nothing that names anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Bundle
from insula.core.types import Prediction
from insula.infer import domain_scale, suitable_statistics

DISTANCE: Final = "distance"
MOST_CLASSES: Final = 8
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Reference:
    """What a bundle knows of cases that it was validated on.

    distances (V,): of its validation cases from its training cases, on the scale of the number `distance` that is kept.
    roles: of its inputs, where it describes pictures. classes: whose probabilities are watched.
    """

    bundle_id: str
    distances: NDArray[np.float64]
    roles: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all that is watched: `distance`, `picture/ROLE/NAME`, `score/CLASS`."""
        pictures = (_picture(role, name) for role in self.roles for name in suitable_statistics.CHOSEN)
        return (DISTANCE, *pictures, *(_score(name) for name in self.classes))


def reference(bundle: Bundle) -> Reference:
    """What drift is measured against; of two exclusive classes the positive one says all, of more at most eight."""
    target, base = bundle.recipe.target, bundle.baseline
    two = target.exclusive and len(target.classes) == 2
    scaled = len(base.scale) > 0
    return Reference(
        bundle.id,
        base.scaled if scaled else np.arange(1, len(base.distances) + 1) / len(base.distances),
        tuple(base.pictures) if scaled else (),
        (target.positive,) if two else target.classes[:MOST_CLASSES],
    )


def monitored(prediction: Prediction, bundle: Bundle) -> dict[str, float]:
    """The column `monitored`: channel → number, six digits each.

    All of it was computed for the prediction itself. A rejected scan whose answer was withheld has no scores; a bundle
    without a scale of distances gives its share of nearer validation cases, and no pictures.
    """
    found = {DISTANCE: prediction.distances.get(domain_scale.ALL, prediction.domain_score)}
    for role, numbers in prediction.looks.items():
        found |= {_picture(role, name): number for name, number in suitable_statistics.chosen(numbers).items()}
    probabilities = dict(zip(prediction.classes, prediction.probabilities.tolist(), strict=True))
    found |= {_score(name): probabilities[name] for name in reference(bundle).classes if name in probabilities}
    return {name: float(f"{float(number):.{_DIGITS}g}") for name, number in found.items()}


def _picture(role: str, name: str) -> str:
    return f"picture/{role}/{name}"


def _score(name: str) -> str:
    return f"score/{name}"
