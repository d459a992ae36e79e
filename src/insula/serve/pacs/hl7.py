"""HL7 v2 messages to a peer over MLLP (transport specification, release 1), each of which is acknowledged."""

from __future__ import annotations

import socket
import time
from typing import Final

from insula.serve.faults import RequestError
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.tls import client_context

START: Final = b"\x0b"
END: Final = b"\x1c\r"
_TO_CONNECT: Final = 10.0
_SECONDS: Final = 60.0  # for the whole of an acknowledgement
_MOST: Final = 64 << 10  # bytes of one
_TAKEN: Final = ("AA", "CA")  # table 0008
_AGAIN: Final = ("AR", "CR")  # reject: often for a reason that has nothing to do with the message


def deliver(settings: PacsSettings, peer: Peer, message: str, control: str) -> None:
    """Send one message and wait until it is acknowledged. control: its number, which the acknowledgement repeats.

    Raises PeerUnreachableError, PeerAnswerError and PeerRefusedError, which another try may mend, and RequestError 422
    where the peer says that the message itself is wrong.
    """
    answer = _exchanged(settings, peer, START + message.encode() + END)
    fields = next((row for row in _rows(answer) if row[0] == "MSA" and len(row) > 2), None)
    if fields is None:
        raise PeerAnswerError(f"'{peer.name}' answered an HL7 message with what is no acknowledgement; see its log.")
    code, number = fields[1].strip(), fields[2].strip()
    if number != control:
        raise PeerAnswerError(f"'{peer.name}' acknowledged another message than was sent; see its log.")
    if code in _TAKEN:
        return
    if code in _AGAIN:
        raise PeerRefusedError(f"'{peer.name}' rejects an HL7 message ({code}); see its log.")
    raise RequestError(
        422, "message_refused", f"'{peer.name}' finds an error in an HL7 message ('{_plain(code)}'); see its log."
    )


def _exchanged(settings: PacsSettings, peer: Peer, sent: bytes) -> bytes:
    until = time.monotonic() + _SECONDS
    try:
        with socket.create_connection((peer.host, peer.port), _TO_CONNECT) as plain:
            plain.settimeout(_SECONDS)
            if not peer.encrypted:
                return _asked(plain, peer, sent, until)
            with client_context(settings).wrap_socket(plain, server_hostname=peer.host) as packed:
                return _asked(packed, peer, sent, until)
    except OSError as error:  # ssl.SSLError is one
        raise PeerUnreachableError(
            f"'{peer.name}' at {peer.host}:{peer.port} does not answer ({type(error).__name__}); see whether it "
            f"listens there{', and whether INSULA_PACS_TLS_CA vouches for its certificate' if peer.encrypted else ''}."
        ) from error


def _asked(connection: socket.socket, peer: Peer, sent: bytes, until: float) -> bytes:
    connection.sendall(sent)
    found = bytearray()
    while END not in found:
        connection.settimeout(max(0.01, until - time.monotonic()))
        block = connection.recv(4096)
        found += block
        if not block or len(found) > _MOST or time.monotonic() > until:
            raise PeerAnswerError(f"'{peer.name}' gave no whole acknowledgement of an HL7 message; see its log.")
    start = found.find(START)
    if start < 0:
        raise PeerAnswerError(f"'{peer.name}' answered an HL7 message with what is no MLLP block; see its log.")
    return bytes(found[start + 1 : found.index(END)])


def _rows(answer: bytes) -> list[list[str]]:
    """Fields of the segments, by the separator that the header names."""
    text = answer.decode("utf-8", "replace").replace("\n", "\r")
    if not text.startswith("MSH") or len(text) < 4:
        return []
    return [line.split(text[3]) for line in text.split("\r") if line]


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:8]
