"""What the node asks of a peer over DIMSE: C-ECHO, C-FIND of studies and series, C-MOVE and C-GET of a study (PS3.4 C).

All questions are of the Study Root model. C-STORE is in `dimse_store`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydicom import Dataset, uid
from pydicom.multival import MultiValue
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.status import QR_FIND_SERVICE_CLASS_STATUS, QR_GET_SERVICE_CLASS_STATUS, QR_MOVE_SERVICE_CLASS_STATUS

from insula.serve.pacs.association import Opened, opened, refused, status_of
from insula.serve.pacs.contexts import PLAIN, retrievable
from insula.serve.pacs.dimse_store import store as store
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import (
    FoundSeries,
    FoundStudy,
    Query,
    Studies,
    check_uid,
    count,
    in_order,
    newest_first,
    printable,
)
from insula.serve.pacs.received import NO_RESOURCES, NoRoomError, RefusedInstanceError
from insula.serve.pacs.retrieved import PATIENCE, Retrieved, Take, Told
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.silent import silent

PENDING: Final = (0xFF00, 0xFF01)
SOME_FAILED: Final = 0xB000
_CANCELLED: Final = 0xFE00
VERIFICATION: Final = uid.UID("1.2.840.10008.1.1")  # PS3.6 Table A-1
FIND: Final = uid.UID("1.2.840.10008.5.1.4.1.2.2.1")
MOVE: Final = uid.UID("1.2.840.10008.5.1.4.1.2.2.2")
GET: Final = uid.UID("1.2.840.10008.5.1.4.1.2.2.3")
_MOST_SERIES: Final = 2000
_TO_FIND: Final = 120.0  # seconds for all answers to a question
_STALLED: Final = 600.0  # seconds for which a peer may say that it goes on while no further object is done
_TO_RETRIEVE: Final = 24 * 3600.0  # seconds for a study, however much goes on
_ROOM: Final = 1 << 20  # bytes for what surrounds an object: commands, headers of its fragments, responses between
_OF_STUDY: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyDescription",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
_OF_SERIES: Final = (
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "SeriesInstanceUID",
    "SeriesNumber",
    "NumberOfSeriesRelatedInstances",
)


def echo(settings: PacsSettings, peer: Peer) -> float:
    """Verify that a peer answers; milliseconds of the C-ECHO. Raises as `association.opened`."""
    with opened(settings, peer, [build_context(VERIFICATION, PLAIN)]) as found:
        started = time.perf_counter()
        status = status_of(found, found.association.send_c_echo())
        took = 1000 * (time.perf_counter() - started)
    if status != 0:
        raise refused(peer, "a C-ECHO", status, lambda _: "")
    return took


def find(settings: PacsSettings, peer: Peer, query: Query) -> Studies:
    """The studies of a peer that fit a question that was `checked`; beyond its limit the peer is told to stop.

    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError.
    """
    asked = _identifier("STUDY", _OF_STUDY)
    asked.StudyDate = query.dates
    asked.AccessionNumber = query.accession_number
    asked.ModalitiesInStudy = query.modality
    asked.PatientName = query.patient_name
    asked.PatientID = query.patient_id
    asked.StudyInstanceUID = query.study_uid
    asked.StudyDescription = query.description
    if not all(str(asked[name].value).isascii() for name in ("PatientName", "PatientID", "StudyDescription")):
        asked.SpecificCharacterSet = "ISO_IR 192"
    with silent():
        answers, more = _found(settings, peer, asked, query.limit)
        return Studies(newest_first(made for one in answers if (made := _study(one)).study_uid), more)


def series(settings: PacsSettings, peer: Peer, study_uid: str) -> tuple[FoundSeries, ...]:
    """The series of a study at a peer, by their numbers. Raises as `find`."""
    check_uid(study_uid)
    asked = _identifier("SERIES", _OF_SERIES)
    asked.StudyInstanceUID = study_uid
    with silent():
        answers, _ = _found(settings, peer, asked, _MOST_SERIES)
        return in_order(made for one in answers if (made := _series(one)).series_uid)


def move(settings: PacsSettings, peer: Peer, study_uid: str, to: str, told: Told | None = None) -> Retrieved:
    """Let a peer send a study to an application entity that it knows, by its title.

    told: gets the objects done so far and all of them. Raises as `find`; PeerRefusedError with status 0xA801 where the
    peer does not know the title.
    """
    asked = _of_study(study_uid)
    with opened(settings, peer, [build_context(MOVE, PLAIN)], patience=PATIENCE) as found:
        meaning = _meaning(QR_MOVE_SERVICE_CLASS_STATUS)
        return _retrieved(found, found.association.send_c_move(asked, to, MOVE), "a C-MOVE", meaning, told)


def get(
    settings: PacsSettings,
    peer: Peer,
    study_uid: str,
    take: Take,
    told: Told | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Retrieved:
    """Fetch a study over the association that asks for it. take: gets each object as a DICOM file (PS3.10), and may
    refuse it by RefusedInstanceError; the peer is answered only when it returns. A NoRoomError ends the retrieval.

    An object of more than `max_instance_mb` ends the retrieval. Raises as `find`, and whatever else take raises.
    """
    asked = _of_study(study_uid)
    contexts, roles = retrievable(_classes(settings, peer, study_uid))
    most = (settings.max_instance_mb << 20) + _ROOM
    taking = _Taking(take, most)
    handlers: list[Any] = [(evt.EVT_C_STORE, taking.one)]
    try:
        with opened(settings, peer, [build_context(GET, PLAIN), *contexts], roles, handlers, PATIENCE) as found:
            found.allow(most)
            taking.found = found
            answers = found.association.send_c_get(asked, GET)
            meaning = _meaning(QR_GET_SERVICE_CLASS_STATUS)
            done = _retrieved(
                found, answers, "a C-GET", meaning, told, cancelled, lambda: taking.taken + taking.refused
            )
    except Exception:  # whatever ended it: where taking an object failed, that is why, and is told instead
        if taking.error is not None:
            raise taking.error from None
        raise
    return Retrieved(taking.taken, max(done.failed - taking.refused, 0), taking.refused)


class _Taking:
    """The handler of the C-STORE requests that a C-GET brings."""

    def __init__(self, take: Take, most: int) -> None:
        self._take, self._most = take, most
        self.found: Opened | None = None
        self.taken = self.refused = 0
        self.error: Exception | None = None

    def one(self, event: evt.Event) -> int:
        """Take an object; the status of the response (PS3.4 B.2.3)."""
        if self.found is None:
            raise RuntimeError("an object came before the association was open")
        try:
            with silent():
                data = event.encoded_dataset()
            self._take(data)
        except Exception as error:  # noqa: BLE001 - kept, and raised where the retrieval was asked for
            if isinstance(error, RefusedInstanceError) and not isinstance(error, NoRoomError):
                self.refused += 1
                return error.status
            self.error = error
            self.found.socket.hang_up()
            return NO_RESOURCES
        finally:
            self.found.allow(self._most)
        self.taken += 1
        return 0x0000


def _classes(settings: PacsSettings, peer: Peer, study_uid: str) -> tuple[str, ...]:
    """The SOP classes of a study's objects, since some archives send nothing of it where one is not proposed.

    None where the peer does not search, or does not tell: the attribute is an optional one (PS3.4, table C.6-5).
    """
    asked = _of_study(study_uid)
    asked.SOPClassesInStudy = ""
    try:
        answers, _ = _found(settings, peer, asked, 1)
    except (PeerRefusedError, PeerAnswerError):
        return ()
    with silent():
        return tuple(name for one in answers for name in _several(one, "SOPClassesInStudy", 64))


def _retrieved(
    found: Opened,
    answers: Iterator[tuple[Dataset, Dataset | None]],
    what: str,
    meaning: Callable[[int], str],
    told: Told | None,
    cancelled: Callable[[], bool] = lambda: False,
    came: Callable[[], int] = lambda: 0,
) -> Retrieved:
    """Follow a retrieval to its last response (PS3.4 C.4.2.1.4, C.4.3.1.4). came: objects that are here.

    Raises PeerAnswerError where the peer says again and again that it goes on, and does not.
    """
    stopped, most = False, -1
    begun = moved = time.monotonic()
    for answer, _ in answers:
        status, now = status_of(found, answer), time.monotonic()
        done, failed, left = (
            count(answer.get(f"NumberOf{kind}Suboperations", "")) or 0 for kind in ("Completed", "Failed", "Remaining")
        )
        done += count(answer.get("NumberOfWarningSuboperations", "")) or 0
        if status in PENDING:
            if done + failed + came() > most:
                most, moved = done + failed + came(), now
            if now - moved > _STALLED or now - begun > _TO_RETRIEVE:
                raise PeerAnswerError(
                    f"'{found.peer.name}' answers {what} that it goes on, with {most} objects done since "
                    f"{round(now - moved)} s; see its log, then fetch the study again."
                )
            if told is not None:
                told(done + failed, done + failed + left)
            if cancelled() and not stopped:
                found.association.send_c_cancel(1, None, GET)
                stopped = True
            continue
        if status in (0x0000, SOME_FAILED, _CANCELLED) or (status & 0xF000 == 0xB000):
            return Retrieved(done, failed)
        raise refused(found.peer, what, status, meaning)
    raise found.lost()


def _found(settings: PacsSettings, peer: Peer, asked: Dataset, most: int) -> tuple[list[Dataset], bool]:
    """What a C-FIND brings (PS3.4 C.4.1.1.4), and whether there was more than the most."""
    found: list[Dataset] = []
    more = False
    with opened(settings, peer, [build_context(FIND, PLAIN)]) as here:
        until = time.monotonic() + _TO_FIND
        for answer, identifier in here.association.send_c_find(asked, FIND):
            if time.monotonic() > until:
                raise PeerAnswerError(f"'{peer.name}' answers a C-FIND too slowly; ask for less, or see its log.")
            status = status_of(here, answer)
            if status in PENDING:
                if identifier is None:
                    raise PeerAnswerError(f"'{peer.name}' answered a C-FIND with what is no data set; see its log.")
                if len(found) < most:
                    found.append(identifier)
                elif not more:
                    more = True
                    here.association.send_c_cancel(1, None, FIND)
            elif status not in (0x0000, _CANCELLED):
                raise refused(peer, "a C-FIND", status, _meaning(QR_FIND_SERVICE_CLASS_STATUS))
    return found, more


def _identifier(level: str, keys: tuple[str, ...]) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for name in keys:
        setattr(asked, name, None if name.startswith("Number") or name == "SeriesNumber" else "")
    return asked


def _of_study(study_uid: str) -> Dataset:
    check_uid(study_uid)
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = study_uid
    return asked


def _study(one: Dataset) -> FoundStudy:
    return FoundStudy(
        study_uid=_text(one, "StudyInstanceUID", 64),
        date=_text(one, "StudyDate", 10),
        time=_text(one, "StudyTime", 16),
        patient_id=_text(one, "PatientID", 64),
        patient_name=_text(one, "PatientName", 200),
        birth_date=_text(one, "PatientBirthDate", 10),
        accession_number=_text(one, "AccessionNumber", 16),
        modalities=_several(one, "ModalitiesInStudy"),
        description=_text(one, "StudyDescription", 64),
        series=count(_value(one, "NumberOfStudyRelatedSeries")),
        instances=count(_value(one, "NumberOfStudyRelatedInstances")),
    )


def _series(one: Dataset) -> FoundSeries:
    return FoundSeries(
        series_uid=_text(one, "SeriesInstanceUID", 64),
        modality=_text(one, "Modality", 16),
        number=count(_value(one, "SeriesNumber")),
        description=_text(one, "SeriesDescription", 64),
        body_part=_text(one, "BodyPartExamined", 16),
        instances=count(_value(one, "NumberOfSeriesRelatedInstances")),
    )


def _value(one: Dataset, keyword: str) -> Any:
    """A value of a peer's data set, "" where it is none or cannot be read."""
    try:
        value = one.get(keyword, "")
    except Exception:  # noqa: BLE001 - a hostile value fails in many ways when it is looked at
        return ""
    return "" if value is None else value


def _text(one: Dataset, keyword: str, longest: int) -> str:
    value = _value(one, keyword)
    return printable(value[0] if isinstance(value, MultiValue) and value else value, longest)


def _several(one: Dataset, keyword: str, longest: int = 16) -> tuple[str, ...]:
    value = _value(one, keyword)
    values = list(value)[:32] if isinstance(value, MultiValue) else [value]
    return tuple(sorted({text for v in values if (text := printable(v, longest))}))


def _meaning(known: Any) -> Callable[[int], str]:
    return lambda status: str(known.get(status, ("", ""))[1])
