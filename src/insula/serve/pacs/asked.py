"""Questions that a person puts to a peer through the service: few at a time, and with an answer that pages can tell."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import Final

from insula.core.errors import InsulaError, UsageError
from insula.serve.faults import RequestError
from insula.serve.pacs.find import find
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import Query, Studies
from insula.serve.pacs.settings import PacsSettings

_AT_ONCE: Final = BoundedSemaphore(4)  # a peer that is slow to answer holds a thread of the service


def can_search(peer: Peer) -> bool:
    """Whether a peer can be asked which studies it has."""
    return peer.kind in ("dicom", "web")


def searchable(settings: PacsSettings, name: str) -> Peer:
    """A peer that can be asked for studies. Raises RequestError 404."""
    found = settings.peer.get(name)
    if found is None or not can_search(found):
        known = ", ".join(sorted(one.name for one in settings.peer.values() if can_search(one))) or "none is set"
        raise RequestError(
            404, "no_peer", f"'{name[:32]}' is no peer that can be searched; INSULA_PACS_PEERS has: {known}."
        )
    return found


def studies(settings: PacsSettings, peer: Peer, query: Query) -> Studies:
    """The studies that a peer has. Raises RequestError 400, 502 and 503 with what went wrong."""
    if not _AT_ONCE.acquire(blocking=False):
        raise RequestError(503, "busy", "Other searches are under way; try again in a moment.", {"Retry-After": "5"})
    try:
        return find(settings, peer, query)
    except UsageError as error:
        raise RequestError(400, "bad_query", str(error)) from error
    except InsulaError as error:
        raise RequestError(502, error.code, str(error)) from error
    finally:
        _AT_ONCE.release()
