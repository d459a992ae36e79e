"""Peers that did not answer are left in peace for a while, so that waiting for them holds up nothing for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from insula.serve.pacs.peer_errors import PeerUnreachableError

SECONDS: Final = 30.0


class Rest:
    """Which peers did not answer lately. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, float] = {}
        self._tried: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def asking(self, peer: str) -> Iterator[None]:
        """While a peer is asked something. Raises PeerUnreachableError at once for one that did not answer lately.

        After the rest one asks it, and the others wait for what comes of that.
        """
        with self._lock:
            failed = self._failed.get(peer)
            if failed is not None:
                if peer in self._tried or self._clock() - failed < SECONDS:
                    raise PeerUnreachableError(f"'{peer}' did not answer a moment ago; it is tried again later.")
                self._tried.add(peer)
        try:
            yield
        except PeerUnreachableError:
            self._settle(peer, self._clock())
            raise
        except BaseException:
            self._settle(peer, None)
            raise
        self._settle(peer, None)

    def _settle(self, peer: str, failed: float | None) -> None:
        with self._lock:
            self._tried.discard(peer)
            self._failed.pop(peer, None)
            if failed is not None:
                self._failed[peer] = failed
