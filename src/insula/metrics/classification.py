"""Figures of a classifier, for one sample or for many weighted replicates of it at once.

Every function takes labels and predictions of n rows and weights (R, n), a multiplicity per row and replicate, and
gives (R,) values. A value that is not defined (a share of nothing) is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.metrics.ranking import rank

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """True and false positives and negatives, (R,) each."""

    tp: Values
    fp: Values
    fn: Values
    tn: Values


def ratio(above: ArrayLike, below: ArrayLike) -> Values:
    """Above / below, NaN where below is 0."""
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    out = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=out, where=b != 0)
    return out


def once(n: int) -> Values:
    """Weights (1, n) that count each row once: the sample itself."""
    return np.ones((1, n))


def counts(y: Bools, predicted: Bools, weights: Values) -> Counts:
    """The four cells of the two-by-two table."""
    return of_cells(weights @ cells(y, predicted))


def cells(y: Bools, predicted: Bools) -> Values:
    """Which cell of the two-by-two table each row falls in, (n, 4): TP, FP, FN, TN."""
    return np.stack([y & predicted, ~y & predicted, y & ~predicted, ~y & ~predicted], axis=1).astype(np.float64)


def of_cells(table: Values) -> Counts:
    """The counts in sums (R, 4) of `cells`."""
    return Counts(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def f_beta(c: Counts, beta: float) -> Values:
    """(1 + β²)·TP / ((1 + β²)·TP + β²·FN + FP); F2 counts a missed case four times a false alarm.

    NaN without a positive row: there is nothing to find, so that the formula gives 0 for every model.
    """
    b = beta * beta
    below = np.where(c.tp + c.fn > 0, (1 + b) * c.tp + b * c.fn + c.fp, 0.0)
    return ratio((1 + b) * c.tp, below)


def table_figures(c: Counts) -> dict[str, Values]:
    """Every figure that follows from the two-by-two table alone."""
    return {
        "accuracy": ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn),
        "sensitivity": ratio(c.tp, c.tp + c.fn),
        "specificity": ratio(c.tn, c.tn + c.fp),
        "ppv": ratio(c.tp, c.tp + c.fp),
        "npv": ratio(c.tn, c.tn + c.fn),
        "f1": f_beta(c, 1.0),
        "f2": f_beta(c, 2.0),
        "mcc": ratio(
            c.tp * c.tn - c.fp * c.fn,
            np.sqrt((c.tp + c.fp) * (c.tp + c.fn) * (c.tn + c.fp) * (c.tn + c.fn)),
        ),
        "kappa": kappa(np.stack([np.stack([c.tn, c.fp], -1), np.stack([c.fn, c.tp], -1)], -2)),
    }


def roc_auc(y: Bools, p: Values, weights: Values) -> Values:
    """Area under the ROC curve as the Mann-Whitney probability, ties counted half; NaN without both classes."""
    return rank(y, p).figures(weights)[0]


def average_precision(y: Bools, p: Values, weights: Values) -> Values:
    """Σ (recall step)·(precision) down the thresholds, equal scores taken together; NaN without positives."""
    return rank(y, p).figures(weights)[1]


def brier(y: Bools, p: Values, weights: Values) -> Values:
    """Mean squared error of the probability, (n,); for tables (n, K) summed over the classes (Brier 1950)."""
    return ratio(weights @ squared_errors(y, p), weights.sum(axis=1))


def squared_errors(y: Bools, p: Values) -> Values:
    """What each row adds to the Brier score, (n,)."""
    error: Values = (p - y) ** 2
    return error if error.ndim == 1 else error.sum(axis=1)


def log_loss(y: Bools, p: Values, weights: Values) -> Values:
    """Mean −log of the probability given to what was true, of one label (n,); kept finite at 0 and 1."""
    return ratio(weights @ losses(y, p), weights.sum(axis=1))


def losses(y: Bools, p: Values) -> Values:
    """What each row adds to the log loss of one label, (n,)."""
    result: Values = -np.log(_inside(np.where(y, p, 1.0 - p)))
    return result


def log_loss_classes(y: Bools, p: Values, weights: Values) -> Values:
    """Mean −log of the probability given to the true class, (n, K)."""
    return ratio(weights @ losses_classes(y, p), weights.sum(axis=1))


def log_loss_balanced(y: Bools, p: Values, weights: Values) -> Values:
    """Log loss averaged within each class, then over the classes: every class counts the same; NaN if one is absent."""
    truth = y.astype(np.float64)
    return mean_of_classes(weights @ (losses_classes(y, p)[:, None] * truth), weights @ truth)


def mean_of_classes(sums: Values, sizes: Values) -> Values:
    """Mean over the classes of sum / size, both (R, K); NaN if a class is absent."""
    mean: Values = ratio(sums, sizes).mean(axis=1)
    return mean


def confusion(true: NDArray[np.intp], predicted: NDArray[np.intp], classes: int, weights: Values) -> Values:
    """Confusion matrices (R, K, K): rows the true class, columns the predicted one."""
    return (weights @ pairs(true, predicted, classes)).reshape(-1, classes, classes)


def pairs(true: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> Values:
    """Which cell of the confusion matrix each row falls in, (n, K·K), row by row of the matrix."""
    found = np.zeros((len(true), classes * classes))
    found[np.arange(len(true)), true * classes + predicted] = 1.0
    return found


def kappa(matrix: Values) -> Values:
    """Cohen's kappa of confusion matrices (R, K, K); NaN where the truth is one class throughout.

    Agreement is then that of chance whatever the answers are, so that the formula gives 0 (or 0 / 0) for every model.
    """
    total = matrix.sum(axis=(1, 2))
    agreed = ratio(np.trace(matrix, axis1=1, axis2=2), total)
    chance = ratio((matrix.sum(axis=1) * matrix.sum(axis=2)).sum(axis=1), total**2)
    return ratio(agreed - chance, np.where(varied(matrix, 2), 1.0 - chance, 0.0))


def varied(matrix: Values, summed: int) -> Bools:
    """Whether confusion matrices (R, K, K) hold more than one true class (summed = 2) or one answer (summed = 1)."""
    more: Bools = np.count_nonzero(matrix.sum(axis=summed), axis=1) > 1
    return more


def mcc(matrix: Values) -> Values:
    """Matthews correlation of confusion matrices (R, K, K) with any number of classes (Gorodkin 2004)."""
    total = matrix.sum(axis=(1, 2))
    true, predicted = matrix.sum(axis=2), matrix.sum(axis=1)
    hit = np.trace(matrix, axis1=1, axis2=2)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    return ratio(hit * total - (true * predicted).sum(axis=1), np.sqrt(np.maximum(spread, 0.0)))


def accuracy(matrix: Values) -> Values:
    """Share of the rows on the diagonal of confusion matrices (R, K, K)."""
    return ratio(np.trace(matrix, axis1=1, axis2=2), matrix.sum(axis=(1, 2)))


def roc_curve(y: Bools, p: Values, weights: Values) -> tuple[Values, Values]:
    """False and true positive rates (R, G + 1) from the highest threshold to the lowest, starting at (0, 0)."""
    positive, negative = (part[:, ::-1] for part in _by_score(y, p, weights))
    start = np.zeros((len(weights), 1))
    fpr = ratio(np.cumsum(negative, axis=1), negative.sum(axis=1, keepdims=True))
    tpr = ratio(np.cumsum(positive, axis=1), positive.sum(axis=1, keepdims=True))
    return np.hstack([start, fpr]), np.hstack([start, tpr])


def _by_score(y: Bools, p: Values, weights: Values) -> tuple[Values, Values]:
    """Weights of positives and of negatives (R, G) at each of the G different scores, ascending."""
    order = np.argsort(p, kind="stable")
    score = p[order]
    starts = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    sorted_weights = weights[:, order]
    positive = sorted_weights * y[order]
    negative = sorted_weights - positive
    return np.add.reduceat(positive, starts, axis=1), np.add.reduceat(negative, starts, axis=1)


def losses_classes(y: Bools, p: Values) -> Values:
    """What each row adds to the log loss over exclusive classes, (n,)."""
    given: Values = np.where(y, _inside(p), 1.0).prod(axis=1)
    return -np.log(given)


def _inside(p: Values) -> Values:
    edge = np.finfo(np.float64).eps
    return np.clip(p, edge, 1.0 - edge)
