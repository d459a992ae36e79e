"""What the node asks of a peer's worklist over UPS-RS (PS3.18, chapter 11), as the performer of its work items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import check_uid
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.web import body, calling, checked, sent

Item = Mapping[str, Any]
_JSON: Final = "application/dicom+json"
_MOST_BYTES: Final = 8 << 20
_PAGE, _PAGES = 100, 20
_INCLUDED: Final = ("00741000", "00404025", "00404018", "00741200", "00404005")
_GONE: Final = (400, 404, 409, 410)  # answers by which a peer says that the work item is not ours to change


def search(settings: PacsSettings, peer: Peer) -> list[Item]:
    """Work items that wait and whose input is ready, as far as a list tells of them; _PAGES pages of it at most.

    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError.
    """
    asked: dict[str, Any] = {
        "ProcedureStepState": "SCHEDULED",
        "InputReadinessState": "READY",
        "includefield": list(_INCLUDED),
        "limit": str(_PAGE),
    }
    found: list[Item] = []
    with calling(settings, peer) as client:
        for number in range(_PAGES):
            page = _items(client, peer, "/workitems", {**asked, "offset": str(number * _PAGE)})
            found += page
            if len(page) < _PAGE:
                break
    return found


def retrieve(settings: PacsSettings, peer: Peer, uid: str) -> Item:
    """One work item. Raises as `search`."""
    check_uid(uid)
    with calling(settings, peer) as client:
        found = _items(client, peer, f"/workitems/{uid}", {})
    if len(found) != 1:
        raise PeerAnswerError(f"'{peer.name}' answered with {len(found)} work items where one was asked for.")
    return found[0]


def claim(settings: PacsSettings, peer: Peer, uid: str, transaction: str) -> bool:
    """Claim a work item; False where it is not to be had, or was claimed before. Raises as `search`."""
    return _moved(settings, peer, uid, transaction, "IN PROGRESS")


def end(settings: PacsSettings, peer: Peer, uid: str, transaction: str, state: str) -> bool:
    """Complete or cancel a work item; False where the peer will not have it. Raises as `search`."""
    return _moved(settings, peer, uid, transaction, state)


def update(settings: PacsSettings, peer: Peer, uid: str, transaction: str, changes: Mapping[str, Any]) -> bool:
    """Change a work item; False where it is not ours, not any more, or gone. Raises as `search`."""
    check_uid(uid)
    lock = {"00081195": {"vr": "UI", "Value": [transaction]}}
    with calling(settings, peer) as client:
        return _done(client, peer, "POST", f"/workitems/{uid}?transaction-uid={transaction}", {**lock, **changes})


def _moved(settings: PacsSettings, peer: Peer, uid: str, transaction: str, state: str) -> bool:
    check_uid(uid)
    changes = {"00081195": {"vr": "UI", "Value": [transaction]}, "00741000": {"vr": "CS", "Value": [state]}}
    with calling(settings, peer) as client:
        return _done(client, peer, "PUT", f"/workitems/{uid}/state", changes)


def _done(client: httpx.Client, peer: Peer, method: str, path: str, changes: Mapping[str, Any]) -> bool:
    content = json.dumps([dict(sorted(changes.items()))]).encode()
    headers = {"Content-Type": _JSON, "Accept": _JSON}
    with sent(client, peer, method, path, content=content, headers=headers) as answer:
        if answer.status_code in _GONE:
            return False
        checked(peer, answer, "a change of a work item")
    return True


def _items(client: httpx.Client, peer: Peer, path: str, asked: Mapping[str, Any]) -> list[Item]:
    with sent(client, peer, "GET", path, params=asked, headers={"Accept": _JSON}) as answer:
        if answer.status_code == 204:
            return []
        if answer.status_code == 404 and path == "/workitems":
            raise PeerRefusedError(
                f"'{peer.name}' has no worklist (UPS-RS) under its address; see INSULA_PACS_PEERS.", 404
            )
        checked(peer, answer, "work items")
        data = body(peer, answer, _MOST_BYTES)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PeerAnswerError(f"'{peer.name}' answered with work items that are no JSON.") from error
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in listed):
        raise PeerAnswerError(f"'{peer.name}' answered with what are no work items in the DICOM JSON model.")
    return listed
