"""Sending DICOM files to a peer, whether it speaks DICOM or DICOMweb; nothing but the files is needed."""

from __future__ import annotations

from collections.abc import Sequence

from insula.serve.pacs.find import Cancelled, client_of
from insula.serve.pacs.outcome import Outcome, Ready, Sent
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings


def push(
    settings: PacsSettings,
    peer: Peer,
    objects: Sequence[Ready],
    told: Sent | None = None,
    cancelled: Cancelled = lambda: False,
) -> list[Outcome]:
    """Send objects (`outcome.ready`); what the peer answered to each. told: gets each answer as it comes.

    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError where the peer as a whole does not do it.
    """
    return client_of(peer).store(settings, peer, objects, told, cancelled)
