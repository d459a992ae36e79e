"""Hard negatives: training inputs without the finding that the network takes for positive, kept as a list."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from insula.core.cells import guarded, unguarded
from insula.core.errors import TrainingError
from insula.core.provenance import write_text
from insula.train.sampling import Hard

FILE = "hard-negatives.csv"
_HEADER = ("round", "row", "input", "score")


def find(scores: ArrayLike, negative: ArrayLike, threshold: float) -> Hard:
    """The negatives that score at or above the threshold, the highest first.

    scores: (N,) probabilities of the positive class, of all training inputs in their order. negative: (N,), true for an
    input that is known to be without it.
    """
    p = np.asarray(scores, dtype=np.float64)
    chosen = np.flatnonzero(np.asarray(negative, dtype=bool) & (p >= threshold))
    order = np.argsort(-p[chosen], kind="stable")
    return Hard(chosen[order].astype(np.int64), p[chosen][order])


def write(path: Path, number: int, found: Hard, names: Sequence[str]) -> None:
    """Add the list of round `number` (from 1) to the file; a list of that round or a later one is replaced.

    names: what each training input is called (its case's key, and its slice where the unit is one image).
    """
    earlier = [line for line in _lines(path) if int(line["round"]) < number]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_HEADER)
    table.writerows([guarded(line[key]) for key in _HEADER] for line in earlier)
    for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
        table.writerow([number, row, guarded(names[row]), repr(score)])
    write_text(path, text.getvalue())


def read(path: Path, number: int, names: Sequence[str]) -> Hard:
    """The list of round `number`, for a run that goes on; empty where that round found none.

    Raises TrainingError when a line names another input than the training list has in that row.
    """
    lines = [line for line in _lines(path) if int(line["round"]) == number]
    for line in lines:
        row = int(line["row"])
        if row >= len(names) or names[row] != line["input"]:
            raise TrainingError(
                f"'{path.name}' names '{line['input']}' as training input {row}, and the cohort has another one there; "
                "the cohort was changed, so train again without --resume."
            )
    return Hard(
        np.asarray([int(line["row"]) for line in lines], dtype=np.int64),
        np.asarray([float(line["score"]) for line in lines], dtype=np.float64),
    )


def _lines(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [line | {"input": unguarded(line["input"])} for line in csv.DictReader(file)]
