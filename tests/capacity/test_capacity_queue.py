from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaincc
from tests.capacity.loaded import script

queue = script("capacity_queue")
RUNS, EACH = 8, 4_000


def given(arrival: list[float], work: list[float], urgent: list[bool] | None = None, size: float = 0.0) -> Any:
    n = len(arrival)
    return queue.Studies(
        np.array(arrival, float), np.array(work, float), np.full(n, size), np.array(urgent or [False] * n)
    )


def mean_waits(workers: int, load: float, equal: bool) -> list[float]:
    """The mean time before work begins in several runs, of studies whose mean work is 1."""
    found = []
    for run in range(RUNS):
        g = np.random.default_rng((7, workers, run))
        arrival = np.cumsum(g.exponential(1.0 / (load * workers), EACH))
        work = np.ones(EACH) if equal else g.exponential(1.0, EACH)
        found.append(float((queue.waits(given(list(arrival), list(work)), workers) - work).mean()))
    return found


@pytest.mark.parametrize(("workers", "load"), [(1, 0.5), (3, 0.7)])
def test_random_work_waits_as_erlang_says(workers: int, load: float) -> None:
    found = mean_waits(workers, load, equal=False)
    error = np.std(found, ddof=1) / math.sqrt(RUNS)
    exact = queue.erlang_c(load * workers, 1.0, workers)
    assert abs(np.mean(found) - exact) < 4 * error
    assert error < 0.1 * exact  # else the line above could hardly fail


@pytest.mark.parametrize("workers", [1, 4])
def test_each_study_waits_as_it_does_by_hand(workers: int) -> None:
    g = np.random.default_rng(5)
    arrival, work = np.cumsum(g.exponential(1.0 / workers, 400)), g.lognormal(-0.2, 0.5, 400)
    free, by_hand = [0.0] * workers, []
    for time, needed in zip(arrival, work, strict=True):
        ends = max(time, heapq.heappop(free)) + needed
        heapq.heappush(free, ends)
        by_hand.append(ends - time)
    assert queue.waits(given(list(arrival), list(work)), workers) == pytest.approx(by_hand)


def test_equal_work_waits_half_as_long_at_one_core() -> None:
    found = mean_waits(1, 0.6, equal=True)
    error = np.std(found, ddof=1) / math.sqrt(RUNS)
    assert abs(np.mean(found) - queue.constant_work(0.6, 1.0)) < 4 * error
    assert queue.constant_work(0.6, 1.0) == pytest.approx(queue.erlang_c(0.6, 1.0, 1) / 2)


@pytest.mark.parametrize(("workers", "load"), [(1, 0.3), (2, 1.2), (10, 9.5), (200, 180.0)])
def test_erlang_c_agrees_with_the_sum_of_its_definition(workers: int, load: float) -> None:
    # Erlang's B is the Poisson probability of c, given at most c; C follows from it
    blocked = math.exp(workers * math.log(load) - load - math.lgamma(workers + 1)) / gammaincc(workers + 1, load)
    share = load / workers
    waits = blocked / (1 - share + share * blocked)
    assert queue.erlang_c(load / 2.0, 2.0, workers) == pytest.approx(waits * 2.0 / (workers - load), rel=1e-9)


def test_too_much_work_waits_for_ever() -> None:
    assert queue.erlang_c(2.0, 1.0, 2) == math.inf
    assert queue.constant_work(1.0, 1.0) == math.inf


def test_two_cores_answer_two_at_once_in_the_order_in_which_they_come() -> None:
    found = queue.waits(given([0, 0, 0, 9], [2, 3, 2, 1]), 2)
    assert found.tolist() == [2, 3, 4, 1]


def test_an_emergency_passes_those_that_wait_and_stops_none() -> None:
    some = given([0, 1, 2, 3], [10, 1, 1, 1], [False, False, True, False])
    assert queue.waits(some, 1).tolist() == [10, 10, 10, 10]
    assert queue.waits(some, 1, urgent_first=True).tolist() == [10, 11, 9, 10]


def test_what_finds_no_place_is_refused() -> None:
    found = queue.waits(given([0, 1, 2, 12], [5, 5, 5, 5]), 1, places=2)
    assert np.isnan(found).tolist() == [False, False, True, False]
    assert found[[0, 1, 3]].tolist() == [5, 9, 5]


def test_a_dead_worker_gives_its_study_back_from_the_start() -> None:
    some = given([0, 1], [4, 4])
    assert queue.waits(some, 1, outages=[queue.Outage(0, 3.0, 10.0)]).tolist() == [17, 20]
    assert queue.waits(some, 2, outages=[queue.Outage(0, 3.0, 10.0)]).tolist() == [9, 4]


def test_a_worker_that_dies_idle_loses_nothing() -> None:
    found = queue.waits(given([5, 6], [1, 1]), 1, outages=[queue.Outage(0, 1.0, 7.0)])
    assert found.tolist() == [4, 4]


def test_a_fault_in_the_moment_of_arrival_loses_nothing() -> None:
    found = queue.waits(given([5], [1]), 1, outages=[queue.Outage(0, 5.0, 2.0)])
    assert found.tolist() == [3]


def test_a_line_gives_one_study_after_the_other() -> None:
    some = given([0, 0, 50], [1, 1, 1], size=20.0)
    assert queue.waits(some, 2, link=2.0).tolist() == [11, 21, 11]


def test_studies_that_were_held_back_wait_since_the_cut_ends() -> None:
    cut = queue.held_back(given([1, 5, 6, 20], [1, 1, 1, 1]), 4.0, 10.0)
    assert cut.arrival.tolist() == [1, 10, 10, 20]


def test_a_day_follows_its_profile() -> None:
    found = queue.profile_arrivals(1_000, 200, np.random.default_rng(3))
    assert len(queue.PROFILE) == 24
    hours = np.bincount((found % queue.DAY // queue.HOUR).astype(int), minlength=24) / len(found)
    assert (np.diff(found) >= 0).all()
    assert len(found) == pytest.approx(200_000, rel=0.01)
    assert hours == pytest.approx(np.array(queue.PROFILE) / sum(queue.PROFILE), abs=0.002)


def test_work_and_bytes_vary_together_around_what_was_measured() -> None:
    arrival = np.arange(100_000.0)
    found = queue.drawn(arrival, 2.0, 10.0, 0.5, 0.1, np.random.default_rng(4))
    assert found.work.mean() == pytest.approx(2.0, rel=0.01)
    assert found.work.std() == pytest.approx(1.0, rel=0.03)
    assert found.size / found.work == pytest.approx(5.0)
    assert found.urgent.mean() == pytest.approx(0.1, abs=0.005)
