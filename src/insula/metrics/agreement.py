"""Do two readers, or several, or a reader and the model give the same answers, beyond chance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics import resample
from insula.metrics.classification import Values, ratio
from insula.metrics.intervals import Figure

Steps = Literal["none", "linear", "quadratic"]
_SAME = "one of the two gave the same answer throughout, so that kappa says nothing of the other"
_ALL_SAME = "all answers are the same, so chance agreement is complete"


def cohen(first: ArrayLike, second: ArrayLike, classes: int, weights: Values, steps: Steps = "none") -> Values:
    """Cohen's kappa of two lists of class numbers (n,), one value per row of weights (R, n).

    steps: none counts every disagreement fully (Cohen 1960); linear and quadratic count it by its distance in classes
    or the square of it (Cohen, Psychological Bulletin 70:213, 1968), for classes that have an order. NaN where one of
    the two gave a single answer throughout: kappa is then 0 whatever the other gave.
    """
    a, b = _pair(first, second, classes)
    matrix = cl.confusion(a, b, classes, weights)
    return np.where(cl.varied(matrix, 1), kappa(matrix, steps), np.nan)


def kappa(matrix: Values, steps: Steps = "none") -> Values:
    """Cohen's kappa of tables (R, K, K) of truth against answers; NaN where the truth is one class throughout."""
    if steps == "none":
        return cl.kappa(matrix)
    distance = np.abs(np.subtract.outer(*[np.arange(matrix.shape[1])] * 2)).astype(np.float64)
    cost = distance if steps == "linear" else distance**2
    total = matrix.sum(axis=(1, 2))
    seen = ratio((matrix * cost).sum(axis=(1, 2)), total)
    chance = ratio(np.einsum("ri,ij,rj->r", matrix.sum(axis=2), cost, matrix.sum(axis=1)), total**2)
    return 1.0 - ratio(seen, np.where(cl.varied(matrix, 2), chance, 0.0))


def percent(first: ArrayLike, second: ArrayLike, weights: Values) -> Values:
    """Share of rows (n,) with the same answer, one value per row of weights (R, n)."""
    same = np.asarray(first) == np.asarray(second)
    return ratio(weights @ same.astype(np.float64), weights.sum(axis=1))


def fleiss(votes: ArrayLike, weights: Values) -> Values:
    """Fleiss' kappa of several readers (Psychological Bulletin 76:378, 1971), one value per row of weights (R, n).

    votes: (n, K), how many readers gave each class to each row; every row was read by the same number, at least two.
    """
    table = np.asarray(votes, dtype=np.float64)
    readers = table.sum(axis=1) if table.ndim == 2 else np.zeros(0)
    if len(readers) == 0 or not (readers == readers[0]).all() or readers[0] < 2:
        raise EvaluationError(
            "Fleiss' kappa needs rows that were all read by the same number of readers, at least two; leave the others "
            "out or compare the readers in pairs."
        )
    m = readers[0]
    agreed = (table * (table - 1)).sum(axis=1) / (m * (m - 1))
    total = weights.sum(axis=1)
    seen = ratio(weights @ agreed, total)
    shares = ratio(weights @ table, m * total[:, None])
    chance = (shares**2).sum(axis=1)
    return ratio(seen - chance, np.where(np.isclose(chance, 1.0, rtol=0.0, atol=1e-12), 0.0, 1.0 - chance))


def votes(answers: ArrayLike, classes: int) -> NDArray[np.int64]:
    """How many readers gave each class to each row, (n, K), from class numbers (n, readers)."""
    given = np.asarray(answers, dtype=np.intp)
    if given.ndim != 2 or ((given < 0) | (given >= classes)).any():
        raise EvaluationError(
            f"Answers {given.shape} must be a table (rows, readers) of class numbers below {classes}."
        )
    counted: NDArray[np.int64] = (given[:, :, None] == np.arange(classes)).sum(axis=1)
    return counted


def figures(
    first: ArrayLike, second: ArrayLike, classes: int, patients: ArrayLike, replicates: int = 2000, seed: int = 0
) -> dict[str, Figure]:
    """Agreement of two readers with intervals over patients: percent, kappa, and for 3 or more classes both weighted.

    first, second: class numbers (n,). The events behind each figure are the rows with the same answer.
    """
    a, b = _pair(first, second, classes)
    same = int((a == b).sum())

    def found(name: str, compute: resample.Compute, nothing: str) -> Figure:
        return resample.figure(name, compute, patients, same, nothing, replicates, seed)

    result = {
        "agreement": found("accuracy", lambda w: percent(a, b, w), "no row was read by both"),
        "kappa": found("kappa", lambda w: cohen(a, b, classes, w), _SAME),
    }
    if classes > 2:
        result["kappa_linear"] = found("kappa_linear", lambda w: cohen(a, b, classes, w, "linear"), _SAME)
        result["kappa_quadratic"] = found("kappa_quadratic", lambda w: cohen(a, b, classes, w, "quadratic"), _SAME)
    return result


def fleiss_figure(
    answers: ArrayLike, classes: int, patients: ArrayLike, replicates: int = 2000, seed: int = 0
) -> Figure:
    """Fleiss' kappa of class numbers (n, readers) with its interval over patients; events: rows on which all agree."""
    table = votes(answers, classes)
    whole = int((table.max(axis=1) == table.sum(axis=1)).sum())
    return resample.figure("kappa", lambda w: fleiss(table, w), patients, whole, _ALL_SAME, replicates, seed)


def _pair(first: ArrayLike, second: ArrayLike, classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    a, b = np.asarray(first, dtype=np.intp), np.asarray(second, dtype=np.intp)
    if a.ndim != 1 or a.shape != b.shape or (np.minimum(a, b) < 0).any() or (np.maximum(a, b) >= classes).any():
        raise EvaluationError(
            f"Answers {a.shape} and {b.shape} must be two equally long lists of class numbers from 0 to {classes - 1}."
        )
    return a, b
