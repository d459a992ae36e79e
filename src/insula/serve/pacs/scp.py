"""The node's listener: C-ECHO, C-STORE and storage commitment for whoever is allowed (INSULA_PACS_ALLOW).

The upper layer protocol is our own, in `server`: pynetdicom's keeps whatever a caller sends, and before anything is
stored takes a quarter of the objects per second that dcmtk's storescp writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from insula.serve.pacs import commitment
from insula.serve.pacs.pseudonymise import pseudonyms_of
from insula.serve.pacs.server import commands
from insula.serve.pacs.server.admission import Room
from insula.serve.pacs.server.line import Pace
from insula.serve.pacs.server.listener import listening
from insula.serve.pacs.server.storing import storing
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.tls import server_context
from insula.serve.service import Service


@contextmanager
def serve(service: Service, settings: PacsSettings, pace: Pace | None = None) -> Iterator[int]:
    """Listen as long as the block runs; gives the port. At its end no object is left half acknowledged.

    Raises UsageError for a port that is taken, certificates that cannot be used, rules that cannot be read, and rules
    that ask for pseudonyms without a key.
    """
    pseudonyms = pseudonyms_of(settings)
    service.files.prepare()
    room = Room(service, settings)
    begin = {
        commands.STORE: storing(service, settings, room, pseudonyms),
        commands.ACTION: commitment.asking(service, settings),
    }
    with listening(settings, begin, room, server_context(settings), pace, pseudonyms.barred) as port:
        yield port
