"""Asking a peer time and again, as long as the node runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from insula.core.log import get
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError

LONGEST: Final = 60.0  # seconds between two questions while the peer does not answer


def keep_asking(ask: Callable[[], object], stop: threading.Event, every: float, peer: str, trouble: str) -> None:
    """Ask every so many seconds until told to stop.

    A peer that does not answer, or not as it should, is asked ever more seldom, up to a minute. The log says so once
    for each time that it falls silent. peer: its name; trouble: what is wrong then, in words.
    """
    wait, silent = every, False
    while not stop.is_set():
        try:
            ask()
            wait, silent = every, False
        except (PeerUnreachableError, PeerRefusedError, PeerAnswerError) as error:
            if not silent:
                get("pacs").warning(trouble, peer=peer, code=error.code)
            wait, silent = min(2 * wait, LONGEST), True
        stop.wait(wait)
