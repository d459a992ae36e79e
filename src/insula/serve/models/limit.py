"""So many requests a minute for each client: a token bucket by caller or address."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from insula.serve.faults import RequestError

_MOST = (
    10_000  # clients that are remembered; the one that asked longest ago is forgotten, and begins with a full bucket
)


class ClientLimit:
    """Buckets that hold `burst` tokens and win `per_minute` of them in a minute; a request takes one.

    per_minute: 0 for no limit.
    """

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_minute / 60.0
        self.burst = max(1, burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, client: str, tokens: int = 1) -> None:
        """Take tokens from a client's bucket. Raises RequestError 429, with Retry-After, where it holds too few.

        client: the caller's id, or the address where nobody logs in. More than a whole bucket is never asked for.
        """
        if self.per_second <= 0:
            return
        wanted = min(tokens, self.burst)
        with self._lock:
            now = self._clock()
            held, then = self._buckets.pop(client, (float(self.burst), now))
            held = min(float(self.burst), held + (now - then) * self.per_second)
            enough = held >= wanted
            self._buckets[client] = (held - wanted if enough else held, now)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
        if not enough:
            seconds = max(1, math.ceil((wanted - held) / self.per_second))
            raise RequestError(
                429,
                "too_many_requests",
                f"This client sent more than {60 * self.per_second:g} requests a minute; wait {seconds} s.",
                {"Retry-After": str(seconds)},
            )
