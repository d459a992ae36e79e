"""What all requests together may ask of the service at a time: so many at work, so many bytes of bodies here.

A request whose body is still on its way is no work yet: those who send slowly must not take the places of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from insula.serve.faults import RequestError

MOST_REQUESTS: Final = 256
MOST_STREAMS: Final = 256  # of events, which mostly wait, and for long: they take no place of a request
LARGEST_BODIES: Final = 8  # bodies of the largest size that may be here in part or whole
_RETRY: Final = {"Retry-After": "5"}


class Burden:
    """Counts for the requests of one event loop. longest: bytes of the largest body that one request may have."""

    def __init__(self, longest: int, requests: int = MOST_REQUESTS, streams: int = MOST_STREAMS) -> None:
        self.most_requests = requests
        self.most_streams = streams
        self.most_bytes = LARGEST_BODIES * longest
        self.requests = 0
        self.streams = 0
        self.bytes = 0

    @contextmanager
    def request(self) -> Iterator[Body]:
        """One request, as long as the block runs; it counts from when it is whole (`Body.whole`)."""
        body = Body(self)
        try:
            yield body
        finally:
            self.requests -= body.counted
            self.bytes -= body.bytes

    @contextmanager
    def stream(self) -> Iterator[Body]:
        """A stream of events, as long as the block runs. Raises RequestError 503 where there are too many already."""
        if self.streams >= self.most_streams:
            said = f"{self.streams} streams of events are open; ask for the job instead, or try again in 5 s."
            raise RequestError(503, "busy", said, _RETRY)
        self.streams += 1
        body = Body(self)
        try:
            yield body
        finally:
            self.streams -= 1
            self.bytes -= body.bytes


class Body:
    """What came of one request's body."""

    def __init__(self, burden: Burden) -> None:
        self._burden = burden
        self.bytes = 0
        self.counted = False

    def whole(self) -> None:
        """The request is here, so that work on it begins. Raises RequestError 503 where there is too much already."""
        if self.counted:
            return
        if self._burden.requests >= self._burden.most_requests:
            said = f"{self._burden.requests} requests are at work; try again in 5 s."
            raise RequestError(503, "busy", said, _RETRY)
        self.counted = True
        self._burden.requests += 1

    def add(self, count: int) -> None:
        """Count what came. Raises RequestError 503 where there is no room for more of all bodies."""
        if self._burden.bytes + count > self._burden.most_bytes:
            said = f"Uploads of {self._burden.bytes >> 20} MB are on their way; try again when some are done."
            raise RequestError(503, "busy", said, {**_RETRY, "Connection": "close"})
        self.bytes += count
        self._burden.bytes += count
