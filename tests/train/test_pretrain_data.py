from dataclasses import replace

import numpy as np
import pytest
from tests.made_arrays import recipe

from insula.core.errors import TrainingError
from insula.core.types import Case, Cohort, Scan, Split
from insula.prep.cache import Prepared
from insula.train.pretrain_data import Views, allowed, slices

pytestmark = pytest.mark.train
SCAN = {"mri": Scan(("x",), "npy")}


def case(key: str, patient: str, split: Split = "train", label: str = "healthy") -> Case:
    return Case(key, patient, SCAN, {"tumour": (label,)} if label else {}, split=split)


def keys(cohort: Cohort) -> str:
    return "".join(c.key for c in allowed(cohort, recipe()))


def test_no_patient_of_the_val_and_test_splits_is_seen_by_any_case() -> None:
    cases = (
        case("a", "p1"),
        case("b", "p2", "val"),
        case("c", "p3", "test"),
        case("d", "p4", "", ""),
        case("e", "p3", "", ""),  # an unlabelled scan of a test patient
        case("f", "p2", "", ""),
    )
    assert keys(Cohort(cases, "root", "patient")) == "ad"
    # a split by picture ignores patients, so it decides alone
    assert keys(Cohort((case("a", "p"), case("b", "p", "test")), "root", "picture")) == "a"


def test_an_unsplit_cohort_will_do_only_without_labels() -> None:
    assert keys(Cohort((case("a", "p1", "", ""), case("b", "p2", "", "")), "root")) == "ab"
    with pytest.raises(TrainingError, match="insula split"):
        keys(Cohort((case("a", "p1", "", ""), case("b", "p2", "")), "root"))
    with pytest.raises(TrainingError, match="free for pretraining"):
        keys(Cohort((case("a", "p1", "val"), case("b", "p2", "test")), "root", "patient"))


def prepared(places: dict[str, tuple[int, int]]) -> Prepared:
    rows = sum(count for _, count in places.values())
    return Prepared(np.arange(rows, dtype=np.float32).reshape(rows, 1, 1, 1), places, {})


def test_partners_are_neighbours_in_the_same_series() -> None:
    cache = prepared({"a": (0, 5), "b": (5, 3)})
    rows = slices([case("a", "p1"), case("b", "p1")], cache)
    assert [(s.row, s.place, len(s.series)) for s in rows] == [
        *((i, i, 5) for i in range(5)),
        *((5 + i, i, 3) for i in range(3)),
    ]
    for reach in (0, 1, 3):
        views = Views(rows, cache, reach, seed=2)
        seen: dict[int, set[int]] = {i: set() for i in range(8)}
        for views.epoch in range(60):
            for i in range(8):
                seen[i].add(views.partner(i))
        for i, partners in seen.items():
            low, high = (0, 4) if i < 5 else (5, 7)
            assert partners == set(range(max(i - reach, low), min(i + reach, high) + 1))
    pair = Views(rows, cache, 1, seed=2)[4]
    assert pair.shape == (2, 1, 1, 1)
    assert float(pair[0]) == 4.0
    assert Views(rows, cache, None, seed=2)[4].shape == (1, 1, 1, 1)


def test_single_pictures_make_a_series_of_each_patient_in_the_order_of_their_numbers() -> None:
    places = {"n/p1/10.png": (0, 1), "n/p1/2.png": (1, 1), "n/p2/1.png": (2, 1), "n/p1/1.png": (3, 1)}
    rows = slices([case(k, k.split("/")[1]) for k in places], prepared(places))
    assert {s.series for s in rows if s.patient == "p1"} == {(3, 1, 0)}
    assert {s.series for s in rows if s.patient == "p2"} == {(2,)}


def test_what_could_not_be_prepared_is_left_out() -> None:
    cache = replace(prepared({"a": (0, 2)}), failures={"b": "damaged"})
    assert [s.row for s in slices([case("b", "p2"), case("a", "p1")], cache)] == [0, 1]
