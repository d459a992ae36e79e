"""What a bundle keeps of its training scans in order to know others: references, and their scale from validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.infer import domain, domain_scale

FOLDS: Final = 5
_FLOOR: Final = 0.05  # of a number's deviation: what hardly varied in training may vary a little more elsewhere


@dataclass(frozen=True, eq=False)
class Cases:
    """Measured cases: embeddings (n, E) of their inputs, and for each input the number of its case.

    patients: of each case. looks: role → numbers (m, F) of each case's picture, NaN rows where it lacks the role.
    """

    embeddings: FloatArray
    owner: NDArray[np.int_]
    patients: Sequence[str]
    looks: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The fields of `bundle.types.Baseline` that tell how far a scan is from training; see there."""

    embedding_mean: NDArray[np.float64]
    embedding_precision: NDArray[np.float64]
    neighbours: NDArray[np.float16]
    pictures: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    scale: NDArray[np.float64]
    scaled: NDArray[np.float64]


def fit(train: Cases, val: Cases) -> Fitted:
    """References of the training cases, and the scale of the validation cases' distances from them.

    Validation cases of which a patient is also in training (an ensemble of folds has no others) are measured against
    references of four fifths of the training patients, in turn, that leave out their own.
    """
    whole = _references(train, np.ones(len(train.patients), bool))
    count = len(val.patients)
    raw = np.empty((count, 2 + len(train.looks)))
    if set(val.patients) & set(train.patients):
        turn = {patient: i % FOLDS for i, patient in enumerate(sorted({*val.patients, *train.patients}))}
        of_train = np.array([turn[p] for p in train.patients])
        for fold in sorted({turn[p] for p in val.patients}):
            others = _references(train, of_train != fold) if (of_train != fold).sum() > 1 else whole
            for i in (i for i in range(count) if turn[val.patients[i]] == fold):
                raw[i] = _parts(val, i, others)
    else:
        for i in range(count):
            raw[i] = _parts(val, i, whole)
    by_part = domain_scale.scale(raw, domain_scale.QUARTILE)
    largest = np.nanmax(domain_scale.ratios(raw, by_part), axis=1)
    together = domain_scale.scale(largest[:, None], domain_scale.LEVEL)
    features, rows, pictures = whole
    return Fitted(
        *features,
        rows,
        pictures,
        scale=np.concatenate([by_part, together]),
        scaled=np.sort(domain_scale.ratios(largest[:, None], together)[:, 0]),
    )


_References = tuple[
    tuple[NDArray[np.float64], NDArray[np.float64]],
    NDArray[np.float16],
    dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
]


def _references(train: Cases, chosen: NDArray[np.bool_]) -> _References:
    embeddings = train.embeddings[chosen[train.owner]]
    pictures = {role: _look(rows[chosen]) for role, rows in train.looks.items()}
    return domain.baseline(embeddings), domain.neighbours(embeddings), pictures


def _look(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and precision of numbers (m, F) of different sizes: standardised before the covariance is shrunk."""
    known = rows[np.isfinite(rows).all(axis=1)]
    if len(known) < 2:  # nothing is known of a role that one case has, so nothing is far from it
        return np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
    size = np.maximum(known.std(axis=0), _FLOOR)
    mean, precision = domain.baseline(known / size)
    return mean * size, precision / np.outer(size, size)


def _parts(val: Cases, i: int, references: _References) -> NDArray[np.float64]:
    looks = {role: rows[i] for role, rows in val.looks.items() if np.isfinite(rows[i]).all()}
    return domain_scale.parts(val.embeddings[val.owner == i], looks, *references)
