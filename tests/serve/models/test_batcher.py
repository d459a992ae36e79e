from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import SIZE

from insula.bundle.types import Bundle
from insula.core.errors import BundleError, UnsuitableScanError
from insula.core.types import FloatArray
from insula.infer.decide import decide
from insula.infer.engine import Engine, Outputs
from insula.infer.predict import Predictor
from insula.infer.writers import as_dict
from insula.serve.faults import RequestError
from insula.serve.models.batcher import Batcher
from insula.serve.models.ticket import TICKET, Ticket

pytestmark = pytest.mark.serve


def slices(count: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).random((count, 1, SIZE, SIZE), np.float32)


def feed(count: int, seed: int) -> dict[str, FloatArray]:
    return {"ct": slices(count, seed)[None], "ct_mask": np.ones((1, 1, count), np.float32)}


def until(true: Callable[[], bool]) -> None:
    """Wait for another thread, as long as it takes on a busy machine."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


class Held:
    """Every call of the network stops here until it is let go; `seen` are the cases of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.seen: list[int] = []
        plain = Engine.run

        def run(engine: Engine, given: Mapping[str, FloatArray]) -> Outputs:
            self.seen.append(len(given["ct"]))
            assert self.go.wait(60)
            return plain(engine, given)

        monkeypatch.setattr(Engine, "run", run)


@contextmanager
def behind(batcher: Batcher, held: Held, work: Sequence[Callable[[], Any]]) -> Iterator[list[Future[Any]]]:
    """All of the work, in this order, waiting behind one call that is held; let go at the end."""
    with ThreadPoolExecutor(len(work) + 1) as threads:
        first = threads.submit(batcher.run, feed(1, 99))
        until(lambda: len(held.seen) == 1)
        futures = []
        for number, one in enumerate(work, start=1):
            futures.append(threads.submit(one))
            until(lambda number=number: batcher.waiting == number)  # type: ignore[misc]
        try:
            yield futures
        finally:
            held.go.set()
            first.result(60)


def test_a_case_gets_in_a_batch_what_it_gets_alone_and_the_same_decision(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle()
    alone = Predictor(bundle, 1)
    given = [slices(2, seed) for seed in range(6)]
    right = [alone.from_slices(one, "x", ask=("dropout", "views")) for one in given]
    together = Predictor(bundle, 1)
    held = Held(monkeypatch)
    together.engine = batcher = Batcher(together.engine, most=16)
    work = [partial(together.from_slices, one, "x", ask=("dropout", "views")) for one in given]
    with behind(batcher, held, work) as futures:
        held.go.set()
        found = [future.result(60) for future in futures]
    assert held.seen[1] == 6
    for due, got in zip(right, found, strict=True):
        assert np.abs(due.probabilities - got.probabilities).max() <= 1e-6
        assert np.abs(due.heatmaps["ct"].array - got.heatmaps["ct"].array).max() <= 1e-6
        assert np.array_equal(due.embedding, got.embedding)
        assert decide(due, bundle) == decide(got, bundle)
        assert as_dict(due, decide(due, bundle)) == as_dict(got, decide(got, bundle))


def test_only_cases_of_the_same_shapes_go_together_and_no_more_slices_than_allowed(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Predictor(tiny_bundle(), 1).engine
    held = Held(monkeypatch)
    batcher = Batcher(engine, most=8)
    counts = (2, 3, 2, 2, 2, 2, 9)
    work = [partial(batcher.run, feed(c, seed)) for seed, c in enumerate(counts)]
    with behind(batcher, held, work) as futures:
        held.go.set()
        found = [future.result(60) for future in futures]
    assert held.seen == [1, 4, 1, 1, 1]  # four of two slices; the one of three; the fifth of two; the one of nine
    assert [one.slice_weights["ct"].shape for one in found] == [(1, count) for count in counts]
    assert (batcher.calls, batcher.cases) == (5, 8)


def test_without_batches_cases_go_one_by_one_in_their_order(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Predictor(tiny_bundle(), 1).engine
    held = Held(monkeypatch)
    batcher = Batcher(engine, most=1)
    work = [partial(batcher.run, feed(1, seed)) for seed in range(3)]
    with behind(batcher, held, work):
        held.go.set()
    assert held.seen == [1, 1, 1, 1]


def test_a_second_lane_takes_the_next_case_while_the_first_is_at_work(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Predictor(tiny_bundle(), 1).engine
    held = Held(monkeypatch)
    batcher = Batcher(engine, most=1, lanes=2)
    with ThreadPoolExecutor(3) as threads:
        futures = [threads.submit(batcher.run, feed(1, seed)) for seed in range(3)]
        until(lambda: len(held.seen) == 2 and batcher.waiting == 1)
        held.go.set()
        for future in futures:
            future.result(60)
    assert held.seen == [1, 1, 1]


def test_a_case_that_fails_spoils_no_other(tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Predictor(tiny_bundle(), 1).engine
    right = engine.run(feed(2, 1)).logits
    held = Held(monkeypatch)
    batcher = Batcher(engine, most=16)
    broken = feed(2, 0)
    broken["ct"][:] = np.nan
    work = [lambda: batcher.run(broken), lambda: batcher.run(feed(2, 1)), lambda: batcher.run(feed(2, 2))]
    with behind(batcher, held, work) as futures:
        held.go.set()
        with pytest.raises(BundleError, match="not finite"):
            futures[0].result(60)
        assert np.array_equal(futures[1].result(60).logits, right)
        assert np.isfinite(futures[2].result(60).logits).all()
    assert held.seen == [1, 3, 1, 1, 1]


def test_a_case_of_wrong_shape_is_refused_before_it_queues(tiny_bundle: Callable[..., Bundle]) -> None:
    batcher = Batcher(Predictor(tiny_bundle(), 1).engine)
    with pytest.raises(UnsuitableScanError):
        batcher.run({"ct": np.zeros((1, 1, 1, 5, 5), np.float32), "ct_mask": np.ones((1, 1, 1), np.float32)})
    assert (batcher.waiting, batcher.calls) == (0, 0)


def test_a_case_that_nobody_waits_for_leaves_before_its_call(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Predictor(tiny_bundle(), 1).engine
    held = Held(monkeypatch)
    batcher = Batcher(engine, most=1)
    ticket, context = Ticket(), copy_context()
    context.run(TICKET.set, ticket)
    with behind(batcher, held, [lambda: context.run(batcher.run, feed(1, 1)), lambda: batcher.run(feed(1, 2))]) as both:
        assert ticket.stage == "engine"
        ticket.give_up()
        with pytest.raises(RequestError) as caught:
            both[0].result(60)
        assert caught.value.status == 499
        assert batcher.waiting == 1
    assert held.seen == [1, 1]
    with pytest.raises(RequestError):
        context.run(batcher.run, feed(1, 3))
    assert batcher.calls == 2


def test_the_oldest_waits_for_those_on_their_way_and_for_nobody_else(tiny_bundle: Callable[..., Bundle]) -> None:
    batcher = Batcher(Predictor(tiny_bundle(), 1).engine, most=4, budget=3600.0)
    batcher.run(feed(2, 0))  # nobody is on the way: an hour would be long
    assert batcher.calls == 1
    with ThreadPoolExecutor(2) as threads:
        with batcher.on_its_way():
            first = threads.submit(batcher.run, feed(2, 1))
            until(lambda: batcher.waiting == 1)
            second = threads.submit(batcher.run, feed(2, 2))
            first.result(60)
            second.result(60)
        assert (batcher.calls, batcher.cases) == (2, 3)  # it was full, so that it did not wait any longer
        with batcher.on_its_way():
            third = threads.submit(batcher.run, feed(2, 3))
            until(lambda: batcher.waiting == 1)
        third.result(60)  # the one on its way turned back
    assert (batcher.calls, batcher.cases) == (3, 4)


def test_the_budget_is_kept(tiny_bundle: Callable[..., Bundle]) -> None:
    batcher = Batcher(Predictor(tiny_bundle(), 1).engine, most=4, budget=0.001)
    with batcher.on_its_way():
        batcher.run(feed(2, 1))
    assert batcher.calls == 1


def test_a_case_that_another_one_took_along_waits_while_a_lane_is_free(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out of the queue and not done: the queue may be empty then, and it must not take a lane for itself."""
    batcher = Batcher(Predictor(tiny_bundle(), 1).engine, most=16, budget=60.0, lanes=2)
    held = Held(monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        with batcher.on_its_way():  # the first one waits for company
            first = threads.submit(batcher.run, feed(1, 1))
            until(lambda: batcher.waiting == 1)
            second = threads.submit(batcher.run, feed(1, 2))
            until(lambda: batcher.waiting == 2)
        until(lambda: held.seen == [2])
        batcher._look_again()  # what wakes it: another case's coming, or its client's going away
        assert not second.done()
        held.go.set()
        assert len(first.result(60).logits) == len(second.result(60).logits) == 1
    assert held.seen == [2]
