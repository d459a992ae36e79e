"""Embeddings on a plane: principal components, t-SNE, UMAP. Each says how many neighbours it kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
METHODS = ("pca", "tsne", "umap")
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
COMPONENTS = 50
KEPT = 15
_MOST_COMPARED = 3000
NO_UMAP = "UMAP is not installed here: pip install 'insula[maps]' brings it."


@dataclass(frozen=True, eq=False)
class Plane:
    """One map: places (n, 2), what its axes are, how it was made, and trustworthiness (Venna and Kaski, 2001).

    kept: 1 where every one of a point's 15 neighbours on the map is a near one of the embedding too, about 0.5 by
    chance; NaN for too few points.
    """

    name: str
    places: Values
    axes: tuple[str, str]
    said: str
    kept: float


def pca(z: NDArray[np.floating]) -> Plane:
    """The two directions in which rows (n, E) vary most, with the share of the variance that each has.

    The sign of each is such that its largest loading is positive: one input gives one map.
    """
    x = np.asarray(z, np.float64)
    variance, axes = components(x)
    share = variance / max(float(variance.sum()), 1e-300)
    places = (x - x.mean(axis=0)) @ axes[:, :2]
    if places.shape[1] < 2:
        places = np.hstack([places, np.zeros((len(x), 2 - places.shape[1]))])
    first, second = (*share[:2].tolist(), 0.0, 0.0)[:2]
    most = int(np.searchsorted(np.cumsum(share), 0.9) + 1)
    said = (
        f"The two axes hold {first + second:.0%} of the variance ({first:.0%} and {second:.0%}); 90% of it takes "
        f"{most} of {len(share)}. Distances are true as far as these two axes show them."
    )
    names = (f"component 1 ({first:.0%})", f"component 2 ({second:.0%})")
    return Plane("pca", places, names, said, trustworthy(x, places))


def tsne(z: NDArray[np.floating], perplexity: float = 30.0, seed: int = 0) -> Plane:
    """t-SNE (van der Maaten and Hinton, JMLR 9:2579, 2008) by scikit-learn, begun from the principal components.

    perplexity: about how many neighbours a point has; at most a third of the points.
    """
    from sklearn.manifold import TSNE

    reduced = _reduced(z)
    used = min(perplexity, max(1.0, (len(reduced) - 1) / 3))
    model = TSNE(2, perplexity=used, init="pca" if reduced.shape[1] > 1 else "random", random_state=seed)
    places = model.fit_transform(reduced.astype(np.float32)).astype(np.float64)
    said = (
        f"Perplexity {used:g}, seed {seed}, begun from the principal components. Only who lies beside whom means "
        "something: not the size of a group, nor how far apart groups are."
    )
    return Plane("tsne", places, ("t-SNE 1", "t-SNE 2"), said, trustworthy(z, places))


def umap(z: NDArray[np.floating], neighbours: int = 15, distance: float = 0.1, seed: int = 0) -> Plane | None:
    """UMAP (McInnes, Healy and Melville, 2018) by umap-learn; None where it is not installed."""
    if find_spec("umap") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a seed means one thread, and numba what it will deprecate
        umap_learn = import_module("umap")
        reduced = _reduced(z)
        used = max(2, min(neighbours, len(reduced) - 1))
        start = "spectral" if len(reduced) > 20 else "random"
        model = umap_learn.UMAP(n_neighbors=used, min_dist=distance, random_state=seed, n_jobs=1, init=start)
        places = np.asarray(model.fit_transform(reduced.astype(np.float32)), np.float64)
    said = (
        f"{used} neighbours, least distance {distance:g}, seed {seed}. Who lies beside whom means something; the size "
        "of a group and the gaps between groups mean little."
    )
    return Plane("umap", places, ("UMAP 1", "UMAP 2"), said, trustworthy(z, places))


def make(
    z: NDArray[np.floating], names: tuple[str, ...], perplexity: float, neighbours: int, seed: int
) -> tuple[list[Plane], dict[str, str]]:
    """The maps that are asked for, and why one could not be made."""
    makers: dict[str, Callable[[], Plane | None]] = {
        "pca": lambda: pca(z),
        "tsne": lambda: tsne(z, perplexity, seed),
        "umap": lambda: umap(z, neighbours, seed=seed),
    }
    made, why = [], {}
    for name in names:
        if not np.ptp(z, axis=0).any():
            why[name] = f"All cases have one and the same embedding: there is no {TITLES[name]} of them."
        elif name != "pca" and len(z) < 5:
            why[name] = f"{len(z)} cases are too few for {TITLES[name]}."
        elif (plane := makers[name]()) is None:
            why[name] = NO_UMAP
        else:
            made.append(plane)
    return made, why


def components(x: Values) -> tuple[Values, Values]:
    """Variances, falling, and axes (E, C) of rows (n, E); each axis' largest loading is positive."""
    centred = x - x.mean(axis=0)
    if len(x) < x.shape[1]:
        _, size, rows = np.linalg.svd(centred, full_matrices=False)
        variance, axes = size**2 / max(1, len(x) - 1), rows.T
    else:
        rising, axes = np.linalg.eigh(centred.T @ centred / max(1, len(x) - 1))
        variance, axes = np.maximum(rising[::-1], 0.0), axes[:, ::-1]
    sign = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return variance, axes * np.where(sign == 0, 1.0, sign)


def trustworthy(z: NDArray[np.floating], places: Values) -> float:
    """Trustworthiness of a map with 15 neighbours, on at most 3,000 points spread evenly over the rows."""
    from sklearn.manifold import trustworthiness

    if len(z) <= 2 * KEPT:
        return float("nan")
    chosen = np.unique(np.linspace(0, len(z) - 1, min(len(z), _MOST_COMPARED)).astype(int))
    return float(trustworthiness(np.asarray(z)[chosen], places[chosen], n_neighbors=KEPT))


def _reduced(z: NDArray[np.floating]) -> Values:
    """The first 50 principal components: what is left out is mostly noise, and neighbours are found sooner."""
    x = np.asarray(z, np.float64)
    _, axes = components(x)
    found: Values = (x - x.mean(axis=0)) @ axes[:, :COMPONENTS]
    return found
