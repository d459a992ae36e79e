"""What the page of a case tells of other machines: what was sent where, and where else the answer can go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from insula.serve.pacs import sent
from insula.serve.pacs.sent import Sent
from insula.serve.people.caller import Caller
from insula.serve.service import Service
from insula.serve.store.predictions import StoredPrediction


@dataclass(frozen=True)
class CasePacs:
    """peers: to which the answer can be sent. sent: what was, what is on its way, and what failed, newest first."""

    peers: Sequence[str]
    sent: Sequence[Sent]


def of(connection: Connection, service: Service, caller: Caller, stored: StoredPrediction | None) -> CasePacs | None:
    """For one prediction; None for somebody who may not know, and where there is nothing to tell."""
    if stored is None or not caller.may("pacs.read"):
        return None
    found = sent.of_prediction(connection, stored.study_id, stored.id, caller.reader_id)
    peers = sorted(service.pacs.peer)
    return CasePacs(peers, found) if peers or found else None
