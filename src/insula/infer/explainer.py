"""What an explainer is asked and what it gives; and the first of them, the class map of the bundle's own graph.

None of them says that an answer is right, or why: it says where in the scan a score comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import UsageError
from insula.core.labels import clinical
from insula.core.types import FloatArray, Heatmap
from insula.infer import calibrated
from insula.infer.engine import Outputs
from insula.infer.feed import Feed, Views, of_case
from insula.infer.predict import Predictor, heatmaps
from insula.metrics.probabilities import from_logits

Measure = Literal["score", "probability"]
BRIGHTEST: Final = 0.995  # of maps of single pixels


@dataclass(frozen=True)
class Patch:
    """What occlusion covers at a time: a square of `size` pixels in `depth` neighbouring slices, every `stride` pixels.

    fill: by what, the slice's own blurred picture or its mean.
    """

    size: int = 32
    stride: int = 16
    depth: int = 1
    fill: Literal["blur", "mean"] = "blur"

    def __post_init__(self) -> None:
        if self.size < 1 or self.depth < 1 or not 1 <= self.stride <= self.size:
            raise UsageError(
                f"A patch of {self.size} pixels every {self.stride} in {self.depth} slices leaves pixels out; give a "
                "size and depth of at least 1, and a stride from 1 to the size."
            )


def _nothing(done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One case, one column of the network's output (of all targets), and the settings of the methods that have any.

    views: role → slices of each scan. attributes: what is known of the patient. slices: by scan, all that a slow method
    looks at; every slice of every scan where none is named. measure, patch: of occlusion. steps: of integrated
    gradients.
    """

    predictor: Predictor
    views: Views
    column: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, Sequence[int]] = field(default_factory=dict)
    patch: Patch = Patch()
    measure: Measure = "score"
    steps: int = 50
    progress: Callable[[int, int], None] = _nothing

    @property
    def feed(self) -> Feed:
        """The case as the graph takes it."""
        recipe = self.predictor.bundle.recipe
        known = clinical(self.attributes, recipe.clinical)
        return of_case(self.views, known, self.predictor.engine.input_shapes, recipe)

    @property
    def target(self) -> str:
        """The target that the column belongs to."""
        recipe = self.predictor.bundle.recipe
        return next(n for n in recipe.targets if recipe.columns(n).start <= self.column < recipe.columns(n).stop)

    def value(self, logits: FloatArray) -> NDArray[np.float64]:
        """What is measured of columns (M, K): the column itself, or the probability that the bundle makes of it (M,).

        UsageError for the probability of a target that has none.
        """
        if self.measure == "score":
            return logits[:, self.column].astype(np.float64)
        bundle, name = self.predictor.bundle, self.target
        target, part = bundle.recipe.targets[name], bundle.recipe.columns(name)
        if target.graded:
            raise UsageError(f"'{name}' is a {target.kind} and has no probability; measure its score.")
        if name == bundle.recipe.target_name:
            rows = calibrated.probabilities(logits[:, part], bundle.decision, target.kind)
        else:
            rows = from_logits(logits[:, part], bundle.decision.further[name].temperature, target.kind)
        own: NDArray[np.float64] = rows[:, self.column - part.start]
        return own


@dataclass(frozen=True, eq=False)
class Explained:
    """By scan one heat map of the asked column alone, array (1, S, h, w); below 0 is what lowers the score.

    unit: of the heat. notes: what a reader has to know of this result. brightest: the share of the heat above 0 that is
    drawn below the brightest colour; less than 1 for maps of single pixels, of which a few are far above all others.
    """

    heatmaps: Mapping[str, Heatmap]
    unit: str
    notes: tuple[str, ...] = ()
    brightest: float = 1.0


def class_map(asked: Asked) -> Explained:
    """Grad-CAM in closed form, as the bundle's graph gives it with every prediction: the positive part alone."""
    outputs = asked.predictor.engine.run(asked.feed)
    found = heatmaps(outputs, asked.views, asked.predictor.bundle.recipe)
    k = asked.column
    return Explained({n: replace(h, array=h.array[k : k + 1]) for n, h in found.items()}, "score per cell")


def as_heatmaps(asked: Asked, maps: Mapping[str, FloatArray], weights: Mapping[str, FloatArray]) -> dict[str, Heatmap]:
    """Heat maps by scan of one column: maps role → (N, S, h, w) and weights role → (N, S), as the graph's outputs."""
    nothing = np.zeros((1, 1), np.float32)
    outputs = Outputs(nothing, nothing, {role: m[:, None] for role, m in maps.items()}, weights)
    return heatmaps(outputs, asked.views, asked.predictor.bundle.recipe)
