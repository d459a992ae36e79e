"""Who may open an association, and when (PS3.8, 9.3.4): by name and address, and as long as there is room."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from insula.serve.pacs import state
from insula.serve.pacs.server import units
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.store.connect import reading

_SECONDS: Final = 1.0  # for which a look at the disk and the records holds
_PERMANENT, _TRANSIENT = 1, 2
_USER, _PROVIDER, _PRESENTATION = 1, 2, 3


@dataclass(frozen=True)
class Refusal:
    """Why an association is rejected: the three numbers of the unit (table 9-21), and in words for the log."""

    result: int
    source: int
    reason: int
    why: str


NO_VERSION: Final = Refusal(_PERMANENT, _PROVIDER, 2, "another version of the protocol")
NO_APPLICATION: Final = Refusal(_PERMANENT, _USER, 2, "another application context")
NO_CALLER: Final = Refusal(_PERMANENT, _USER, 3, "the calling AE title is not allowed, or not from this address")
NOT_CALLED: Final = Refusal(_PERMANENT, _USER, 7, "the called AE title is another one")
FULL: Final = Refusal(_TRANSIENT, _PRESENTATION, 2, "as many associations as there may be")
BEHIND: Final = Refusal(_TRANSIENT, _PRESENTATION, 1, "too many studies wait for an answer")
NO_DISK: Final = Refusal(_TRANSIENT, _PRESENTATION, 2, "too little room on the disk")
NO_RECORDS: Final = Refusal(_TRANSIENT, _PRESENTATION, 1, "the records cannot be reached")


def of_caller(asked: units.Request, address: str, settings: PacsSettings) -> Refusal | None:
    """Why a caller may not; None where it may. Whoever is not named in INSULA_PACS_ALLOW may not."""
    if not asked.version & 1:
        return NO_VERSION
    if asked.application != units.APPLICATION:
        return NO_APPLICATION
    if asked.called != settings.ae_title:
        return NOT_CALLED
    hosts = settings.callers.get(asked.calling)
    if hosts is None or (hosts and not _is_one_of(address, hosts)):
        return NO_CALLER
    return None


class Room:
    """Whether there is room for more: on the disk, and among the studies that wait."""

    def __init__(self, service: Service, settings: PacsSettings) -> None:
        self._service, self._settings = service, settings
        self._lock = Lock()
        self._looked = -_SECONDS
        self._refusal: Refusal | None = None

    def refusal(self) -> Refusal | None:
        """Why nobody may open an association now; what was found a moment ago holds for a moment."""
        with self._lock:
            if time.monotonic() - self._looked >= _SECONDS:
                self._refusal = self._look()
                self._looked = time.monotonic()
            return self._refusal

    def has_disk(self, share: float = 1.0) -> bool:
        """Whether at least this share of the free disk is there that must be."""
        return self._service.files.free() >= share * self._settings.least_free_mb * (1 << 20)

    def _look(self) -> Refusal | None:
        if not self.has_disk():
            return NO_DISK
        try:
            with reading(self._service.records) as connection:
                waiting = state.backlog(connection)
        except SQLAlchemyError:
            return NO_RECORDS
        return BEHIND if waiting >= self._settings.most_waiting else None


def _is_one_of(address: str, hosts: Collection[str]) -> bool:
    caller = _plain(address)
    for host in hosts:
        try:
            if _plain(host) == caller:
                return True
        except ValueError:
            if caller in _resolved(host):
                return True
    return False


def _resolved(name: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return {_plain(str(found[4][0])) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
