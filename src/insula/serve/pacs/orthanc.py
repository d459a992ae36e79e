"""What an Orthanc says of itself over its REST interface: its changes, the instances of a study, and their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import httpx

from insula.serve.pacs.peer_errors import PeerAnswerError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.web import body, calling, checked, sent

STABLE: Final = "StableStudy"
_WEB: Final = "/dicom-web"
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}")
_PAGE: Final = 100


@dataclass(frozen=True)
class Change:
    """One change. number: of its place in the order of changes; id: of the resource, Orthanc's own."""

    number: int
    kind: str
    id: str


@dataclass(frozen=True)
class Changes:
    """Some changes in their order. last: number up to which they were looked at; done: there are no later ones."""

    changes: tuple[Change, ...]
    last: int
    done: bool


@dataclass(frozen=True)
class Instance:
    """An object that Orthanc has, by its own id and by its SOP Instance UID."""

    id: str
    sop_instance_uid: str


class Orthanc:
    """An Orthanc, as long as a connection is open."""

    def __init__(self, peer: Peer, client: httpx.Client) -> None:
        self._peer, self._client = peer, client

    def newest(self) -> int:
        """The number of its newest change, 0 where there was none."""
        return self._changes({"last": ""}).last

    def since(self, number: int) -> Changes:
        """The changes after a number, a page of them."""
        return self._changes({"since": str(number), "limit": str(_PAGE)})

    def instances(self, study: str) -> tuple[Instance, ...] | None:
        """The objects of a study, None where it is gone."""
        found = self._json(f"/studies/{study}/instances")
        if found is None:
            return None
        if not isinstance(found, list):
            raise self._wrong()
        return tuple(self._instance(one) for one in found)

    def file(self, instance: str, most_bytes: int) -> bytes | None:
        """An object as the file that Orthanc was sent, None where it is gone."""
        with sent(self._client, self._peer, "GET", f"/instances/{instance}/file") as answer:
            if answer.status_code == 404:
                return None
            checked(self._peer, answer, "an object")
            return body(self._peer, answer, most_bytes)

    def _changes(self, parameters: dict[str, str]) -> Changes:
        found = self._json("/changes", parameters)
        if not isinstance(found, dict) or not isinstance(found.get("Changes"), list):
            raise self._wrong()
        changes = tuple(self._change(one) for one in found["Changes"])
        last: Any = found.get("Last")
        if not _is_number(last) or any(a.number >= b.number for a, b in pairwise(changes)):
            raise self._wrong()
        return Changes(changes, int(last), bool(found.get("Done", True)))

    def _change(self, one: Any) -> Change:
        if not isinstance(one, dict) or not _is_number(one.get("Seq")):
            raise self._wrong()
        kind, name = str(one.get("ChangeType")), str(one.get("ID"))
        if kind == STABLE and not _ID.fullmatch(name):
            raise self._wrong()
        return Change(int(one["Seq"]), kind, name)

    def _instance(self, one: Any) -> Instance:
        name = str(one.get("ID")) if isinstance(one, dict) else ""
        if not _ID.fullmatch(name):
            raise self._wrong()
        tags = one.get("MainDicomTags")
        return Instance(name, str(tags.get("SOPInstanceUID", "")) if isinstance(tags, dict) else "")

    def _json(self, path: str, parameters: dict[str, str] | None = None) -> Any:
        with sent(self._client, self._peer, "GET", path, params=parameters) as answer:
            if answer.status_code == 404 and parameters is None:
                return None
            checked(self._peer, answer, "its changes")
            try:
                return json.loads(body(self._peer, answer))
            except (ValueError, RecursionError) as error:
                raise self._wrong() from error

    def _wrong(self) -> PeerAnswerError:
        return PeerAnswerError(
            f"'{self._peer.name}' answers otherwise than an Orthanc; INSULA_PACS_ORTHANC names the peer whose REST "
            "interface is read, as http://127.0.0.1:8042 or http://127.0.0.1:8042/dicom-web."
        )


@contextmanager
def reached(settings: PacsSettings, peer: Peer) -> Iterator[Orthanc]:
    """An Orthanc by its peer, whose address may be that of its DICOMweb (`/dicom-web`) or of all of it."""
    with calling(settings, peer, peer.url.removesuffix(_WEB)) as client:
        yield Orthanc(peer, client)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
