"""Distances of a whole scan from the training data, on one scale: 0 the middle validation case, 1 where 95% lie below.

Three views of one question: where the embedding lies among all training embeddings, how far its nearest neighbours are,
and what the prepared picture looks like. Each is measured in the distance from the middle to the third quartile of the
validation cases, and the largest of the three counts. A scale by 95% for each part would fit itself to the few cases in
the tails: of 20 validation cases 12% of others then lay beyond the limit, and 5 to 6% do so (made heads, CT and MR).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Baseline
from insula.core.errors import BundleError
from insula.core.types import FloatArray
from insula.infer import domain, suitable_statistics
from insula.infer.feed import Views

FEATURES: Final = "features"
NEIGHBOURS: Final = "neighbours"
ALL: Final = "all"
LEVEL: Final = 0.95
QUARTILE: Final = 0.75
_LEAST: Final = 1e-3  # of the middle distance: validation cases that are all alike must not make a scale of nothing
Known = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def names(roles: tuple[str, ...]) -> tuple[str, ...]:
    """The rows of a scale: two distances of the embedding, one of each role's picture, and all of them together."""
    return (FEATURES, NEIGHBOURS, *(f"picture_{role}" for role in roles), ALL)


def of_case(embeddings: FloatArray, views: Views, base: Baseline) -> tuple[float, dict[str, float]]:
    """Share of validation cases that lie nearer, and the distances by part and of all, of a case's inputs (n, E).

    Bundles that hold no scale know the distance of features alone, and give no distances by part.
    """
    return of_looks(embeddings, looks_of(views, base), base)


def looks_of(views: Views, base: Baseline) -> dict[str, NDArray[np.float64]]:
    """Role → the numbers (F,) that describe a case's picture; none for a bundle that holds no scale.

    Raises BundleError for a bundle that describes pictures by another number of them.
    """
    if len(base.scale) == 0:
        return {}
    looks = {role: suitable_statistics.of_bags(bags) for role, bags in views.items()}
    for role, found in looks.items():
        if len(found) != (known := len(base.pictures[role][0])):
            raise BundleError(
                f"The bundle describes a picture of '{role}' by {known} numbers, and this version by {len(found)}; "
                "export the bundle again."
            )
    return looks


def of_looks(
    embeddings: FloatArray, looks: Mapping[str, NDArray[np.float64]], base: Baseline
) -> tuple[float, dict[str, float]]:
    """As `of_case`, of the numbers that `looks_of` gives."""
    if len(base.scale) == 0:
        far = domain.median_distance(embeddings, base.embedding_mean, base.embedding_precision)
        return domain.score(far, base.distances), {}
    raw = parts(embeddings, looks, (base.embedding_mean, base.embedding_precision), base.neighbour_rows, base.pictures)
    each = ratios(raw, base.scale[:-1])
    whole = float(ratios(np.array([np.nanmax(each)]), base.scale[-1:])[0])
    named = dict(zip(names(tuple(base.pictures)), [*each.tolist(), whole], strict=True))
    return domain.score(whole, base.scaled), {name: value for name, value in named.items() if np.isfinite(value)}


def parts(
    embeddings: FloatArray,
    looks: Mapping[str, NDArray[np.float64]],
    features: tuple[NDArray[np.float64], NDArray[np.float64]],
    rows: NDArray[np.floating],
    pictures: Known,
) -> NDArray[np.float64]:
    """Raw distances (P,) of one case: of features, of neighbours, and of each role's picture, NaN where it lacks it.

    embeddings: (n, E) of its inputs. looks: role → numbers (F,). features, pictures: mean and precision.
    """
    return np.array(
        [
            domain.median_distance(embeddings, *features),
            domain.neighbour_distance(embeddings, rows),
            *(domain.distance(looks[role], *known) if role in looks else np.nan for role, known in pictures.items()),
        ]
    )


def scale(raw: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The middle of validation distances (M, P) and where so large a share lies below: (P, 2). NaN cases are left out.

    The second is the ⌈level·(M + 1)⌉-th smallest, or the largest where there are too few; a part that no case has
    gets (0, infinity), and counts for nothing.
    """
    found = np.full((raw.shape[1], 2), (0.0, np.inf))
    for p, column in enumerate(raw.T):
        known = np.sort(column[np.isfinite(column)])
        if len(known):
            middle = float(np.median(known))
            at = min(len(known), int(np.ceil(level * (len(known) + 1) - 1e-9)))
            found[p] = middle, max(float(known[at - 1]), middle + _LEAST * max(abs(middle), _LEAST))
    return found


def ratios(raw: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw distances (..., P) on the scale (P, 2)."""
    scaled: NDArray[np.float64] = (raw - limits[:, 0]) / (limits[:, 1] - limits[:, 0])
    return scaled
