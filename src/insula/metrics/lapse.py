"""Labels that stay other than the score says, however sure the score is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm, rankdata

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
_STARTS = ((0.0, 3.0, 0.1), (0.0, 6.0, 0.25), (0.0, 12.0, 0.05))
_STEEPEST, _MOST = 60.0, 0.45
_LEAST = 1e-12


@dataclass(frozen=True)
class Lapse:
    """rate: share of labels that do not depend on the score, 0 to 0.45. ratio: twice the logarithm of the likelihood
    ratio of this share against none; 0 where none fits as well.
    """

    rate: float
    ratio: float


def lapse(y: Bools, score: Floats) -> Lapse:
    """The logistic curve over the normal scores of the ranks that levels off at rate and 1 − rate, by likelihood.

    y, score: (n,). P(y) = rate + (1 − 2 rate) / (1 + exp(−a − b z)) with b ≥ 0: the lapse rate of psychometric curves
    (Wichmann and Hill, Perception & Psychophysics 63:1293, 2001), the same at both ends. Only the order of the scores
    counts, so that no calibration changes it. A rate and ratio of 0 where one label is missing.
    """
    if not y.any() or y.all():
        return Lapse(0.0, 0.0)
    z: Floats = norm.ppf((rankdata(score) - 0.5) / len(score))

    def loss(at: Floats) -> float:
        p = np.clip(at[2] + (1 - 2 * at[2]) * expit(at[0] + at[1] * z), _LEAST, 1 - _LEAST)
        return -float(np.log(np.where(y, p, 1 - p)).sum())

    def best(most: float) -> tuple[float, Floats]:
        bounds = ((-_STEEPEST, _STEEPEST), (0.0, _STEEPEST), (0.0, most))
        tried = [minimize(loss, (a, b, min(e, most)), method="L-BFGS-B", bounds=bounds) for a, b, e in _STARTS]
        least = min(tried, key=lambda found: float(found.fun))
        return float(least.fun), np.asarray(least.x)

    without, _ = best(0.0)
    with_it, at = best(_MOST)
    ratio = max(0.0, 2 * (without - with_it))
    return Lapse(float(at[2]), ratio) if ratio > _LEAST else Lapse(0.0, 0.0)
