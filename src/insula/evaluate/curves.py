"""Deletion and insertion: what a class's probability does as the hottest parts of a scan are covered, or shown alone.

Petsiuk, Das and Saenko, RISE, BMVC 2018, section 4.2, with one cover for both, the slice's own blurred picture: a black
square would be a thing that no training scan showed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.evaluate.localisation import grown_map
from insula.infer.feed import Views
from insula.infer.heatmap import by_scan
from insula.metrics import maps

Floats = NDArray[np.float64]
Ask = Callable[[Views], float]
STEPS: Final = 16
BLUR: Final = 8.0  # the cover's standard deviation is this part of the shorter side: no lesion is seen through it
_SAME: Final = 1e-5  # of the prepared picture's values


@dataclass(frozen=True, eq=False)
class Curves:
    """Probabilities (steps + 1,) at the shares of the pixels that are covered (deletion) or shown (insertion).

    Of the heat's order and, mean over the draws, of a random order of patches of the heat's own resolution. NaN where
    there is no heat, since the order is then a lot.
    """

    shares: Floats
    deletion: Floats
    insertion: Floats
    deletion_random: Floats
    insertion_random: Floats

    def areas(self) -> dict[str, float]:
        """The area under each."""
        names = ("deletion", "insertion", "deletion_random", "insertion_random")
        return {name: maps.area(self.shares, getattr(self, name)) for name in names}


def of_case(
    views: Views, heat: Mapping[str, FloatArray], ask: Ask, steps: int = STEPS, draws: int = 2, seed: int = 0
) -> Curves:
    """The curves of one case; heat: by scan (S, h, w), of all scans of the case; ask: the probability of its views.

    Pixels of all scans stand in one order, all channels of a pixel together. Of equal heat those that the cover changes
    come first, in the heat's order as in a random one, so that neither gains by covering air.
    """
    scans = by_scan(views)
    covers = {name: covered(array) for name, array in scans.items()}
    changes = np.concatenate([(np.abs(a - covers[n]).max(axis=1) > _SAME).ravel() for n, a in scans.items()])
    shares = maps.shares(steps)
    own = _grown(heat, scans)
    lots = [_lot(scans, heat, changes, (seed, draw)) for draw in range(draws)]
    orders = [maps.order(own, changes, seed), *lots]
    ends = ask(views), ask(_with(views, covers))
    deletion, insertion = np.empty((2, len(orders), steps + 1))
    deletion[:, [0, -1]], insertion[:, [-1, 0]] = ends, ends
    for i, places in enumerate(orders):
        if i == 0 and not own.max(initial=0.0) > 0:
            deletion[0], insertion[0] = np.nan, np.nan
            continue
        ranks = np.empty(len(places), np.intp)
        ranks[places] = np.arange(len(places))
        for j, share in enumerate(shares[1:-1], start=1):
            taken = _by_scan(ranks < round(share * len(ranks)), scans)
            deletion[i, j] = ask(_with(views, _mixed(scans, covers, taken)))
            insertion[i, j] = ask(_with(views, _mixed(covers, scans, taken)))
    random = (deletion[1:].mean(axis=0), insertion[1:].mean(axis=0))
    return Curves(shares, deletion[0], insertion[0], *random)


def covered(slices: FloatArray) -> FloatArray:
    """Slices (S, C, H, W), each blurred by an eighth of its shorter side."""
    sigma = min(slices.shape[2:]) / BLUR
    planes = [
        cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        for plane in slices.reshape(-1, *slices.shape[2:])
    ]
    return np.stack(planes).reshape(slices.shape).astype(np.float32, copy=False)


def _lot(
    scans: Mapping[str, FloatArray], heat: Mapping[str, FloatArray], changes: NDArray[np.bool_], seed: tuple[int, int]
) -> NDArray[np.intp]:
    """A random order of patches as large as a cell of the heat; what the cover does not change comes last."""
    draw = np.random.default_rng((*seed, 83))
    noise = {n: draw.random(heat[n].shape, np.float32) + 1e-3 for n in scans}
    return np.lexsort((-_grown(noise, scans), ~changes))


def _grown(heat: Mapping[str, FloatArray], scans: Mapping[str, FloatArray]) -> FloatArray:
    """The heat of all scans on their pixels, in a row."""
    return np.concatenate([grown_map(heat[n], array.shape[2:]).ravel() for n, array in scans.items()])


def _by_scan(flags: NDArray[np.bool_], scans: Mapping[str, FloatArray]) -> dict[str, NDArray[np.bool_]]:
    found, at = {}, 0
    for name, array in scans.items():
        s, _, h, w = array.shape
        found[name] = flags[at : at + s * h * w].reshape(s, 1, h, w)
        at += s * h * w
    return found


def _mixed(
    first: Mapping[str, FloatArray], second: Mapping[str, FloatArray], taken: Mapping[str, NDArray[np.bool_]]
) -> dict[str, FloatArray]:
    """The second picture where it is taken, the first elsewhere."""
    return {name: np.where(taken[name], second[name], first[name]) for name in first}


def _with(views: Views, scans: Mapping[str, FloatArray]) -> Views:
    """The same roles and scans with other pictures."""
    names = iter(scans)
    return {role: tuple(scans[next(names)] for _ in bags) for role, bags in views.items()}
