"""Do probabilities mean what they say: temperature, calibration error, reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from insula.core.errors import EvaluationError
from insula.metrics.classification import ratio
from insula.metrics.probabilities import Kind, exclusive

MOST_BINS = 10
TEMPERATURES = (0.02, 50.0)  # where one is looked for
_RANGE = (np.log(TEMPERATURES[0]), np.log(TEMPERATURES[1]))


def fit_temperature(logits: ArrayLike, labels: ArrayLike, kind: Kind) -> float:
    """The temperature that gives the least log loss on validation cases (Guo et al., ICML 2017).

    logits: (n, K). labels: (n, K) bool, one true per row for exclusive classes. Where the classes are separated without
    one error the loss has no minimum (it falls for ever as the temperature goes to 0): then 1.0, no change.
    Raises EvaluationError for shapes that differ or no rows.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=bool)
    if z.shape != y.shape or z.ndim != 2 or len(z) == 0:
        raise EvaluationError(f"Logits {z.shape} and labels {y.shape} must be equal tables with at least one row.")
    if not np.isfinite(z).all():
        raise EvaluationError("Some logits are not finite; train again before fitting a temperature.")
    if exclusive(kind) and not (y.sum(axis=1) == 1).all():
        raise EvaluationError("Some cases carry no or several of the exclusive classes; correct their labels.")

    if _separated(z, y, kind):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = z / np.exp(log_temperature)
        if exclusive(kind):
            return float(-log_softmax(scaled, axis=1)[y].mean())
        return float(np.logaddexp(0.0, np.where(y, -scaled, scaled)).mean())

    found = float(minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6}).x)
    return 1.0 if found < _RANGE[0] + 0.01 else float(np.exp(found))


def _separated(z: NDArray[np.float64], y: NDArray[np.bool_], kind: Kind) -> bool:
    # asked of the logits: the loss itself is flat at 0 long before the smallest temperature
    if exclusive(kind):
        return bool((z[y] >= z.max(axis=1)).all())
    return bool((np.where(y, z, -z) >= 0).all())


@dataclass(frozen=True)
class Reliability:
    """Equal-mass bins of predicted probability: mean prediction, observed share, number of rows in each."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]
    positives: tuple[int, ...]


def bin_count(n: int) -> int:
    """How many bins n probabilities are put in: the cube root of n, rounded, at least 2 and at most MOST_BINS.

    More bins follow the curve closer and hold more chance each; both errors together are least for a number of bins
    that grows with the cube root of n (Sun et al., NeurIPS 2023; Futami and Fujisawa, NeurIPS 2024): 3 bins for 18
    patients, 6 for 200, the usual 10 from 858 on.
    """
    return int(np.clip(round(n ** (1 / 3)), 2, MOST_BINS))


def bins(p: ArrayLike, count: int | None = None) -> NDArray[np.intp]:
    """The bin (n,) of each probability in `count` bins of equal mass; equal probabilities share a bin.

    count: `bin_count` of n where it is left out.
    """
    score = np.asarray(p, dtype=np.float64)
    count = bin_count(len(score)) if count is None else count
    edges = np.unique(np.quantile(score, np.arange(1, count) / count, method="inverted_cdf"))
    found = np.searchsorted(edges, score, side="left")
    return np.unique(found, return_inverse=True)[1]


def reliability(y: ArrayLike, p: ArrayLike, count: int | None = None) -> Reliability:
    """Points of the reliability diagram for labels y (n,) and probabilities p (n,) in equal-mass bins."""
    truth, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    index = bins(score, count)
    number = np.bincount(index)
    positives = np.bincount(index, truth)
    return Reliability(
        tuple((np.bincount(index, score) / number).tolist()),
        tuple((positives / number).tolist()),
        tuple(number.tolist()),
        tuple(positives.astype(int).tolist()),
    )


def ece(
    y: ArrayLike, p: ArrayLike, weights: NDArray[np.float64] | None = None, count: int | None = None
) -> NDArray[np.float64]:
    """Expected calibration error with equal-mass bins, Σ |Σ w(y − p)| / Σ w, one value per row of weights (R, n).

    The bins are those of the unweighted sample, so that replicates differ by their cases only (Nixon et al., 2019).
    It is never negative, so even a perfect model shows some on few cases.
    """
    gap = gaps(y, p, count)
    w = np.ones((1, len(gap))) if weights is None else weights
    return ece_of(w @ gap, w.sum(axis=1))


def gaps(y: ArrayLike, p: ArrayLike, count: int | None = None) -> NDArray[np.float64]:
    """Label minus probability of each row in the column of its bin, (n, bins)."""
    truth, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    index = bins(score, count)
    found = np.zeros((len(score), int(index.max()) + 1))
    found[np.arange(len(score)), index] = truth - score
    return found


def ece_ends(
    gap: NDArray[np.float64], replicates: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a calibration error Σ|gap| from its gaps (B,) and their bootstrap replicates (R, B).

    Chance alone makes the error large, so its percentiles lie above the truth. Here the true gaps are taken to be λ
    times those seen, for each λ from 0 to 3, with the replicates' scatter about them; those λ stand for which the error
    that was seen lies within the middle `level` of the errors that chance would then show (a test turned round). None
    when fewer than half of the replicates are defined.
    """
    defined = replicates[np.isfinite(replicates).all(axis=1)]
    if len(defined) * 2 < len(replicates) or len(defined) == 0:
        return None
    seen = float(np.abs(gap).sum())
    scatter = defined - gap
    scales = np.linspace(0.0, 3.0, 31)
    shown = np.stack([np.abs(scale * gap + scatter).sum(axis=1) for scale in scales], axis=1)
    least, most = np.quantile(shown, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    if seen < least.min():  # even less than chance alone would show
        return 0.0, seen
    low = 0.0 if most[0] >= seen else float(np.interp(seen, np.maximum.accumulate(most), scales))
    beyond = int(np.flatnonzero(least <= seen)[-1])
    high = scales[beyond]
    if beyond + 1 < len(scales):
        high += (scales[1] - scales[0]) * (seen - least[beyond]) / (least[beyond + 1] - least[beyond])
    return low * seen, float(high) * seen


def ece_of(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The calibration error from sums (R, bins) of `gaps` and the weights (R,) behind them."""
    return ratio(np.abs(sums).sum(axis=1), sizes)
