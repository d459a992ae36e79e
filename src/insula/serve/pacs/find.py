"""One way to ask a peer whether it answers and what it has, whether it speaks DICOM or DICOMweb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from insula.core.errors import MissingPartError, UsageError
from insula.serve.pacs.outcome import Outcome, Ready, Sent
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import FoundSeries, Query, Studies, checked
from insula.serve.pacs.retrieved import Retrieved, Take, Told
from insula.serve.pacs.settings import PacsSettings

Cancelled = Callable[[], bool]
_MODULES = {
    "dicom": ("pynetdicom", "insula.serve.pacs.dimse"),
    "web": ("httpx", "insula.serve.pacs.web_client"),
}


class Client(Protocol):
    """What both kinds of peer can be asked."""

    def echo(self, settings: PacsSettings, peer: Peer) -> float:
        """Milliseconds of an answer."""

    def find(self, settings: PacsSettings, peer: Peer, query: Query) -> Studies:
        """The studies that fit."""

    def series(self, settings: PacsSettings, peer: Peer, study_uid: str) -> tuple[FoundSeries, ...]:
        """The series of a study."""

    def get(
        self,
        settings: PacsSettings,
        peer: Peer,
        study_uid: str,
        take: Take,
        told: Told | None = None,
        cancelled: Cancelled = ...,
    ) -> Retrieved:
        """Fetch a study."""

    def store(
        self,
        settings: PacsSettings,
        peer: Peer,
        objects: Sequence[Ready],
        told: Sent | None = None,
        cancelled: Cancelled = ...,
    ) -> list[Outcome]:
        """Send objects."""


def client_of(peer: Peer) -> Client:
    """What talks to a peer. Raises UsageError for one that only takes results, MissingPartError without the part."""
    if peer.kind not in _MODULES:
        raise UsageError(f"'{peer.name}' takes {peer.kind.upper()} messages and has no studies; ask another peer.")
    needed, module = _MODULES[peer.kind]
    if find_spec(needed) is None:
        raise MissingPartError(f"Talking to a PACS needs {needed}, which is missing; run: pip install 'insula[pacs]'.")
    return cast(Client, import_module(module))


def echo(settings: PacsSettings, peer: Peer) -> float:
    """Milliseconds of a C-ECHO, or of a search that brings one study at most.

    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError, as all that is asked of a peer.
    """
    return client_of(peer).echo(settings, peer)


def find(settings: PacsSettings, peer: Peer, query: Query) -> Studies:
    """The studies of a peer that fit, the newest first. Raises UsageError for what is no question, else as `echo`."""
    return client_of(peer).find(settings, peer, checked(query))


def series(settings: PacsSettings, peer: Peer, study_uid: str) -> tuple[FoundSeries, ...]:
    """The series of a study at a peer, by their numbers. Raises as `find`."""
    return client_of(peer).series(settings, peer, study_uid)
