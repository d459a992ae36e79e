"""Finding codes that differ in few bits without comparing all with all.

Codes that agree in one of 32 words of 16 bits are looked at (locality-sensitive hashing by bands: Indyk and Motwani,
STOC 1998); those that differ in at most `radius` bits are kept. Time and memory grow with the number of codes, not with
its square, as long as codes are spread; a crowded word is cut to the codes that lie nearest in sorted order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.cohort.codes import Codes

RADIUS = 56  # of 256 bits: where 98 of 100 copies cropped by 5% lie within 45
_KEYS = 1 << 16
_CROWD = 48
_PER_QUERY = 64
_BLOCK = 1024
_THREADS = 2
# A band is two bytes of the code: neighbours first, then a second set that pairs each byte with another.
_PAIRS = tuple((i, i + 1) for i in range(0, 32, 2)) + tuple((i, (i + 11) % 32) for i in range(0, 32, 2))


@dataclass(frozen=True)
class Near:
    """Directed pairs: first (queries), second (base), look (number of the query's look), bits in which they differ."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    look: NDArray[np.uint8]
    bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class _Band:
    """Numbers of codes sorted by their word in one band; starts: where each word begins; rest: the sorting key."""

    pair: tuple[int, int]
    order: NDArray[np.int32]
    starts: NDArray[np.int32]
    rest: NDArray[np.uint64]


class Index:
    """Codes (N, 4) with owners (N,): pairs of one owner are no pairs."""

    def __init__(self, codes: Codes, owners: NDArray[np.int32]) -> None:
        self._codes = np.ascontiguousarray(codes)
        self._owners = np.ascontiguousarray(owners)
        self._bands = [self._band(pair) for pair in _PAIRS]

    def near(
        self, looks: Callable[[int, int], list[Codes]], radius: int = RADIUS, block: int = _BLOCK
    ) -> Iterator[Near]:
        """Pairs within `radius` bits, block by block of queries.

        looks(start, stop): for the codes of that range, their codes under each look, each (stop - start, 4). Of one
        pair the look with the fewest differing bits is given, and of one query at most the 64 nearest.
        """
        for start in range(0, len(self._codes), block):
            stop = min(len(self._codes), start + block)
            asked = looks(start, stop)
            queries = np.concatenate(asked)
            numbers = np.tile(np.arange(start, stop, dtype=np.int32), len(asked))
            look = np.repeat(np.arange(len(asked), dtype=np.uint8), stop - start)
            with ThreadPoolExecutor(_THREADS) as pool:
                found = list(pool.map(lambda band: self._in_band(band, queries, numbers, radius), self._bands))  # noqa: B023 (the map ends within the turn)
            which = np.concatenate([f[0] for f in found])
            second = np.concatenate([f[1] for f in found])
            bits = np.concatenate([f[2] for f in found])
            yield _nearest(Near(numbers[which], second, look[which], bits))

    def _band(self, pair: tuple[int, int]) -> _Band:
        key = _sorting_key(self._codes, pair)
        order = np.argsort(key, kind="stable").astype(np.int32)
        rest = key[order]
        starts = np.searchsorted(rest >> np.uint64(48), np.arange(_KEYS + 1, dtype=np.uint64)).astype(np.int32)
        return _Band(pair, order, starts, rest)

    def _in_band(
        self, band: _Band, queries: Codes, numbers: NDArray[np.int32], radius: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
        word = _words(queries, band.pair)
        low, high = band.starts[word], band.starts[word.astype(np.int32) + 1]
        crowded = np.flatnonzero(high - low > _CROWD)
        if crowded.size:
            place = np.searchsorted(band.rest, _sorting_key(queries[crowded], band.pair)).astype(np.int32)
            low[crowded] = np.maximum(low[crowded], np.minimum(place - _CROWD // 2, high[crowded] - _CROWD))
            high[crowded] = low[crowded] + _CROWD
        counts = high - low
        which = np.repeat(np.arange(len(queries), dtype=np.int32), counts)
        before = np.cumsum(counts) - counts
        place = np.arange(len(which), dtype=np.int32) + np.repeat((low - before).astype(np.int32), counts)
        second = band.order[place]
        other = self._owners[numbers[which]] != self._owners[second]
        which, second = which[other], second[other]
        # most pairs that share a word are no pairs: half of the code tells that
        bits = _differing(queries, which, self._codes, second, (0, 1))
        keep = bits <= radius
        which, second, bits = which[keep], second[keep], bits[keep]
        bits = bits + _differing(queries, which, self._codes, second, (2, 3))
        keep = bits <= radius
        return which[keep], second[keep], bits[keep]


def _differing(
    left: Codes, i: NDArray[np.int32], right: Codes, j: NDArray[np.int32], words: tuple[int, int]
) -> NDArray[np.uint8]:
    first, second = words
    bits: NDArray[np.uint8] = np.bitwise_count(left[i, first] ^ right[j, first])
    bits += np.bitwise_count(left[i, second] ^ right[j, second])
    return bits


def _words(codes: Codes, pair: tuple[int, int]) -> NDArray[np.uint16]:
    as_bytes = codes.view(np.uint8)
    return (as_bytes[:, pair[0]].astype(np.uint16) << np.uint16(8)) | as_bytes[:, pair[1]]


def _sorting_key(codes: Codes, pair: tuple[int, int]) -> NDArray[np.uint64]:
    """The band's word, then 48 bits of a fixed other place, so that equal codes lie side by side."""
    rest = codes[:, 3 if pair[0] < 16 else 0]
    return (_words(codes, pair).astype(np.uint64) << np.uint64(48)) | (rest >> np.uint64(16))


def _nearest(found: Near) -> Near:
    """Each pair once, with its best look; of each query the nearest."""
    order = np.lexsort((found.bits, found.second, found.first))
    first, second = found.first[order], found.second[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    order = order[new]
    order = order[np.lexsort((found.bits[order], found.first[order]))]
    first = found.first[order]
    begins = np.searchsorted(first, first, side="left")
    order = order[np.arange(len(order)) - begins < _PER_QUERY]
    return Near(found.first[order], found.second[order], found.look[order], found.bits[order])
