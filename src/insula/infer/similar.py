"""Past cases that look alike to the network: exact search among stored embeddings, in NumPy alone.

Likeness is the cosine between two embeddings as seen from the mean of the training embeddings: 1 for one direction, 0
for none in common, below 0 for opposite ones. The plain cosine of features that are never below 0 crowds near 1; seen
from the middle, neighbours shared the label as often or more often on real data (docs/features.md).

All rows are scored in single precision, block by block; those that its rounding could have put in the wrong place are
scored again in double precision. So the result is that of double precision throughout, ties by the lower row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import UsageError
from insula.core.types import FloatArray

SAID: Final = (
    "Likeness is the network's own: how near two embeddings lie. It is no proof that two patients have the same "
    "disease."
)
_BLOCK: Final = 1 << 20  # numbers of one block
_ROUNDING: Final = 2.0**-24  # of single precision
_LEAST: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Searchable:
    """Stored embeddings (n, E), made ready. centre (E,): where they are seen from. lengths (n,): distance from there.

    reach: the largest ratio of an embedding's own length to that distance, by which rounding grows.
    """

    embeddings: FloatArray
    centre: NDArray[np.float64]
    lengths: NDArray[np.float64]
    reach: float


@dataclass(frozen=True, eq=False)
class Found:
    """Rows of the store, the most alike first, and their likeness, (k,) each."""

    rows: NDArray[np.intp]
    likeness: NDArray[np.float64]


def searchable(embeddings: FloatArray, centre: NDArray[np.floating]) -> Searchable:
    """Make embeddings (n, E), which may be mapped from a file, ready for any number of searches: one pass over them.

    Raises UsageError when centre and embeddings are of different lengths.
    """
    middle = np.asarray(centre, np.float64)
    if embeddings.ndim != 2 or middle.shape != embeddings.shape[1:]:
        raise UsageError(f"Embeddings {embeddings.shape} and a centre {middle.shape} do not belong together.")
    lengths, reach = np.empty(len(embeddings)), 1.0
    for part in _blocks(embeddings):
        rows = np.array(embeddings[part], np.float64)
        own = np.sqrt(np.vecdot(rows, rows))
        rows -= middle
        lengths[part] = np.sqrt(np.vecdot(rows, rows))
        far = lengths[part] > _LEAST
        reach = max(reach, float(np.max(own[far] / lengths[part][far], initial=1.0)))
    return Searchable(embeddings, middle, lengths, reach)


def nearest(
    among: Searchable, query: NDArray[np.floating], top: int = 10, leave_out: NDArray[np.bool_] | None = None
) -> Found:
    """The `top` rows most alike to an embedding (E,), exactly; fewer where there are fewer.

    leave_out: (n,) rows that are not asked for, such as the patient's own. Rows that lie on the centre have no
    direction and are never found. Raises UsageError for a query of another length, not finite, or on the centre.
    """
    offset = np.asarray(query, np.float64)
    if offset.shape != among.centre.shape or not np.isfinite(offset).all():
        raise UsageError(f"A query has to be {among.centre.shape} finite numbers; {offset.shape} were given.")
    offset = offset - among.centre
    length = float(np.linalg.norm(offset))
    if length <= _LEAST:
        raise UsageError("The scan's embedding is the mean of training: it has no direction to search in.")
    direction = offset / length
    out = among.lengths <= _LEAST
    if leave_out is not None:
        out = out | leave_out
    wanted = min(top, len(out) - int(out.sum()))
    if wanted <= 0:
        return Found(np.zeros(0, np.intp), np.zeros(0))
    score = _scores(among, direction)
    score[out] = -np.inf
    last = np.partition(score, len(score) - wanted)[len(score) - wanted]
    slack = 2.0 * (len(direction) + 8) * _ROUNDING * among.reach
    near = np.flatnonzero(score >= last - slack)
    rows = np.asarray(among.embeddings[near], np.float64) - among.centre
    exact = rows @ direction / among.lengths[near]
    order = np.lexsort((near, -exact))[:wanted]
    return Found(near[order], np.clip(exact[order], -1.0, 1.0))


def directions(embeddings: FloatArray, centre: NDArray[np.floating]) -> NDArray[np.float32]:
    """Embeddings (n, E) seen from the centre, of length 1: their products are likenesses. 0 for rows on the centre."""
    offset = np.asarray(embeddings, np.float64) - np.asarray(centre, np.float64)
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    found: NDArray[np.float32] = np.where(length > _LEAST, offset / np.maximum(length, _LEAST), 0.0).astype(np.float32)
    return found


def _scores(among: Searchable, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The likeness of every row (n,), products in single precision."""
    single = direction.astype(np.float32)
    products = np.empty(len(among.embeddings), np.float32)
    for part in _blocks(among.embeddings):
        # not matmul: its threads wait for each other wherever another program runs, and memory is what limits this
        np.vecdot(among.embeddings[part], single, out=products[part])
    score: NDArray[np.float64] = (products - float(among.centre @ direction)) / np.maximum(among.lengths, _LEAST)
    return score


def _blocks(embeddings: FloatArray) -> list[slice]:
    step = max(1, _BLOCK // max(1, embeddings.shape[1]))
    return [slice(start, min(start + step, len(embeddings))) for start in range(0, len(embeddings), step)]
