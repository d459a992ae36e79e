from __future__ import annotations

import numpy as np
import pytest

from insula.core.errors import EvaluationError
from insula.metrics import calibration, intervals, ordinal, panel
from insula.metrics import classification as cl
from insula.metrics.probabilities import Kind

RNG = np.random.default_rng(0)
N, CLASSES = 90, ("a", "b", "c")
OWNER = RNG.integers(0, 25, N)
KEYS = np.array([f"patient {i:02}" for i in OWNER])
P = np.round(RNG.dirichlet(np.ones(3), N), 1) * 0.98 + 0.005
Y = np.eye(3, dtype=bool)[RNG.integers(0, 3, N)]
CALLED = np.eye(3, dtype=bool)[P.argmax(axis=1)]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_sums_over_patients_give_the_figures_of_the_rows(kind: Kind) -> None:
    ready = panel.panel(Y, P, CALLED, KEYS, kind, CLASSES)
    weights = next(intervals.draws(ready.patients, 20, 0))
    got, rows = ready.figures(weights), weights[:, ready.owner]
    want: dict[str, cl.Values] = {}
    for k, name in enumerate(CLASSES):
        y, p, called = Y[:, k], P[:, k], CALLED[:, k]
        one = cl.table_figures(cl.counts(y, called, rows)) | {
            "roc_auc": cl.roc_auc(y, p, rows),
            "pr_auc": cl.average_precision(y, p, rows),
            "brier": cl.brier(y, p, rows),
            "log_loss": cl.log_loss(y, p, rows),
            "ece": calibration.ece(y, p, rows),
        }
        want |= {f"{name}/{key}": values for key, values in one.items()}
    matrix = cl.confusion(Y.argmax(1), CALLED.argmax(1), 3, rows)
    if kind == "multilabel":
        want["/accuracy"] = cl.ratio(rows @ (Y == CALLED).all(axis=1), rows.sum(axis=1))
    else:
        want |= {
            "/accuracy": cl.accuracy(matrix),
            "/mcc": cl.mcc(matrix),
            "/kappa": cl.kappa(matrix),
            "/brier": cl.brier(Y, P, rows),
            "/log_loss": cl.log_loss_classes(Y, P, rows),
            "/log_loss_balanced": cl.log_loss_balanced(Y, P, rows),
        }
    if kind == "ordinal":
        want |= {"/kappa_quadratic": ordinal.quadratic_kappa(matrix), "/mean_steps": ordinal.mean_steps(matrix)}
        want["/within_one"] = ordinal.within_one(matrix)
    for key, values in want.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-10, err_msg=key)
    recall = np.stack([want[f"{name}/sensitivity"] for name in CLASSES])
    np.testing.assert_allclose(got["macro/sensitivity"], recall.mean(axis=0))
    if kind != "multilabel":
        np.testing.assert_allclose(got["/balanced_accuracy"], recall.mean(axis=0))


def test_gaps_add_up_to_the_calibration_errors() -> None:
    ready = panel.panel(Y, P, CALLED, KEYS, "multilabel", CLASSES)
    weights = next(intervals.draws(ready.patients, 10, 0))
    figures = ready.figures(weights)
    for key, values in ready.gaps(weights).items():
        np.testing.assert_allclose(np.abs(values).sum(axis=1), figures[key])


def test_a_target_without_classes_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no classes"):
        panel.panel(Y, P, CALLED, KEYS, "survival", CLASSES)
