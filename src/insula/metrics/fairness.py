"""How groups of patients fare: their figures, and how far the groups lie apart, for many weighted samples at once.

Definitions: demographic parity, the share called positive (Dwork et al., ITCS 2012); equal opportunity, the
sensitivity, and equalised odds, sensitivity and false positive rate together (Hardt, Price and Srebro, NeurIPS 2016);
predictive parity, the positive predictive value (Chouldechova, Big Data 5:153, 2017). Differences are the largest less
the smallest over the groups, ratios the smallest over the largest, as in Fairlearn. Both make groups look further apart
than they are, the more the smaller and the more numerous they are: `group_permutation` says how far chance alone
drives them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics.classification import Values, ratio
from insula.metrics.ranking import rank

Codes = NDArray[np.intp]
GAPS = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equalised_odds_difference",
    "equalised_odds_ratio",
    "predictive_parity_difference",
)


def tables(y: ArrayLike, called: ArrayLike, groups: ArrayLike, count: int, weights: Values) -> Values:
    """The two-by-two table of each group, (R, count, 4): TP, FP, FN, TN.

    y, called: (n,) bool. groups: (n,) number of each row's group, 0 to count − 1. weights: (R, n). Raises
    EvaluationError for lists that do not fit together, or a group that is none.
    """
    truth, answer, of = np.asarray(y, dtype=bool), np.asarray(called, dtype=bool), np.asarray(groups)
    if not truth.shape == answer.shape == of.shape or truth.ndim != 1 or weights.shape[1:] != truth.shape:
        raise EvaluationError(
            f"Labels {truth.shape}, answers {answer.shape}, groups {of.shape} and weights {weights.shape} do not "
            "belong together; all need one entry a row."
        )
    if len(of) and (of.min() < 0 or of.max() >= count):
        raise EvaluationError(f"Groups {of.min()} to {of.max()} do not lie in 0 to {count - 1}; number them anew.")
    inside = (of[:, None] == np.arange(count)).astype(np.float64)
    each = inside[:, :, None] * cl.cells(truth, answer)[:, None, :]
    found: Values = (weights @ each.reshape(len(truth), count * 4)).reshape(-1, count, 4)
    return found


def rates(counted: Values) -> dict[str, Values]:
    """Every share of tables (R, G, 4), (R, G) each; NaN for a share of nothing."""
    tp, fp, fn, tn = np.moveaxis(counted, -1, 0)
    total = tp + fp + fn + tn
    return {
        "prevalence": ratio(tp + fn, total),
        "selection_rate": ratio(tp + fp, total),
        "sensitivity": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "false_positive_rate": ratio(fp, fp + tn),
        "ppv": ratio(tp, tp + fp),
        "npv": ratio(tn, tn + fn),
    }


def gaps(counted: Values) -> dict[str, Values]:
    """How far groups lie apart in tables (R, G, 4), (R,) each, by the names of GAPS.

    A group without a rate (a share of nothing) is passed over; NaN where fewer than two have one, and for a ratio where
    all rates are 0. Equalised odds: the larger of the differences, the smaller of the ratios, of sensitivity and false
    positive rate.
    """
    of = rates(counted)
    sensitivity, false = of["sensitivity"], of["false_positive_rate"]
    return {
        "demographic_parity_difference": apart(of["selection_rate"]),
        "demographic_parity_ratio": least_ratio(of["selection_rate"]),
        "equal_opportunity_difference": apart(sensitivity),
        "equalised_odds_difference": np.maximum(apart(sensitivity), apart(false)),
        "equalised_odds_ratio": np.minimum(least_ratio(sensitivity), least_ratio(false)),
        "predictive_parity_difference": apart(of["ppv"]),
    }


def areas(y: ArrayLike, p: ArrayLike, groups: ArrayLike, count: int, weights: Values) -> Values:
    """ROC-AUC within each group, (R, count), for weights (R, n); NaN without both classes."""
    truth, score, of = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64), np.asarray(groups)
    places = [np.flatnonzero(of == g) for g in range(count)]
    return np.stack([rank(truth[at], score[at], at).figures(weights)[0] for at in places], axis=1)


def apart(values: Values) -> Values:
    """Largest less smallest over groups, (R, G) → (R,); NaN where fewer than two are defined."""
    known = np.isfinite(values)
    high, low = np.where(known, values, -np.inf).max(axis=1), np.where(known, values, np.inf).min(axis=1)
    enough = known.sum(axis=1) > 1
    return np.where(enough, np.where(enough, high, 0.0) - np.where(enough, low, 0.0), np.nan)


def least_ratio(values: Values) -> Values:
    """Smallest over largest over groups, (R, G) → (R,); NaN where fewer than two are defined, or all are 0."""
    known = np.isfinite(values)
    high, low = np.where(known, values, -np.inf).max(axis=1), np.where(known, values, np.inf).min(axis=1)
    enough = known.sum(axis=1) > 1
    return ratio(np.where(enough, low, 0.0), np.where(enough, high, 0.0))
