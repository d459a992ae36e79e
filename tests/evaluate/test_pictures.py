from __future__ import annotations

from collections import Counter

from tests.evaluate.made_pictures import case

from insula.core.types import Case
from insula.evaluate.pictures import evenly


def owned(**counts: int) -> list[Case]:
    return [case(f"{patient}{i}", patient) for patient, count in counts.items() for i in range(count)]


def test_a_few_cases_are_all_kept() -> None:
    cases = owned(a=3, b=1)
    assert evenly(cases, 4, 0) == tuple(cases)


def test_every_patient_comes_before_a_second_case_of_any() -> None:
    cases = owned(a=50, b=2, c=1, d=9)
    for seed in range(5):
        kept = Counter(c.patient for c in evenly(cases, 9, seed))
        assert kept == {"a": 3, "b": 2, "c": 1, "d": 3}
        assert set(Counter(c.patient for c in evenly(cases, 3, seed)).values()) == {1}


def test_the_order_stays_and_the_seed_chooses() -> None:
    cases = owned(a=50, b=50)
    first, again, other = (evenly(cases, 10, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [cases.index(c) for c in first] == sorted(cases.index(c) for c in first)
