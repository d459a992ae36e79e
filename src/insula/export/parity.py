"""Does the exported graph equal the trained network? Asked on real prepared cases, refused beyond 1e-4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from insula.core.errors import ExportError
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import Case
from insula.infer.engine import Engine
from insula.infer.feed import Feed, of_case
from insula.model.ensemble import Ensemble
from insula.model.network import Network, Outputs
from insula.prep.cache import Prepared

TOLERANCE = 1e-4
_NUDGES = (1e-7, 1e-6)  # as much as single precision rounds in a layer, and in many
_DRAWS = 4


@dataclass(frozen=True)
class Parity:
    """The largest difference seen in the columns (logits) and in class maps, over how many cases; see `check`."""

    cases: int
    logits: float
    maps: float


def check(
    network: Network | Ensemble,
    engine: Engine,
    cases: Sequence[Case],
    prepared: Mapping[str, Prepared],
    recipe: Recipe,
    limit: int = 100,
) -> Parity:
    """Compare up to `limit` cases; ExportError names the worst when a column or a map cell differs by over 1e-4.

    A difference is taken relative to the largest value of its column over all cases, where that is above 1: log
    probabilities, measures in their unit and maps grow beyond any fixed scale, and a column of one must not excuse
    another's. A class map jumps where a unit lies on its kink: the graph is held to what rounding alone moves in the
    network's own map of the case, where that is more, and the tolerance. Raises ExportError, too, when no case could be
    compared.
    """
    found: list[NDArray[np.float64]] = []  # (4, K) a case: differences of columns and maps, sizes of columns and maps
    compared: list[Case] = []
    for case in cases[:: max(1, len(cases) // limit)][:limit]:
        feed = _feed(case, engine, prepared, recipe)
        if feed is None:
            continue
        compared.append(case)
        given = _given(feed)
        ours = _explained(network, given, recipe)
        theirs = engine.run(feed)
        maps = [(ours.maps[role].numpy(), theirs.maps[role]) for role in recipe.inputs]
        found.append(
            np.stack(
                [
                    _largest(ours.logits.numpy() - theirs.logits),
                    np.max([_largest(a - b) for a, b in maps], axis=0),
                    _largest(ours.logits.numpy()),
                    np.max([_largest(a) for a, _ in maps], axis=0),
                ]
            )
        )
    if not found:
        raise ExportError("Not one case could be compared with the exported graph: none is prepared; check the cohort.")
    each = np.stack(found)
    sizes = np.maximum(1.0, each[:, 2:].max(axis=0))  # (2, K)
    apart = (each[:, :2] / sizes).max(axis=2)  # (cases, 2)
    over = ~(apart <= TOLERANCE)
    for i in np.flatnonzero(over[:, 1]):
        feed = _feed(compared[i], engine, prepared, recipe)
        if feed is None:
            continue
        jump = float((_rounding(network, _given(feed), recipe) / sizes[1]).max())
        over[i, 1] = not apart[i, 1] <= (jump + TOLERANCE if jump > TOLERANCE else TOLERANCE)
    if over.any():
        worst = int(np.where(over, np.nan_to_num(apart, nan=np.inf), 0.0).max(axis=1).argmax())
        raise ExportError(
            f"The exported graph differs from the trained network by {apart[worst, 0]:.2g} in a column and "
            f"{apart[worst, 1]:.2g} in a class map on case {worst + 1} of {len(found)} (limit {TOLERANCE:g}); the "
            "bundle was not written."
        )
    return Parity(len(found), *(float(value) for value in apart.max(axis=0)))


def _feed(case: Case, engine: Engine, prepared: Mapping[str, Prepared], recipe: Recipe) -> Feed | None:
    """What the graph is given of a case, None where nothing of it is prepared."""
    views = {role: bags for role in recipe.inputs if (bags := prepared[role].arrays(case))}
    if not views:
        return None
    feed = of_case(views, clinical(case.attributes, recipe.clinical), engine.input_shapes, recipe)
    if recipe.input.unit == "image" and not recipe.fused:
        return {name: array[:8] for name, array in feed.items()}
    return feed


def _given(feed: Feed) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in feed.items()}


def _explained(network: Network | Ensemble, given: dict[str, torch.Tensor], recipe: Recipe) -> Outputs:
    with torch.no_grad():
        return network.explain(
            {role: given[role] for role in recipe.inputs},
            {role: given[f"{role}_mask"] for role in recipe.inputs},
            given.get("clinical"),
        )


def _rounding(network: Network | Ensemble, given: dict[str, torch.Tensor], recipe: Recipe) -> NDArray[np.float64]:
    """How far each column's map (K,) of one case moves when the pictures are multiplied by nearly 1.

    By one number, and by one of its own for each value: of two slices or cells that are as good as equal a maximum
    takes the one or the other by what was rounded in each.
    """
    first = _explained(network, given, recipe).maps
    moved = []
    for nudged in _nudged(given, recipe):
        maps = _explained(network, nudged, recipe).maps
        moved.append([_largest((maps[role] - first[role]).numpy()) for role in recipe.inputs])
    largest: NDArray[np.float64] = np.max(moved, axis=(0, 1))
    return largest


def _nudged(given: dict[str, torch.Tensor], recipe: Recipe) -> Iterator[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    for size in _NUDGES:
        for sign in (-1.0, 1.0):
            yield {name: t * (1.0 + sign * size) if name in recipe.inputs else t for name, t in given.items()}
        for _ in range(_DRAWS):
            yield {
                name: t * (1.0 + size * torch.randn(t.shape, generator=draw)) if name in recipe.inputs else t
                for name, t in given.items()
            }


def _largest(values: np.ndarray) -> NDArray[np.float64]:
    """The largest magnitude in each column: (K,) of (N, K, …)."""
    largest: NDArray[np.float64] = np.abs(values, dtype=np.float64).max(axis=(0, *range(2, values.ndim)))
    return largest
