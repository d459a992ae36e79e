"""Named stages of a long job: each says what it does, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stages:
    """Collects the stages of one job; `say` gets one line when a stage starts and one when it ends."""

    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[list[str]]:
        """Time one stage. What the body appends to the yielded list stands in the closing line."""
        self.say(f"[{name}] {what}")
        notes: list[str] = []
        start = time.perf_counter()
        yield notes
        self.seconds[name] = time.perf_counter() - start
        self.say(f"[{name}] done in {self.seconds[name]:.1f} s{': ' if notes else ''}{'; '.join(notes)}")

    @property
    def total(self) -> float:
        """Seconds of all stages together."""
        return sum(self.seconds.values())
