"""The network of a bundle, out of its recipe and weights, for what the exported graph cannot give."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from insula.bundle.types import Bundle
from insula.core.errors import BundleError
from insula.core.recipe import Recipe
from insula.core.types import FloatArray
from insula.infer.engine import Outputs
from insula.infer.explainer import Asked
from insula.infer.feed import Feed
from insula.infer.predict import Predictor
from insula.model.ensemble import Ensemble
from insula.model.network import Network, Shape
from insula.train import of_bundle
from insula.train.of_bundle import members

TOLERANCE = 1e-3
_SLICES = 64  # at a time, of a recipe whose slices are inputs of their own
Maps = dict[str, torch.Tensor]


class Given(NamedTuple):
    """What a network takes: pictures (N, S, C, H, W) and masks (N, B, S) by role, clinical columns (N, D) or None."""

    x: dict[str, torch.Tensor]
    mask: dict[str, torch.Tensor]
    clinical: torch.Tensor | None

    def rows(self, start: int, stop: int) -> Given:
        """Some of its N inputs."""
        return Given(
            {role: t[start:stop] for role, t in self.x.items()},
            {role: t[start:stop] for role, t in self.mask.items()},
            None if self.clinical is None else self.clinical[start:stop],
        )


def given(feed: Feed, recipe: Recipe) -> Given:
    """A graph's feed as tensors."""
    tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in feed.items()}
    return Given(
        {role: tensors[role] for role in recipe.inputs},
        {role: tensors[f"{role}_mask"] for role in recipe.inputs},
        tensors.get("clinical"),
    )


def by_parts(asked: Asked, ask: Callable[[Network | Ensemble, Given], Maps]) -> tuple[dict[str, FloatArray], Outputs]:
    """By role what `ask` gives of the case's network, (N, …) a few inputs at a time; and the graph's own outputs."""
    feed, recipe = asked.feed, asked.predictor.bundle.recipe
    outputs = asked.predictor.engine.run(feed)
    network, inputs = rebuilt(asked.predictor, feed, outputs.logits), given(feed, recipe)
    count = len(outputs.logits)
    size = max(1, _SLICES // max(t.shape[1] for t in inputs.x.values()))
    parts: list[Maps] = []
    for start in range(0, count, size):
        parts.append(ask(network, inputs.rows(start, start + size)))
        asked.progress(min(start + size, count), count)
    return {role: torch.cat([part[role] for part in parts]).numpy() for role in recipe.inputs}, outputs


def rebuilt(predictor: Predictor, feed: Feed, logits: FloatArray) -> Network | Ensemble:
    """The bundle's network in evaluation on the CPU; the last one is kept.

    It has to give the graph's own columns (N, K) on this feed: BundleError where one differs by more than `TOLERANCE`
    of the largest value, so that nothing is shown of a network that is not the one that predicts.
    """
    bundle = predictor.bundle
    network = _loaded(bundle, tuple(sorted(predictor.engine.input_shapes.items())))
    inputs = given(feed, bundle.recipe).rows(0, 4)
    with torch.no_grad():
        ours = torch.stack([member(*inputs) for member in members(network)]).mean(0).numpy()
    apart = float(np.abs(ours - logits[:4]).max()) / max(1.0, float(np.abs(logits[:4]).max()))
    if not apart <= TOLERANCE:
        raise BundleError(
            f"The bundle's weights give another answer than its graph (a difference of {apart:.2g}, and {TOLERANCE:g} "
            "is the most), so that what they show would not be about it; use --method class_map or occlusion."
        )
    return network


@lru_cache(maxsize=1)
def _loaded(bundle: Bundle, shapes: tuple[tuple[str, Shape], ...]) -> Network | Ensemble:
    return of_bundle.network(bundle, dict(shapes))
