from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.cohort.made_folders import by_patient, dicom_patient, picture

from insula.cohort import alike, codes, duplicates
from insula.cohort.codes import LOOKS, Look
from insula.cohort.index import index
from insula.cohort.nearest import Index
from insula.cohort.prints import SIDE, Album, Print, Prints, prints, thumbnail
from insula.core import recipe as recipes
from insula.core.errors import ScanError

SERIES = recipes.load("stroke-ct", ("inputs.ct.unit=series",))
DATA = Path(__file__).parents[3] / "shared" / "data"


def album(pictures: list[NDArray[np.uint8]]) -> Prints:
    made = Album()
    for number, one in enumerate(pictures):
        made.add(number, "ct", Print(0, min(one.shape), thumbnail(one.astype(np.float32))))
    return made.close()


def found(pictures: list[NDArray[np.uint8]]) -> set[tuple[int, int]]:
    pairs = duplicates.near(album(pictures), np.arange(len(pictures), dtype=np.int32))
    return {(p.first, p.second) for p in pairs}


def cropped(grey: NDArray[np.uint8], left: float, top: float, keep: float) -> NDArray[np.uint8]:
    side = len(grey)
    x, y, kept = round(left * side), round(top * side), round(keep * side)
    return grey[y : y + kept, x : x + kept]


def jpeg(grey: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


@pytest.mark.parametrize("look", LOOKS[:8])
def test_the_code_under_a_look_is_the_code_of_the_picture_so_changed(look: Look) -> None:
    grey = np.stack([thumbnail(picture(seed, 200).astype(np.float32)) for seed in range(30)])
    about = codes.medians(grey)
    asked = codes.codes(codes.details(grey), about, look)
    turned = np.stack([alike.looked_at(one, look) for one in grey])
    changed = codes.codes(codes.details(turned), about)
    differing = np.bitwise_count(asked ^ changed).sum(axis=1)
    others = np.bitwise_count(asked ^ np.roll(changed, 1, axis=0)).sum(axis=1)
    assert differing.max() <= 8
    assert others.min() > 56


def test_the_code_under_a_crop_is_near_that_of_the_cropped_picture() -> None:
    grey = [picture(seed, 200) for seed in range(40)]
    about = codes.medians(np.stack([thumbnail(g.astype(np.float32)) for g in grey]))
    look = next(one for one in LOOKS if one.crop == (0.05, 0.0, 0.95))
    asked = codes.codes(codes.details(np.stack([thumbnail(g.astype(np.float32)) for g in grey])), about, look)
    small = np.stack([thumbnail(cropped(g, 0.05, 0.0, 0.95).astype(np.float32)) for g in grey])
    there = codes.codes(codes.details(small), about)
    plain = codes.codes(codes.details(np.stack([thumbnail(g.astype(np.float32)) for g in grey])), about)
    near, far = (np.bitwise_count(c ^ there).sum(axis=1) for c in (asked, plain))
    assert np.median(near) < 20
    assert np.median(near) < np.median(far)


def test_search_agrees_with_comparing_all_pairs() -> None:
    random = np.random.default_rng(3)
    made = random.integers(0, 2**64, (600, 4), dtype=np.uint64)
    bits = np.unpackbits(made[:200].view(np.uint8), axis=1)
    for row, count in zip(bits, np.tile([0, 4, 12, 20], 50), strict=True):
        row[random.choice(256, count, replace=False)] ^= 1
    made[200:400] = np.packbits(bits, axis=1).view(np.uint64)
    owners = np.arange(600, dtype=np.int32)
    owners[599] = owners[398]
    made[599] = made[398]
    blocks = list(Index(made, owners).near(lambda a, b: [made[a:b]], block=128))
    got = {
        (f, s): d for b in blocks for f, s, d in zip(*(x.tolist() for x in (b.first, b.second, b.bits)), strict=True)
    }
    distance = np.bitwise_count(made[:, None] ^ made[None]).sum(axis=2, dtype=int)
    wanted = {(int(i), int(j)): int(distance[i, j]) for i, j in np.argwhere(distance <= 56) if owners[i] != owners[j]}
    assert got == wanted
    assert (599, 398) not in got


def test_a_crowd_of_equal_codes_stays_bounded_and_connected() -> None:
    made = np.zeros((2000, 4), dtype=np.uint64)
    blocks = list(Index(made, np.arange(2000, dtype=np.int32)).near(lambda a, b: [made[a:b]]))
    first = np.concatenate([b.first for b in blocks])
    second = np.concatenate([b.second for b in blocks])
    assert len(first) <= 2000 * 64
    assert [len(g) for g in duplicates.components(zip(first.tolist(), second.tolist(), strict=True))] == [2000]


def test_copies_are_found_and_others_are_not() -> None:
    grey = [picture(seed, 220) for seed in range(40)]
    copies = [
        jpeg(grey[0], 40),
        np.asarray(cv2.resize(grey[1], (110, 110), interpolation=cv2.INTER_AREA), dtype=np.uint8),
        np.asarray(cv2.resize(grey[2], (400, 400)), dtype=np.uint8),
        cropped(grey[3], 0.03, 0.01, 0.95),
        cropped(grey[4], 0.05, 0.05, 0.9),
        np.clip(grey[5] * 0.7 + 10, 0, 255).astype(np.uint8),
        np.ascontiguousarray(grey[6][:, ::-1]),
        np.ascontiguousarray(np.rot90(grey[7])),
        jpeg(cropped(np.ascontiguousarray(grey[8][:, ::-1]), 0.0, 0.05, 0.95), 60),
    ]
    assert found(grey + copies) == {(k, 40 + k) for k in range(9)}


def test_how_a_copy_was_made_is_said() -> None:
    grey = [picture(seed, 200) for seed in range(30)]
    pairs = duplicates.near(album([*grey, np.ascontiguousarray(grey[0][::-1])]), np.arange(31, dtype=np.int32))
    assert [(p.first, p.second, p.how) for p in pairs] == [(0, 30, "mirrored top to bottom")]
    assert pairs[0].value > 0.98


def test_likeness_falls_with_distance_and_asks_more_of_coarse_pictures() -> None:
    many = np.stack([thumbnail(picture(seed, 200).astype(np.float32)) for seed in range(30)])
    one, other, shared = many[0], many[1], alike.common(many)
    assert alike.likeness(one, one, Look(), SIDE, shared) == pytest.approx(1.0)
    # these heads have one outline, which counts for nothing once it is known to be common
    assert alike.likeness(one, other, Look(), SIDE, shared) < 0.7 < alike.likeness(one, other, Look())
    assert not alike.common(many[:19]).any()
    blank = np.zeros((SIDE, SIDE), dtype=np.uint8)
    assert alike.likeness(one, blank, Look()) == 0.0
    assert alike.threshold(500) == alike.SAME < alike.threshold(96) < alike.threshold(64) == alike.threshold(20) < 1


def test_pictures_of_one_owner_are_no_pair() -> None:
    grey = [picture(seed, 128) for seed in range(20)]
    owners = np.array([*range(20), 0], dtype=np.int32)
    assert duplicates.near(album([*grey, grey[0]]), owners) == []
    assert duplicates.near(album([]), np.zeros(0, dtype=np.int32)) == []


def test_components_are_joined_over_others() -> None:
    assert duplicates.components([("a", "b"), ("c", "d"), ("b", "e"), ("d", "c")]) == [["a", "b", "e"], ["c", "d"]]


def test_three_slices_or_all(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "stroke" / "p0", "P0", slices=7)
    dicom_patient(tmp_path / "normal" / "p1", "P1", slices=7, seed=1)
    cohort = index(tmp_path, SERIES)
    case = cohort.cases[0]
    assert [p.slice for p in prints(case, tmp_path, "ct")] == [2, 3, 4]
    assert [p.slice for p in prints(case, tmp_path, "ct", "all")] == list(range(7))
    assert all(p.thumbnail.shape == (SIDE, SIDE) and p.side == 32 for p in prints(case, tmp_path, "ct"))
    gone = replace(case.scans["ct"], paths=("nowhere.dcm",))
    with pytest.raises(ScanError):
        list(prints(replace(case, scans={"ct": gone}), tmp_path, "ct"))


def test_flat_slices_leave_no_print(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 1, "stroke": 1}, files=3)
    cv2.imwrite(str(tmp_path / "normal" / "p000" / "2.png"), np.full((96, 96), 7, dtype=np.uint8))
    case = next(c for c in index(tmp_path, SERIES).cases if c.patient == "p000")
    assert [p.slice for p in prints(case, tmp_path, "ct", "all")] == [0, 2]


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "stroke_ct").is_dir(), reason="the real scans for measuring are not here")
def test_neighbouring_slices_of_real_heads_are_no_duplicates_and_their_copies_are() -> None:
    paths = [
        p for k in ("099", "110", "074", "121", "123") for p in sorted((DATA / "stroke_ct").glob(f"*/*/{k}_*.jpg"))
    ]
    grey = [np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE), dtype=np.uint8) for p in paths]
    assert len(grey) > 100
    copies = [jpeg(cropped(g, 0.02, 0.04, 0.95), 60) for g in grey[10:40:5]]
    assert found(grey + copies) == {(10 + 5 * k, len(grey) + k) for k in range(len(copies))}
