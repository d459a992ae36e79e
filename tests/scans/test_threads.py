from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from insula.scans import threads


@pytest.fixture(params=[1, 2, 5])
def _count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "COUNT", request.param)
    monkeypatch.setattr(threads, "_pools", {})


@pytest.mark.usefixtures("_count")
def test_results_come_in_order() -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert threads.each(slow, range(40)) == [n * n for n in range(40)]
    assert threads.each(slow, []) == []
    assert threads.each(slow, [3]) == [9]


@pytest.mark.usefixtures("_count")
def test_the_error_of_the_first_item_is_raised_and_work_goes_on_afterwards() -> None:
    def faulty(number: int) -> int:
        if number in (7, 8, 9):
            time.sleep(0.02 * (9 - number))  # the last one fails first
            raise ValueError(str(number))
        return number

    for _ in range(3):
        with pytest.raises(ValueError, match="7"):
            threads.each(faulty, range(30))
    assert threads.each(faulty, range(5)) == list(range(5))


@pytest.mark.usefixtures("_count")
def test_within_itself_it_stays_in_its_thread() -> None:
    def outer(number: int) -> set[int]:
        mine = threading.get_ident()
        return {mine} ^ set(threads.each(lambda _: threading.get_ident(), range(4)))

    if threads.COUNT > 1:
        assert threads.each(outer, range(8)) == [set()] * 8


def test_several_threads_are_used_and_several_callers_do_not_block_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "COUNT", 3)
    monkeypatch.setattr(threads, "_pools", {})
    gate = threading.Barrier(3, timeout=20)

    def meet(_: int) -> int:
        gate.wait()
        return threading.get_ident()

    assert len(set(threads.each(meet, range(3)))) == 3
    with ThreadPoolExecutor(6) as callers:
        sums = callers.map(lambda k: sum(threads.each(lambda n: n + k, range(50))), range(12))
        assert list(sums) == [1225 + 50 * k for k in range(12)]
