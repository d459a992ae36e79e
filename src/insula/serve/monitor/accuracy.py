"""How right the answers were, by those of them that readers reviewed, and how far the readers agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from sqlalchemy import Connection

from insula.core.recipe import Target
from insula.metrics import agreement, proportion, resample
from insula.metrics.classification import Values, ratio
from insula.metrics.intervals import Figure
from insula.serve.monitor.reviewed import FEWEST, Reviewed, Row, reviewed

NO_SAMPLE: Final = (
    "Reviewed cases are no random sample where they are chosen, as by a queue that puts unsure answers first: these "
    "figures are about reviewed cases, and those of all cases may be higher or lower."
)
CORRECTED: Final = ("corrected sensitivity", "corrected specificity")
FEW: Final = f"fewer than {FEWEST} answers were reviewed"
SEEN: Final = "Readers who see the model's answer tend to agree with it, so that the figures may be too high."


@dataclass(frozen=True)
class Month:
    """One calendar month (UTC) of answers, `2026-11`: accuracy, sensitivity and specificity on its reviewed cases."""

    month: str
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Accuracy:
    """Answers of one bundle against their reviews.

    figures: accuracy, sensitivity and specificity of the positive class, kappa of answer and reader; and `corrected
    sensitivity` and `corrected specificity` (`corrected`). readers: agreement and kappa of the first two readers.
    settled, disputed, untold, rejected: numbers of studies, see `reviewed.Reviewed`. shares: answer's class → share of
    its answers with a settled review. notes: what has to be said beside the figures.
    """

    figures: dict[str, Figure]
    months: tuple[Month, ...]
    readers: dict[str, Figure]
    settled: int
    disputed: int
    untold: int
    rejected: int
    shares: dict[str, float]
    notes: tuple[str, ...]


def accuracy(connection: Connection, bundle_id: str, name: str, target: Target, replicates: int = 2000) -> Accuracy:
    """Figures of the bundle's answers to the target `name`, with 95% intervals over patients.

    Each study counts by its first answer, each patient as a whole in the intervals. Of fewer than FEWEST studies there
    are no figures. Raises ValueError for a target without classes.
    """
    if target.graded:
        raise ValueError(f"the target '{name}' has no classes, so no answer to it is right or wrong")
    found = reviewed(connection, bundle_id, name, target)
    positive = target.positive_index if target.exclusive else 1
    classes = len(target.classes) if target.exclusive else 2
    rows = found.settled if len(found.settled) >= FEWEST else ()
    figures = shares_right(rows, positive)
    if found.settled and not rows:
        figures = {name: replace(one, reason=FEW) for name, one in figures.items()}
    if rows:
        answers, truths, patients = [r.answer for r in rows], [r.truth for r in rows], [r.patient for r in rows]
        figures["kappa"] = agreement.figures(truths, answers, classes, patients, replicates)["kappa"]
        figures |= corrected(found, positive, replicates)
    months = sorted({f"{r.at:%Y-%m}" for r in rows})
    pairs = found.pairs if len(found.pairs) >= FEWEST else ()
    readers = (
        agreement.figures(
            [p.first for p in pairs], [p.second for p in pairs], classes, [p.patient for p in pairs], replicates
        )
        if pairs
        else {}
    )
    named = target.classes if target.exclusive else (f"no {target.positive}", target.positive)
    settled = [sum(r.answer == k for r in found.settled) for k in range(classes)]
    return Accuracy(
        figures=figures,
        months=tuple(Month(m, shares_right([r for r in rows if f"{r.at:%Y-%m}" == m], positive)) for m in months),
        readers={key: readers[key] for key in ("agreement", "kappa") if key in readers},
        settled=len(found.settled),
        disputed=found.disputed,
        untold=found.untold,
        rejected=found.rejected,
        shares={named[k]: settled[k] / count for k, count in sorted(found.answered.items())},
        notes=_notes(found),
    )


def share_right(connection: Connection, bundle_id: str, name: str, target: Target) -> Figure:
    """The accuracy alone, with its interval: no sample is drawn for it, so that it can be asked for often."""
    found = reviewed(connection, bundle_id, name, target)
    return shares_right(found.settled, target.positive_index if target.exclusive else 1)["accuracy"]


def shares_right(rows: Sequence[Row], positive: int) -> dict[str, Figure]:
    """Accuracy, and sensitivity and specificity of the class with the number `positive`, of rows (n,)."""
    answer = np.array([r.answer for r in rows], np.intp)
    truth = np.array([r.truth for r in rows], np.intp)
    patients = np.array([r.patient for r in rows])
    called, is_positive = answer == positive, truth == positive
    whole = np.ones(len(rows), bool)
    return {
        "accuracy": proportion.figure(answer == truth, whole, patients, "no answer was reviewed"),
        "sensitivity": proportion.figure(called, is_positive, patients, "no reviewed case is positive"),
        "specificity": proportion.figure(~called, ~is_positive, patients, "no reviewed case is negative"),
    }


def corrected(found: Reviewed, positive: int, replicates: int = 2000) -> dict[str, Figure]:
    """Sensitivity and specificity corrected for positive and negative answers being reviewed in different shares.

    After Begg and Greenes (Biometrics 39:207, 1983): each reviewed case stands for as many answers as were not. It
    holds where, among answers alike, which are reviewed has nothing to do with the truth. The shares are taken as
    known.
    """
    rows = found.settled
    called = np.array([r.answer == positive for r in rows])
    truth = np.array([r.truth == positive for r in rows])
    patients = np.array([r.patient for r in rows])
    stands_for = np.zeros(len(rows))
    for side in (True, False):
        total = sum(count for k, count in found.answered.items() if (k == positive) is side)
        if (called == side).any():
            stands_for[called == side] = total / (called == side).sum()

    def share(hit: Values, among: Values) -> resample.Compute:
        return lambda w: ratio(w @ (hit * among * stands_for), w @ (among * stands_for))

    if called.all() or not called.any():
        counts = len(set(patients.tolist())), len(rows), int(truth.sum())
        empty = Figure(float("nan"), None, "", *counts, "only answers of one kind were reviewed")
        return dict.fromkeys(CORRECTED, empty)
    yes, no = truth.astype(np.float64), (~truth).astype(np.float64)
    computes = share(called.astype(np.float64), yes), share((~called).astype(np.float64), no)
    missing = "no reviewed case is positive", "no reviewed case is negative"
    return {
        name: resample.figure(name, compute, patients, int(truth.sum()), nothing, replicates)
        for name, compute, nothing in zip(CORRECTED, computes, missing, strict=True)
    }


def _notes(found: Reviewed) -> tuple[str, ...]:
    notes = [NO_SAMPLE, SEEN]
    if found.disputed:
        notes.append(f"{found.disputed} studies are left out because their readers differ.")
    seen = sum(not pair.apart for pair in found.pairs)
    if seen:
        notes.append(f"Of {len(found.pairs)} second readings {seen} were made after the first was shown.")
    return tuple(notes)
