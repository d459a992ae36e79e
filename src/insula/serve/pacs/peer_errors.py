"""What can go wrong between the node and a machine that it asks something of."""

from __future__ import annotations

from insula.core.errors import InsulaError


class PeerUnreachableError(InsulaError):
    """A peer that does not answer: no connection, a certificate that is not believed, a connection lost, no time."""

    exit_code = 35
    code = "peer_unreachable"


class PeerRefusedError(InsulaError):
    """A peer that answers no: an association rejected, a log-in that does not count, a request that it will not do.

    status: of its answer, of HTTP or of a DIMSE response; 0 where it has none.
    """

    exit_code = 36
    code = "peer_refused"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PeerAnswerError(InsulaError):
    """An answer that breaks the standard or is larger than what a peer may send."""

    exit_code = 37
    code = "peer_answer"


class PartlyDoneError(InsulaError):
    """Some objects of a study came or went, and some did not."""

    exit_code = 38
    code = "partly_done"
