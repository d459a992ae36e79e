"""Every figure of one sample at once, for weights over its patients.

Most figures follow from sums over rows, so the rows of a patient are added up once and a replicate costs the number of
patients; the scores are sorted once (`ranking`). The definitions are those of `classification` and `calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.metrics import calibration, ordinal, ranking
from insula.metrics import classification as cl
from insula.metrics.classification import Bools, Values, ratio
from insula.metrics.probabilities import Kind, exclusive


@dataclass(frozen=True)
class Panel:
    """A sample made ready.

    sums: (patients, columns), the columns of each name in `places`. rankings: one per class. owner: (n,) patient of
    each row. Names of figures: `class/name`, `macro/name` (means over the classes) and `/name` (over all classes).
    """

    classes: tuple[str, ...]
    kind: Kind
    owner: NDArray[np.intp]
    sums: Values
    places: dict[str, slice]
    rankings: tuple[ranking.Ranking, ...]

    def gaps(self, weights: Values) -> dict[str, Values]:
        """What the calibration errors are sums of, (R, bins) each, by the names that `figures` has for them."""
        size = weights @ self.sums[:, self.places["size"]]
        found = {
            f"{label}/ece": ratio(weights @ self.sums[:, self.places[f"{label}/gaps"]], size) for label in self.classes
        }
        return found | {"macro/ece": np.hstack(list(found.values())) / len(self.classes)}

    @property
    def patients(self) -> int:
        """How many patients there are: the width of the weights."""
        return len(self.sums)

    def figures(self, weights: Values) -> dict[str, Values]:
        """Every figure, (R,) each, for weights (R, patients)."""
        totals = weights @ self.sums

        def of(name: str) -> Values:
            return totals[:, self.places[name]]

        size = of("size")[:, 0]
        found: dict[str, Values] = {}
        names: list[str] = []
        for label, sorted_rows in zip(self.classes, self.rankings, strict=True):
            roc_auc, pr_auc = sorted_rows.figures(weights)
            one = cl.table_figures(cl.of_cells(of(f"{label}/cells"))) | {
                "roc_auc": roc_auc,
                "pr_auc": pr_auc,
                "brier": ratio(of(f"{label}/brier")[:, 0], size),
                "log_loss": ratio(of(f"{label}/log_loss")[:, 0], size),
                "ece": calibration.ece_of(of(f"{label}/gaps"), size),
            }
            names = list(one)
            found |= {f"{label}/{name}": values for name, values in one.items()}
        for name in names:
            found[f"macro/{name}"] = np.mean([found[f"{label}/{name}"] for label in self.classes], axis=0)
        if not exclusive(self.kind):
            return found | {"/accuracy": ratio(of("right")[:, 0], size)}
        k = len(self.classes)
        matrix = of("pairs").reshape(-1, k, k)
        if self.kind == "ordinal":
            found |= {
                "/kappa_quadratic": ordinal.quadratic_kappa(matrix),
                "/mean_steps": ordinal.mean_steps(matrix),
                "/within_one": ordinal.within_one(matrix),
            }
        return found | {
            "/accuracy": cl.accuracy(matrix),
            "/balanced_accuracy": cl.mean_of_classes(np.diagonal(matrix, axis1=1, axis2=2), matrix.sum(axis=2)),
            "/mcc": cl.mcc(matrix),
            "/kappa": cl.kappa(matrix),
            "/brier": ratio(of("brier")[:, 0], size),
            "/log_loss": ratio(of("log_loss")[:, 0], size),
            "/log_loss_balanced": cl.mean_of_classes(of("by_class"), matrix.sum(axis=2)),
        }


def panel(y: Bools, p: Values, called: Bools, patients: ArrayLike, kind: Kind, classes: Sequence[str]) -> Panel:
    """Make labels y, probabilities p and answers called, (n, K) each, and patient keys (n,) ready."""
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    total = int(owner.max()) + 1
    columns: list[Values] = []
    places: dict[str, slice] = {}

    def add(name: str, rows: Values) -> None:
        table = rows if rows.ndim == 2 else rows[:, None]
        start = len(columns)
        columns.extend(np.bincount(owner, column, minlength=total).astype(np.float64) for column in table.T)
        places[name] = slice(start, len(columns))

    add("size", np.ones(len(y)))
    for k, label in enumerate(classes):
        add(f"{label}/cells", cl.cells(y[:, k], called[:, k]))
        add(f"{label}/brier", cl.squared_errors(y[:, k], p[:, k]))
        add(f"{label}/log_loss", cl.losses(y[:, k], p[:, k]))
        add(f"{label}/gaps", calibration.gaps(y[:, k], p[:, k]))
    if not exclusive(kind):
        add("right", (y == called).all(axis=1).astype(np.float64))
    else:
        losses = cl.losses_classes(y, p)
        add("pairs", cl.pairs(y.argmax(1), called.argmax(1), len(classes)))
        add("brier", cl.squared_errors(y, p))
        add("log_loss", losses)
        add("by_class", losses[:, None] * y)
    rankings = tuple(ranking.rank(y[:, k], p[:, k], owner) for k in range(len(classes)))
    return Panel(tuple(classes), kind, owner, np.stack(columns, axis=1), places, rankings)
