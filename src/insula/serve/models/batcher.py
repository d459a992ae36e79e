"""Micro-batching: cases of different requests that have the same shapes go through the network in one call.

There is no thread of its own. Whoever holds the oldest waiting case has the turn: it takes those of the same shapes
along, runs them, and hands the others their parts. So a request that is alone pays nothing, no more than `lanes` calls
are at work at a time, and the end of the process needs no care.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from insula.core.errors import InsulaError
from insula.core.types import FloatArray
from insula.infer.engine import CHUNK, Engine, Outputs
from insula.serve.models.ticket import TICKET, Ticket

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(eq=False)
class _Waiting:
    """One case before the network, and later its outputs or the error that it met."""

    feed: Mapping[str, FloatArray]
    shapes: Shapes
    slices: int
    arrived: float
    ticket: Ticket | None
    outputs: Outputs | None = None
    error: BaseException | None = field(default=None)

    @property
    def done(self) -> bool:
        """Whether there is something to go away with."""
        return self.outputs is not None or self.error is not None

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it."""
        return self.ticket is not None and self.ticket.given_up


class Batcher(Engine):
    """An engine whose runs of several threads go together.

    most: slices (those of all cases) of one call; 1 for no batches. budget: seconds that the oldest case may wait for
    others, and only while some are on their way (`on_its_way`). lanes: calls at work at a time; a second one computes
    while the first does what only one thread can. A call that fails is repeated case by case, so that no scan spoils
    the answer of another. calls, cases: so many have been at work since the start.
    """

    def __init__(
        self,
        engine: Engine,
        most: int = CHUNK,
        budget: float = 0.0,
        lanes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        vars(self).update(vars(engine))  # the same two sessions
        self.most = most
        self.budget = budget
        self.lanes = lanes
        self.calls = 0
        self.cases = 0
        self._clock = clock
        self._turn = threading.Condition()
        self._queue: list[_Waiting] = []
        self._coming = 0
        self._at_work = 0

    def run(self, feed: Mapping[str, FloatArray]) -> Outputs:
        """`Engine.run`, together with others where that is of use.

        Raises RequestError (499), before the network is asked, where nobody waits for this case any more.
        """
        self._check_input(feed)
        ticket = TICKET.get()
        if ticket is not None:
            ticket.enter("engine")
        shapes = tuple(sorted((name, array.shape[1:]) for name, array in feed.items()))
        slices = len(feed[self.roles[0]]) * max(feed[role].shape[1] for role in self.roles)
        mine = _Waiting(feed, shapes, slices, self._clock(), ticket)
        if ticket is not None:
            ticket.wake_by(self._look_again)
        try:
            batch = self._await_turn(mine)
            if batch:
                self._work(batch)
        finally:
            if ticket is not None:
                ticket.wake_by(None)
        if mine.error is not None:
            raise mine.error
        if mine.outputs is None:
            raise RuntimeError("a case left the queue without outputs")
        if ticket is not None:
            ticket.enter("answer")
        return mine.outputs

    @contextmanager
    def on_its_way(self) -> Iterator[None]:
        """A case is being read and prepared: for it, within the budget, the others may wait."""
        with self._turn:
            self._coming += 1
        try:
            yield
        finally:
            with self._turn:
                self._coming -= 1
                self._turn.notify_all()

    @property
    def waiting(self) -> int:
        """Cases that wait for the network."""
        with self._turn:
            return len(self._queue)

    def _look_again(self) -> None:
        with self._turn:
            self._turn.notify_all()

    def _await_turn(self, mine: _Waiting) -> list[_Waiting]:
        """The cases to run, this one first; none where another thread has run it meanwhile."""
        with self._turn:
            self._queue.append(mine)
            self._turn.notify_all()  # one that waits for company may have it now
            try:
                # another one may have taken this case out of the queue and not be done with it
                while not mine.done and (self._at_work >= self.lanes or self._queue[:1] != [mine]):
                    self._leave_if_given_up(mine)
                    self._turn.wait()
                if mine.done:
                    return []
                self._at_work += 1  # a lane is taken while this one waits for company
                try:
                    return self._gathered(mine)
                except BaseException:
                    self._at_work -= 1
                    raise
            except BaseException:
                if mine in self._queue:
                    self._queue.remove(mine)
                self._turn.notify_all()
                raise

    def _gathered(self, mine: _Waiting) -> list[_Waiting]:
        until = mine.arrived + self.budget
        while True:
            self._leave_if_given_up(mine)
            batch = self._alike(mine)
            left = until - self._clock()
            full = sum(one.slices for one in batch) + mine.slices > self.most  # no further case of this size fits
            if full or left <= 0 or self._coming == 0:
                break
            self._turn.wait(left)
        for one in batch:
            self._queue.remove(one)
        self.calls += 1
        self.cases += len(batch)
        self._turn.notify_all()  # the next in the queue may have a lane
        return batch

    def _alike(self, mine: _Waiting) -> list[_Waiting]:
        """The case and the oldest ones of the same shapes, as many as go into one call."""
        batch, slices = [mine], mine.slices
        for one in self._queue:
            if one is not mine and one.shapes == mine.shapes and not one.given_up:
                if slices + one.slices > self.most:
                    break
                batch.append(one)
                slices += one.slices
        return batch

    def _leave_if_given_up(self, mine: _Waiting) -> None:
        if mine.ticket is not None:
            mine.ticket.check()

    def _work(self, batch: Sequence[_Waiting]) -> None:
        """Run the batch and give each its part or its error; then the turn is the next one's."""
        try:
            self._run_together(batch)
        except BaseException as error:
            for one in batch:
                one.error = one.error or (None if one.outputs is not None else error)
            raise
        finally:
            with self._turn:
                self._at_work -= 1
                self._turn.notify_all()

    def _run_together(self, batch: Sequence[_Waiting]) -> None:
        if len(batch) > 1:
            try:
                joined = {name: np.concatenate([one.feed[name] for one in batch]) for name in batch[0].feed}
                outputs = super().run(joined)
            except InsulaError:
                pass  # one of them is at fault: each is asked by itself
            else:
                at = 0
                for one in batch:
                    count = len(one.feed[self.roles[0]])
                    one.outputs = part(outputs, slice(at, at + count))
                    at += count
                return
        for one in batch:
            try:
                one.outputs = super().run(one.feed)
            except InsulaError as error:
                one.error = error


def part(outputs: Outputs, rows: slice) -> Outputs:
    """The outputs of some of the inputs of a call, copied, so that no case keeps the whole call's memory."""
    return Outputs(
        outputs.logits[rows].copy(),
        outputs.embedding[rows].copy(),
        {role: array[rows].copy() for role, array in outputs.maps.items()},
        {role: array[rows].copy() for role, array in outputs.slice_weights.items()},
        None if outputs.members is None else outputs.members[rows].copy(),
    )
