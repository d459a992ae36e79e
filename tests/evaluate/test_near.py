from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.made_pictures import case, copied, head, put

from insula.core.types import Case
from insula.evaluate import near
from insula.evaluate.pictures import gather


def known(root: Path, count: int) -> near.Known:
    for i in range(count):
        put(root / f"t{i}.jpg", head(i))
    return near.of_cases([case(f"t{i}", f"q{i}", split="train") for i in range(count)], root)


@pytest.mark.parametrize("count", [3, 25])  # about zero, and about medians
def test_copies_are_found_and_strangers_are_not(tmp_path: Path, count: int) -> None:
    base = known(tmp_path, count)
    put(tmp_path / "copy.jpg", copied(head(1)), 50)
    put(tmp_path / "turned.jpg", np.rot90(head(2)))
    for i in range(20):
        put(tmp_path / f"new{i}.jpg", head(100 + i))
    cases = [case(key, key) for key in ("copy", "turned", *(f"new{i}" for i in range(20)))]
    found = {one.case: one for one in near.nearest(base, gather(cases, tmp_path))}
    assert len(found) == 22
    assert found["copy"].bits <= near.SAME
    assert found["copy"].how == "mirrored"
    assert found["turned"].bits <= near.SAME
    assert "turned" in found["turned"].how
    assert min(found[f"new{i}"].bits for i in range(20)) > near.CLOSE


def test_one_code_a_picture_and_no_more_than_one_of_equal_pictures(tmp_path: Path) -> None:
    base = known(tmp_path, 4)
    assert base.codes.shape == (4, 4)
    assert base.codes.dtype == np.uint64
    assert base.medians.shape == (256,)
    same = [case("t0", "q0"), case("t0", "q1")]
    assert near.of_cases(same, tmp_path).codes.shape == (1, 4)


def test_what_cannot_be_read_or_shows_nothing_has_no_neighbour(tmp_path: Path) -> None:
    base = known(tmp_path, 3)
    put(tmp_path / "black.jpg", np.zeros((50, 50), np.uint8))
    pictures = gather([case("gone", "a"), case("black", "b"), case("t0", "c")], tmp_path)
    assert pictures.unread == ("gone",)
    assert [one.case for one in near.nearest(base, pictures)] == ["t0"]


def test_no_training_picture_is_near_to_none(tmp_path: Path) -> None:
    empty = near.of_cases([], tmp_path)
    assert empty.codes.shape == (0, 4)
    put(tmp_path / "a.jpg", head(0))
    assert near.nearest(empty, gather([case("a", "a")], tmp_path)) == ()


def test_the_nearest_of_many_is_what_comparing_all_gives(tmp_path: Path) -> None:
    base = known(tmp_path, 30)
    one: Case = case("x", "x")
    put(tmp_path / "x.jpg", head(77))
    got = near.nearest(base, gather([one], tmp_path))[0]
    found = gather([one], tmp_path).found
    from insula.cohort.codes import LOOKS, codes, details

    looks = [look for look in LOOKS if look.crop == (0.0, 0.0, 1.0)]
    assert len(looks) == 8
    asked = [codes(details(found.thumbnails), base.medians, look)[0] for look in looks]
    want = min(sum(int(a).bit_count() for a in (q ^ code).tolist()) for q in asked for code in base.codes)
    assert got.bits == want
    assert replace(got, bits=want) == got
