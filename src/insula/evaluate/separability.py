"""How far embeddings tell groups apart: the classes, and whatever else is known of scans and patients.

All on directions of length 1 (`infer.similar.directions`), with Euclidean distances between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.evaluate.feature_groups import Grouping
from insula.evaluate.linear_probe import Probed, components, smoother
from insula.evaluate.linear_probe import judge as judge_probe
from insula.metrics.intervals import Figure
from insula.metrics.resample import figure

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
NEIGHBOURS = 5
SHUFFLES = 999
_CELLS = 2_000_000


@dataclass(frozen=True)
class Tested:
    """A figure and the share of shuffles of the groups over the patients that reach it, itself counted once."""

    value: float
    p_value: float


@dataclass(frozen=True)
class Separated:
    """How far one grouping is told apart.

    values: group → rows. most: share of the largest group, what a constant answer scores. neighbours: leave-patient-out
    accuracy of the NEIGHBOURS nearest. probe: of a linear probe, cross-validated by patient. within: the same among
    cases of one class only, shuffled among patients of one class; None for the class itself.
    """

    name: str
    values: dict[str, int]
    patients: int
    left_out: int
    most: float
    silhouette: Tested
    davies_bouldin: Tested
    neighbours: Figure
    probe: Probed
    within: Probed | None


@dataclass(frozen=True, eq=False)
class Ground:
    """Rows to be judged: directions z (n, E), components (n, C), patients (n,), and what they give at once."""

    z: NDArray[np.float32]
    components: Values
    patients: NDArray[np.str_]
    products: NDArray[np.float32]
    distances: NDArray[np.float32]


def ground(z: NDArray[np.float32], patients: NDArray[np.str_]) -> Ground:
    """Make directions (n, E) of cases and their patients (n,) ready."""
    products = z @ z.T
    length = np.diagonal(products)
    squared = length[:, None] + length[None, :] - 2.0 * products
    distances = np.sqrt(np.maximum(squared, 0.0))
    np.fill_diagonal(distances, 0.0)
    return Ground(z, components(z, patients.tolist()), patients, products, distances.astype(np.float32))


def judge(
    on: Ground, one: Grouping, classes: Grouping | None, seed: int = 0, replicates: int = 2000, shuffles: int = SHUFFLES
) -> Separated:
    """Every figure of one grouping. classes: the label, within which it is looked at again; None for the label."""
    rows = np.flatnonzero(one.codes >= 0)
    codes, owners = one.codes[rows], on.patients[rows]
    k = len(one.values)
    whole = len(rows) == len(on.z)
    products = on.products if whole else on.products[np.ix_(rows, rows)]
    distances = on.distances if whole else on.distances[np.ix_(rows, rows)]
    value = scores(products, distances, codes[None], k)[:, 0]
    chance = list(_shuffled(codes, owners, shuffles, seed))
    drawn = np.concatenate([scores(products, distances, block, k) for block in chance], axis=1)
    higher = int((drawn[0] >= value[0] - 1e-6).sum())
    lower = int((drawn[1] <= value[1] + 1e-6).sum())
    right = leave_patient_out(products, codes, owners) == codes
    matrix = smoother(on.components[rows], owners, seed)
    inside = None if classes is None else classes.codes[rows]
    found = {one.values[c]: int((codes == c).sum()) for c in range(k)}
    return Separated(
        name=one.name,
        values=found,
        patients=len(set(owners.tolist())),
        left_out=one.left_out,
        most=max(found.values()) / len(codes),
        silhouette=_tested(value[0], higher, shuffles),
        davies_bouldin=_tested(value[1], lower, shuffles),
        neighbours=figure(
            "accuracy", lambda w: w @ right / w.sum(axis=1), owners, int(right.sum()), "no case", replicates, seed
        ),
        probe=judge_probe(matrix, codes, owners, k, None, chance, replicates, seed),
        within=None
        if inside is None
        else judge_probe(
            matrix, codes, owners, k, inside, _shuffled(codes, owners, shuffles, seed, inside), replicates, seed
        ),
    )


def _tested(value: float, reached: int, shuffles: int) -> Tested:
    defined = bool(np.isfinite(value))
    return Tested(float(value), (reached + 1) / (shuffles + 1) if defined else float("nan"))


def scores(
    products: NDArray[np.float32], distances: NDArray[np.float32], codes: NDArray[np.intp], k: int
) -> NDArray[np.float64]:
    """Silhouette (Rousseeuw, J. Comput. Appl. Math. 20:53, 1987) and Davies-Bouldin index (1979) of labellings.

    products, distances: (n, n) between rows. codes: (B, n), each of B labellings with k groups. Gives (2, B), NaN where
    a group is empty; a group of one row has the silhouette 0.
    """
    b, n = codes.shape
    member = (codes[:, :, None] == np.arange(k)).astype(np.float32)
    table = np.ascontiguousarray(member.transpose(1, 0, 2)).reshape(n, b * k)
    size = member.sum(axis=1, dtype=np.float64)
    sums = (distances @ table).reshape(n, b, k).transpose(1, 0, 2).astype(np.float64)
    own = member.astype(bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        own_size = np.take_along_axis(size, codes, axis=1)
        a = sums[own].reshape(b, n) / (own_size - 1)
        other = np.where(own, np.inf, sums / size[:, None, :]).min(axis=2)
        each = np.where(own_size > 1, (other - a) / np.maximum(a, other), 0.0)
    silhouette = np.where((size > 0).all(axis=1), np.nan_to_num(each).mean(axis=1), np.nan)
    return np.stack([silhouette, _davies_bouldin(products, table, own, size)])


def _davies_bouldin(
    products: NDArray[np.float32], table: NDArray[np.float32], own: NDArray[np.bool_], size: Values
) -> Values:
    b, n, k = own.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (products @ table).reshape(n, b, k).transpose(1, 0, 2).astype(np.float64) / size[:, None, :]
        between = np.einsum("bnk,bnl->bkl", own, mean) / size[:, :, None]  # products of the groups' centres
        length = np.diagonal(between, axis1=1, axis2=2)
        squared = np.diagonal(products)[None, :, None] - 2.0 * mean + length[:, None, :]
        inside = (np.sqrt(np.maximum(squared, 0.0)) * own).sum(axis=1) / size
        apart = np.sqrt(np.maximum(length[:, :, None] + length[:, None, :] - 2.0 * between, 0.0))
        ratio = (inside[:, :, None] + inside[:, None, :]) / apart
    ratio[:, np.arange(k), np.arange(k)] = -np.inf
    worst = ratio.max(axis=2)
    found: Values = np.where((size > 0).all(axis=1), worst.mean(axis=1), np.nan)
    return found


def leave_patient_out(products: NDArray[np.float32], codes: Codes, owners: NDArray[np.str_]) -> Codes:
    """The answer (n,) of each row's NEIGHBOURS nearest rows of other patients; -1 where there are none.

    The group of most of them; of groups that tie that of the nearer one.
    """
    _, owner = np.unique(owners, return_inverse=True)
    answers = np.full(len(codes), -1)
    k = min(NEIGHBOURS, len(codes) - 1)
    for start in range(0, len(codes), 512):
        part = slice(start, min(start + 512, len(codes)))
        near = np.where(owner[part, None] == owner[None, :], -np.inf, products[part])
        rows = np.argpartition(-near, k - 1, axis=1)[:, :k]
        likeness = np.take_along_axis(near, rows, axis=1)
        order = np.lexsort((rows, -likeness), axis=1)
        rows, likeness = (np.take_along_axis(x, order, axis=1) for x in (rows, likeness))
        votes = np.zeros((len(rows), int(codes.max()) + 1))
        for j in range(k):
            known = np.isfinite(likeness[:, j])
            np.add.at(votes, (np.flatnonzero(known), codes[rows[known, j]]), 1.0 + 1e-3 * 2.0**-j)
        answers[part] = np.where(votes.any(axis=1), votes.argmax(axis=1), -1)
    return answers


def _shuffled(
    codes: Codes, owners: NDArray[np.str_], shuffles: int, seed: int, strata: Codes | None = None
) -> Iterator[Codes]:
    """Labellings (B, n) in which every patient has the groups of another one, repeated to as many rows as it has.

    strata: patients change places only with those whose first row is in the same one.
    """
    _, first, owner = np.unique(owners, return_index=True, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(codes)) - np.repeat(starts, counts)  # of a row among its patient's
    among = np.zeros(len(counts), np.intp) if strata is None else strata[first]
    parts = [np.flatnonzero(among == value) for value in np.unique(among)]
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // (len(codes) * (int(codes.max()) + 1)))
    for begin in range(0, shuffles, step):
        block = np.empty((min(step, shuffles - begin), len(codes)), np.intp)
        for line in block:
            giver = np.empty(len(counts), np.intp)
            for part in parts:
                giver[part] = rng.permutation(part)
            giver = np.repeat(giver, counts)
            line[order] = codes[order[starts[giver] + place % counts[giver]]]
        yield block
