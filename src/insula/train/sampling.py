"""The order of the training inputs in each epoch: a pure function of the seed and the epoch, shared among processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from insula.core.errors import TrainingError

Rows = NDArray[np.int64]


class Hard(NamedTuple):
    """Training inputs that the network wrongly called positive: their rows, and scores by which they are drawn."""

    rows: Rows
    scores: NDArray[np.float64]


def permutation(count: int, seed: int, epoch: int) -> Rows:
    """Each of `count` rows once, in random order."""
    return np.random.default_rng((seed, epoch, 1)).permutation(count).astype(np.int64)


def balanced(classes: Sequence[int], patients: Sequence[str], seed: int, epoch: int) -> Rows:
    """Rows in random order, equally many of each class, as many altogether as there are (less what does not divide).

    Within a class the patients take turns, and so do the rows of each patient: a rare class comes several times, a
    patient with many rows counts as much as one with a single row, and no row of a patient comes again before all of
    that patient's have come.
    classes, patients: of each row.
    """
    draw = np.random.default_rng((seed, epoch, 1))
    places = _places(classes, patients)
    each = max(len(classes) // len(places), 1)
    chosen: list[int] = []
    for of_patients in places.values():
        decks = [draw.permutation(rows).tolist() for rows in of_patients]
        taken = [0] * len(decks)
        turns: list[int] = []
        while len(turns) < each:
            turns += draw.permutation(len(decks)).tolist()
        for patient in turns[:each]:
            deck = decks[patient]
            chosen.append(deck[taken[patient] % len(deck)])
            taken[patient] += 1
    return draw.permutation(np.asarray(chosen, dtype=np.int64))


def balanced_draws(classes: Sequence[int], patients: Sequence[str]) -> NDArray[np.float64]:
    """How often each row is drawn in an epoch of `balanced`, on average (N,)."""
    places = _places(classes, patients)
    each = max(len(classes) // len(places), 1)
    out = np.zeros(len(classes))
    for of_patients in places.values():
        for rows in of_patients:
            out[rows] = each / (len(of_patients) * len(rows))
    return out


def with_hard(order: Rows, hard: Hard, share: float, batch: int, seed: int, epoch: int) -> Rows:
    """The order with round(share · batch) places of each batch given to hard negatives.

    Hard rows are drawn with chances in proportion to their scores, within a batch each at most once as long as there
    are enough; which places they take is drawn too, so that over the epochs no other row is left out for good.
    """
    if len(hard.rows) == 0:
        return order
    draw = np.random.default_rng((seed, epoch, 2))
    weight = np.maximum(hard.scores, 1e-12)
    chance = weight / weight.sum()
    out = order.copy()
    for start in range(0, len(order), batch):
        size = min(batch, len(order) - start)
        count = round(share * size)
        again = count > len(hard.rows)
        out[start + draw.permutation(size)[:count]] = draw.choice(hard.rows, count, replace=again, p=chance)
    return out


def whole_batches(order: Rows, batch: int) -> Rows:
    """The order without a last batch that would not be full; all of it where not one batch is full."""
    return order[: len(order) // batch * batch] if len(order) >= batch else order


def part(order: Rows, rank: int, world: int) -> Rows:
    """The rows of one of `world` processes: every world-th, beginning again where the last turn is not full.

    All processes get equally many rows. With batch/world rows a step, they see together the batches of one process.
    """
    missing = -len(order) % world
    return np.concatenate([order, np.resize(order, missing)])[rank::world]


def rows_per_process(batch: int, world: int) -> int:
    """How many rows of each batch one process takes; TrainingError when the batch does not divide."""
    if batch % world:
        near = max(batch // world, 1) * world
        raise TrainingError(f"train.batch = {batch} does not divide among {world} processes; set it to {near}.")
    return batch // world


class EpochSampler(Sampler[int]):
    """The rows of an epoch for one process; set `epoch` before each, and `hard` for a hard-negative round.

    classes: the class of each row, for balanced drawing; None draws each row once. A last batch that is not full is
    left out, since a batch of one case would give batch norm nothing to normalise by.
    """

    def __init__(
        self,
        patients: Sequence[str],
        seed: int,
        batch: int,
        *,
        classes: Sequence[int] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.patients, self.classes = patients, classes
        self.seed, self.batch = seed, batch
        self.rank, self.world = rank, world
        self.epoch = 0
        self.hard: Hard | None = None
        self.share = 0.0

    def order(self) -> Rows:
        """The rows of this epoch, for all processes together."""
        if self.classes is None:
            rows = permutation(len(self.patients), self.seed, self.epoch)
        else:
            rows = balanced(self.classes, self.patients, self.seed, self.epoch)
        rows = whole_batches(rows, self.batch)
        if self.hard is not None:
            rows = with_hard(rows, self.hard, self.share, self.batch, self.seed, self.epoch)
        return rows

    def __len__(self) -> int:
        if self.classes is None:
            count = len(self.patients)
        else:
            kinds = len(set(self.classes))
            count = max(len(self.classes) // kinds, 1) * kinds
        whole = count // self.batch * self.batch or count
        return -(-whole // self.world)

    def __iter__(self) -> Iterator[int]:
        return iter(part(self.order(), self.rank, self.world).tolist())


def _places(classes: Sequence[int], patients: Sequence[str]) -> dict[int, list[list[int]]]:
    """Class → patient → rows, all in the order of their first appearance by number of class."""
    found: dict[int, dict[str, list[int]]] = {k: {} for k in sorted(set(classes))}
    for row, (k, patient) in enumerate(zip(classes, patients, strict=True)):
        found[k].setdefault(patient, []).append(row)
    return {k: list(of.values()) for k, of in found.items()}
