"""A connection to a peer's web server: to that server alone, with bounds on what it may answer and how slowly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from insula.serve.outward import Bounded
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings, login
from insula.serve.pacs.tls import client_context

_TO_CONNECT: Final = 10.0
_SECONDS: Final = 60.0  # between two pieces of an answer, and for the whole of a short one
_MOST: Final = 32 << 20  # bytes of a short answer
_RATE: Final = 10_000.0  # bytes a second at least, where there are more than fit into the time of a short answer


@contextmanager
def calling(
    settings: PacsSettings, peer: Peer, root: str | None = None, patience: float = 1.0
) -> Iterator[httpx.Client]:
    """A client of a peer. root: the address that paths are under, where it is not the peer's. patience: how many times
    the usual seconds to wait between two pieces of an answer.

    Neither redirects nor proxies of the environment are followed. A request ends after twice that time and one second
    for each 10,000 bytes that came or went.
    """
    wait = patience * _SECONDS
    said = login(peer.name)
    name, mark, password = said.partition(":")
    with httpx.Client(
        base_url=root or peer.url,
        transport=Bounded(2 * wait, client_context(settings) if peer.encrypted else None, _RATE),
        auth=httpx.BasicAuth(name, password) if mark else None,
        headers={
            "User-Agent": "insula",
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {said}"} if said and not mark else {}),
        },
        timeout=httpx.Timeout(wait, connect=_TO_CONNECT),
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client


@contextmanager
def sent(client: httpx.Client, peer: Peer, method: str, path: str, **given: Any) -> Iterator[httpx.Response]:
    """The answer to a request, its body still to come. Raises PeerUnreachableError, PeerAnswerError."""
    try:
        with client.stream(method, path, **given) as answer:
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise PeerAnswerError(f"'{peer.name}' packs its answer, although it was told not to.")
            yield answer
    except httpx.TransportError as error:
        raise PeerUnreachableError(
            f"'{peer.name}' at {peer.host}:{peer.port} does not answer ({type(error).__name__}); see whether it "
            f"listens there{', and whether INSULA_PACS_TLS_CA vouches for its certificate' if peer.encrypted else ''}."
        ) from error
    except httpx.HTTPError as error:
        raise PeerAnswerError(f"'{peer.name}' gave an answer that is none ({type(error).__name__}).") from error


def checked(peer: Peer, answer: httpx.Response, what: str) -> None:
    """Let an answer pass that is one. what: was asked for or sent, for the message. Raises PeerRefusedError."""
    status = answer.status_code
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        why = "points elsewhere, where the node does not go; give its final address in INSULA_PACS_PEERS"
    elif status in (401, 403):
        why = f"does not let this node in; see INSULA_PACS_LOGIN_{peer.name.upper().replace('-', '_')}"
    elif status == 404:
        why = "does not have it; see its list, and its address in INSULA_PACS_PEERS"
    else:
        why = "does not do it; see its log"
    raise PeerRefusedError(f"'{peer.name}' answers {status} where {what} was asked of it: it {why}.", status)


def body(peer: Peer, answer: httpx.Response, most: int = _MOST) -> bytes:
    """The whole of an answer. Raises PeerAnswerError for one that is too large or too slow."""
    found = bytearray()
    until = time.monotonic() + max(_SECONDS, most / 1e6)
    for block in answer.iter_raw():  # as they come: one that is waited for to be full could come in days
        found += block
        if len(found) > most or time.monotonic() > until:
            raise PeerAnswerError(f"'{peer.name}' sends more than {most} bytes, or too slowly; ask for less.")
    return bytes(found)
