"""Fingerprints of pictures: two copies of one picture agree, resized, recompressed, brightened, flipped or turned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import Case, Volume
from insula.scans.read import PICTURES, read_files

SIDE = 64
_HASH_SIDE = 32
_LOW = 16  # 16 x 16 lowest frequencies = 256 bits
_FINE, _LOCAL = 2.0, 3.0  # pixels of a 64 x 64 thumbnail: what counts as detail, and over what its strength is evened
_FAINT = 0.02  # detail weaker than this stays weak: it is noise
_ENOUGH = 20  # thumbnails for a mean that is the heads' common outline and not one of them
_FOR_MEAN = 2000
_DEPTHS = (0.4, 0.5, 0.6)
_BRAIN = (0.0, 80.0)  # HU; a wider window shows little but the skull
_FLAT = 2.0 / 255.0
_BLOCK = 256

# Of 1,885 head CT slices no two of different patients correlate above 0.70 in their detail; copies saved again as JPEG
# at quality 40 and three times the size stay above 0.98.
SAME = 0.9
_NEAR_BITS = 56


@dataclass(frozen=True)
class Print:
    """One thumbnail (64, 64) in [0, 1] and where it comes from; position counts the slices that were looked at."""

    case: int
    position: int
    thumbnail: NDArray[np.float32]


def prints(case: Case, number: int, root: Path, role: str) -> list[Print]:
    """Thumbnails of up to three slices around the middle of a scan; none for flat slices. InsulaError as `read_files`.

    Only the files of those slices are read where every slice is a file of its own.
    """
    paths = case.scans[role].paths
    per_file = len(paths) > 1 and case.scans[role].format in PICTURES | {"dicom"}
    found: list[Print] = []
    if per_file:
        for position, index in enumerate(_middle(len(paths))):
            volume = read_files((root / paths[index],))
            found += _of(volume, volume.array.shape[1] // 2, number, position)
    else:
        volume = read_files([root / p for p in paths])
        for position, index in enumerate(_middle(volume.array.shape[1])):
            found += _of(volume, index, number, position)
    return found


def similar(found: Sequence[Print]) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, correlation) of prints of different cases that show the same picture, up to flips and quarter turns.

    Candidates differ in at most 56 of the 256 bits of a perceptual hash (signs of the low cosine frequencies about
    their median); a pair is reported when the correlation of its detail is at least `SAME`. Detail is the thumbnail
    less its blurred self, evened over strong and weak places, less the mean of all thumbnails: what is left is what one
    head does not share with all others.
    """
    if len(found) < 2:
        return
    pictures = np.stack([p.thumbnail for p in found])
    owners = np.array([p.case for p in found])
    plain = _hashes(pictures)
    common = _common(pictures)
    seen: dict[tuple[int, int], float] = {}
    for turns in range(4):
        for mirrored in (False, True):
            turned = np.rot90(pictures[:, :, ::-1] if mirrored else pictures, turns, axes=(1, 2))
            hashes = plain if turns == 0 and not mirrored else _hashes(np.ascontiguousarray(turned))
            for i, j in _candidates(hashes, plain):
                if owners[i] == owners[j]:
                    continue
                value = float(_detail(turned[i], common) @ _detail(pictures[j], common))
                if value >= SAME:
                    pair = (min(i, j), max(i, j))
                    seen[pair] = max(value, seen.get(pair, 0.0))
    for (i, j), value in sorted(seen.items()):
        yield i, j, min(value, 1.0)


def _middle(count: int) -> list[int]:
    return sorted({min(count - 1, int(count * depth)) for depth in _DEPTHS})


def _of(volume: Volume, index: int, number: int, position: int) -> list[Print]:
    picture = volume.array[:, index].mean(axis=0)
    if volume.units == "HU":
        low, high = _BRAIN
    elif volume.full_scale in (255.0, 65535.0):
        low, high = 0.0, float(volume.full_scale)
        if high > 255.0:
            high = max(1.0, float(picture.max()))
    else:
        low, high = (float(v) for v in np.percentile(picture, (0.5, 99.5)))
    if high <= low:
        return []
    scaled = np.clip((picture - low) / (high - low), 0.0, 1.0).astype(np.float32)
    thumbnail = np.asarray(cv2.resize(scaled, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.float32)
    return [] if float(thumbnail.std()) < _FLAT else [Print(number, position, thumbnail)]


def _hashes(pictures: NDArray[np.float32]) -> NDArray[np.uint64]:
    rows = []
    for picture in pictures:
        small = cv2.resize(np.ascontiguousarray(picture), (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA)
        low = cv2.dct(small)[:_LOW, :_LOW].ravel()
        rows.append(np.packbits(low > np.median(low[1:])))  # the first is the mean brightness: no part of the median
    return np.stack(rows).view(np.uint64)


def _candidates(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(left), _BLOCK):
        block = left[start : start + _BLOCK]
        rest = right[start:]
        bits = np.zeros((len(block), len(rest)), dtype=np.uint16)
        for word in range(left.shape[1]):
            bits += np.bitwise_count(block[:, None, word] ^ rest[None, :, word])
        for i, j in zip(*np.nonzero(bits <= _NEAR_BITS), strict=True):
            if i < j:
                yield start + int(i), start + int(j)


def _common(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean detail, or nothing where there are too few pictures to tell what heads have in common."""
    if len(pictures) < _ENOUGH:
        return np.zeros(SIDE * SIDE, dtype=np.float32)
    chosen = pictures[:: max(1, len(pictures) // _FOR_MEAN)]
    nothing = np.zeros(SIDE * SIDE, dtype=np.float32)
    mean: NDArray[np.float32] = np.mean([_detail(p, nothing) for p in chosen], axis=0, dtype=np.float32)
    return mean


def _detail(picture: NDArray[np.float32], common: NDArray[np.float32]) -> NDArray[np.float32]:
    """Detail (4096,) of a thumbnail at unit length."""
    whole = np.ascontiguousarray(picture)
    detail = whole - cv2.GaussianBlur(whole, (0, 0), _FINE)
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _LOCAL)) + _FAINT
    even = np.asarray(detail / strength, dtype=np.float32).ravel()
    return _unit(_unit(even) - common)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = vector - vector.mean()
    length = float(np.linalg.norm(centred))
    unit: NDArray[np.float32] = centred / length if length > 0 else centred
    return unit
