"""What the node asks of a peer over DICOMweb: QIDO-RS, WADO-RS and STOW-RS (PS3.18 ch. 10).

Objects come and go as the bytes that they are: nothing is decoded and written anew, so that an object has one content
however it came.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from insula.serve.pacs.dicom_json import numbers, rows_of, series_of, studies_of, texts
from insula.serve.pacs.outcome import Outcome, Ready, Sent, split_by
from insula.serve.pacs.parts import boundary_of, parts
from insula.serve.pacs.peer_errors import PeerAnswerError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import FoundSeries, Query, Studies, check_uid, newest_first
from insula.serve.pacs.received import NoRoomError, RefusedInstanceError
from insula.serve.pacs.retrieved import PATIENCE, Retrieved, Take, Told
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.web import body, calling, checked, sent

_DICOM: Final = "application/dicom"
_JSON: Final = "application/dicom+json"
_BLOCK: Final = 1 << 16
_MOST_FILES, _MOST_BYTES = 100, 64 << 20  # of one STOW request
_NOT_SAID: Final = 0x0110  # PS3.7 Annex C: processing failure; where an answer does not speak of an object
_MORE: Final = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")


def echo(settings: PacsSettings, peer: Peer) -> float:
    """Verify that a peer answers a search; milliseconds. Raises as `find`."""
    with calling(settings, peer) as client:
        started = time.perf_counter()
        _rows(client, peer, "/studies", {"limit": "1"})
        return 1000 * (time.perf_counter() - started)


def find(settings: PacsSettings, peer: Peer, query: Query) -> Studies:
    """The studies of a peer that fit a question that was `checked`.

    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError.
    """
    asked = {
        "PatientID": query.patient_id,
        "PatientName": query.patient_name.replace("^", "?"),  # which no address holds unescaped
        "AccessionNumber": query.accession_number,
        "StudyInstanceUID": query.study_uid,
        "StudyDate": query.dates,
        "ModalitiesInStudy": query.modality,
        "StudyDescription": query.description,
    }
    parameters: dict[str, Any] = {name: value for name, value in asked.items() if value}
    parameters |= {"limit": str(query.limit + 1), "includefield": list(_MORE)}
    with calling(settings, peer) as client:
        rows, more = _rows(client, peer, "/studies", parameters)
    found = studies_of(rows)
    return Studies(newest_first(found[: query.limit]), more or len(found) > query.limit)


def series(settings: PacsSettings, peer: Peer, study_uid: str) -> tuple[FoundSeries, ...]:
    """The series of a study at a peer, by their numbers. Raises as `find`."""
    check_uid(study_uid)
    more = ["SeriesDescription", "BodyPartExamined", "NumberOfSeriesRelatedInstances"]
    with calling(settings, peer) as client:
        rows, _ = _rows(client, peer, f"/studies/{study_uid}/series", {"includefield": more})
    return series_of(rows)


def get(
    settings: PacsSettings,
    peer: Peer,
    study_uid: str,
    take: Take,
    told: Told | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Retrieved:
    """Fetch a study, each object in the transfer syntax that it is stored in. take: gets each as a DICOM file.

    An object of more than `max_instance_mb` ends the retrieval. Raises as `find`, and whatever take raises but for
    a RefusedInstanceError that is no NoRoomError.
    """
    check_uid(study_uid)
    most = settings.max_instance_mb << 20
    taken = refused = 0
    headers = {"Accept": f'multipart/related; type="{_DICOM}"; transfer-syntax=*'}
    with (
        calling(settings, peer, patience=PATIENCE) as client,
        sent(client, peer, "GET", f"/studies/{study_uid}", headers=headers) as answer,
    ):
        checked(peer, answer, "a study")
        for data in _objects(peer, answer, most):
            if cancelled():
                break
            try:
                take(data)
                taken += 1
            except NoRoomError:
                raise
            except RefusedInstanceError:
                refused += 1
            if told is not None:
                told(taken + refused, None)
    return Retrieved(taken, 0, refused)


def store(
    settings: PacsSettings,
    peer: Peer,
    objects: Sequence[Ready],
    told: Sent | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Send objects, many in one request; an outcome for each that was sent. Raises as `find`."""
    done = []
    with calling(settings, peer) as client:
        for group in split_by(objects, _MOST_FILES, _MOST_BYTES):
            if cancelled():
                break
            for outcome in _stored(client, peer, group):
                done.append(outcome)
                if told is not None:
                    told(outcome)
    return done


def _stored(client: httpx.Client, peer: Peer, group: Sequence[Ready]) -> Iterator[Outcome]:
    boundary = f"insula-{secrets.token_hex(16)}"
    before = f"--{boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
    after = f"--{boundary}--\r\n".encode()
    length = sum(len(before) + one.path.stat().st_size + 2 for one in group) + len(after)

    def message() -> Iterator[bytes]:
        for one in group:
            yield before
            with one.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    yield block
            yield b"\r\n"
        yield after

    headers = {
        "Accept": _JSON,
        "Content-Type": f'multipart/related; type="{_DICOM}"; boundary="{boundary}"',
        "Content-Length": str(length),
    }
    with sent(client, peer, "POST", "/studies", headers=headers, content=message()) as answer:
        if answer.status_code != 409:  # all of them failed, and the body says why
            checked(peer, answer, "objects")
        told = _object(peer, body(peer, answer))
    taken = {uid for row in rows_of(told.get("00081199")) for uid in texts(row, "00081155")}
    failed = {
        uid: next(iter(numbers(row, "00081197")), _NOT_SAID)
        for row in rows_of(told.get("00081198"))
        for uid in texts(row, "00081155")
    }
    for one in group:
        if one.sop_instance_uid in taken and one.sop_instance_uid not in failed:
            yield Outcome(one, 0)
        else:
            reason = failed.get(one.sop_instance_uid)
            said = "the peer says nothing of it" if reason is None else ""
            yield Outcome(one, reason or _NOT_SAID, said)


def _rows(
    client: httpx.Client, peer: Peer, path: str, parameters: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], bool]:
    """What a search brings, and whether the peer says that there is more (PS3.18, section 8.3.4.4.1)."""
    # `*` and `?` as they are (RFC 3986, section 3.4): Orthanc 1.10 compares what is escaped as it stands
    query = urlencode(parameters, doseq=True, quote_via=quote, safe="*?")
    with sent(client, peer, "GET", f"{path}?{query}", headers={"Accept": _JSON}) as answer:
        if answer.status_code == 204:
            return [], False
        checked(peer, answer, "a search")
        more = answer.headers.get("warning", "").startswith("299")
        found = _json(peer, body(peer, answer))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PeerAnswerError(f"'{peer.name}' answered a search with what is no list in the DICOM JSON model.")
    return found, more


def _objects(peer: Peer, answer: httpx.Response, most: int) -> Iterator[bytes]:
    kind = answer.headers.get("content-type", "")
    blocks = answer.iter_raw()
    if kind.partition(";")[0].strip().lower() == _DICOM:  # of a single object, as some servers do
        yield body(peer, answer, most)
        return
    try:
        yield from parts(blocks, boundary_of(kind), most)
    except ValueError as error:
        raise PeerAnswerError(f"'{peer.name}' sent a study that cannot be read: {error}.") from error


def _object(peer: Peer, data: bytes) -> Mapping[str, Any]:
    found = _json(peer, data)
    if not isinstance(found, dict):
        raise PeerAnswerError(f"'{peer.name}' does not say which objects it has taken; it has to answer as {_JSON}.")
    return found


def _json(peer: Peer, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PeerAnswerError(f"'{peer.name}' answered with what is no JSON; see which address it has.") from error
